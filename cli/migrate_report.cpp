#include "cli/migrate_report.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

#include "core/net/convert.hpp"

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;

Json error_json(const cluster::v1::Error& error) {
  return {{"code", error.code()},
          {"object", error.object()},
          {"position", error.position()},
          {"cause", error.cause()},
          {"action", error.action()}};
}

Json tables_json(const admin::v1::Project& project) {
  Json tables = Json::array();
  for (const auto& table : project.tables())
    tables.push_back({{"source", table.source()},
                      {"target", table.target()},
                      {"rows", table.rows()},
                      {"bytes", table.bytes()},
                      {"seconds", table.seconds()},
                      {"verify", table.verify().empty() ? "SKIPPED" : table.verify()},
                      {"differences", table.differences()}});
  return tables;
}

}  // namespace

Outcome judge(const admin::v1::Project& project, bool interrupted, bool verify_asked) {
  if (project.status() == "FAILED") return {"FAILED", 4};
  if (interrupted || project.status() != "FINISHED") return {"INTERRUPTED", 130};
  if (!verify_asked) return {"COPIED", 0};
  bool different = project.verification() == "DIFFERENT", unsettled = project.verification() == "UNSETTLED";
  for (const auto& table : project.tables()) {
    different = different || table.verify() == "DIFFERENT";
    unsettled = unsettled || table.verify() == "UNSETTLED";
  }
  if (different) return {"DIFFERENT", 3};
  if (unsettled || project.verification() != "EQUAL") return {"UNSETTLED", 3};
  return {"VERIFIED", 0};
}

std::string report_json(const admin::v1::Project& project, const Outcome& outcome) {
  Json errors = Json::array();
  for (const auto& error : project.errors()) errors.push_back(error_json(error));
  for (const Error& error : outcome.errors) errors.push_back(error_json(net::to_proto(error)));
  const auto& incremental = project.incremental();
  const Json report = {{"version", 1},
                       {"project", project.id()},
                       {"status", outcome.status},
                       {"source", outcome.source},
                       {"target", outcome.target},
                       {"started", outcome.started},
                       {"finished", outcome.finished},
                       {"tables", tables_json(project)},
                       {"incremental",
                        {{"start", incremental.start()},
                         {"end", incremental.end()},
                         {"transactions", incremental.transactions()},
                         {"rows", incremental.rows()},
                         {"ddl", incremental.ddl()},
                         {"lag_ms", incremental.lag_ms()}}},
                       {"warnings", std::vector<std::string>(project.warnings().begin(), project.warnings().end())},
                       {"errors", errors}};
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_text(const admin::v1::Project& project, const Outcome& outcome) {
  uint64_t tables = 0, rows = 0, bytes = 0;
  for (const auto& table : project.tables())
    tables += table.state() != "VIEW", rows += table.rows(), bytes += table.bytes();
  std::string text = fmt::format("{}: {} tables, {} rows ({:.1f} MiB) copied, {} transactions with {} rows followed\n",
                                 outcome.status, tables, rows, static_cast<double>(bytes) / (1 << 20),
                                 project.incremental().transactions(), project.incremental().rows());
  for (const auto& table : project.tables())
    if (table.verify() == "DIFFERENT" || table.verify() == "UNSETTLED")
      text += fmt::format("  {} {}: {} rows\n", table.verify(), table.source(), table.differences());
  if (outcome.exit_status == 3 && !project.difference_file().empty())
    text += fmt::format("  differences: {}\n  correction:  {}\n", project.difference_file(), project.correction_file());
  for (const auto& warning : project.warnings()) text += "  warning: " + warning + "\n";
  const auto add_error = [&text](const cluster::v1::Error& error) {
    text +=
        fmt::format("  error {}{}{}{}{}: {}\n    {}\n", error.code(), error.object().empty() ? "" : " ", error.object(),
                    error.position().empty() ? "" : " at ", error.position(), error.cause(), error.action());
  };
  for (const auto& error : project.errors()) add_error(error);
  for (const Error& error : outcome.errors) add_error(net::to_proto(error));
  if (outcome.status == "FAILED" || outcome.status == "INTERRUPTED")
    text += "  go on with: the same command and --resume\n";
  return text;
}

Status write_report(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const auto failed = [&](const char* what) {
    const Error error(errno == ENOSPC ? ErrorCode::DISK_FULL : ErrorCode::IO_ERROR,
                      std::string(what) + ": " + std::strerror(errno), path);
    unlink(temporary.c_str());
    return error;
  };
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed("cannot write the report");
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  close(fd);
  if (!written) return failed("cannot write the report");
  return rename(temporary.c_str(), path.c_str()) == 0 ? Status() : Status(failed("cannot write the report"));
}

std::string iso_time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace sluice::cli

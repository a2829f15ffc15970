#include "cli/migrate_display.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/error_text.hpp"
#include "cli/migrate_report.hpp"
#include "core/clock.hpp"

namespace sluice::cli {

using Json = nlohmann::ordered_json;

namespace {

constexpr double kSummaryPeriod = 5.0;  // seconds between plain summaries
constexpr size_t kTablesShown = 8;

double now_seconds() { return static_cast<double>(system_clock().boot_time().count()) / 1e9; }

std::string human(double number) {
  if (number >= 1e9) return fmt::format("{:.1f}G", number / 1e9);
  if (number >= 1e6) return fmt::format("{:.1f}M", number / 1e6);
  if (number >= 1e4) return fmt::format("{:.0f}k", number / 1e3);
  return fmt::format("{:.0f}", number);
}

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

std::string lag_text(const admin::v1::Project& project) {
  const int64_t lag = project.incremental().lag_ms();
  if (lag < 0) return "lag unknown";
  return lag < 1000 ? fmt::format("lag {} ms", lag) : fmt::format("lag {}", duration(static_cast<double>(lag) / 1000));
}

const char* mark(const std::string& status) {
  if (status == "FINISHED") return "✓";
  if (status == "RUNNING" || status == "MONITORING") return "▶";
  if (status == "FAILED") return "✗";
  if (status == "SUSPEND") return "‖";
  return "·";
}

// Output that nobody takes (a closed terminal or pipe) does not end the work.
void put(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string bar(double share, size_t width) {
  const size_t full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  std::string text;
  for (size_t index = 0; index < width; ++index) text += index < full ? "█" : "░";
  return text;
}

// As many steps to a line as fit: all of them are to be seen on a narrow terminal too.
std::string step_lines(const admin::v1::Project& project, size_t width) {
  std::string text;
  size_t used = 0;
  for (const auto& step : project.steps()) {
    const size_t length = step.name().size() + 2;  // a mark is one character wide
    if (used > 0 && used + 2 + length > width) {
      text += '\n';
      used = 0;
    }
    text += fmt::format("{}{} {}", used > 0 ? "  " : "", mark(step.status()), step.name());
    used += (used > 0 ? 2 : 0) + length;
  }
  return text + "\n";
}

// Cuts to `width` characters, counting UTF-8 sequences as one, so that a line never wraps.
std::string fit(const std::string& line, size_t width) {
  size_t characters = 0, at = 0;
  while (at < line.size()) {
    if ((static_cast<unsigned char>(line[at]) & 0xC0) != 0x80 && characters++ == width) break;
    ++at;
  }
  return line.substr(0, at);
}

// In lines of at most `width` characters, broken at spaces where there are some.
std::string wrap(std::string line, size_t width) {
  std::string text;
  for (std::string piece; (piece = fit(line, width)).size() < line.size();) {
    const size_t space = line[piece.size()] == ' ' ? piece.size() : piece.rfind(' ');
    if (space != std::string::npos && space > width / 2) piece.resize(space);
    text += piece + "\n";
    line.erase(0, line.find_first_not_of(' ', piece.size()));
    if (!line.empty()) line.insert(0, "  ");
  }
  return text + line + "\n";
}

}  // namespace

MigrateDisplay::MigrateDisplay(ProgressStyle style, std::string source, std::string target)
    : style_(style), source_(std::move(source)), target_(std::move(target)) {
  if (style_ == ProgressStyle::kAuto) style_ = isatty(STDOUT_FILENO) ? ProgressStyle::kBar : ProgressStyle::kPlain;
}

MigrateDisplay::Rate MigrateDisplay::measure(const std::string& key, uint64_t rows, uint64_t bytes, double now) {
  Sample& sample = samples_[key];
  if (sample.at == 0) {
    sample = {now, rows, bytes, {}};
  } else if (now - sample.at >= 1.0) {
    const double span = now - sample.at;
    const auto per_second = [span](uint64_t after, uint64_t before) {
      return after > before ? static_cast<double>(after - before) / span : 0.0;
    };
    sample = {now, rows, bytes, {per_second(rows, sample.rows), per_second(bytes, sample.bytes)}};
  }
  return sample.rate;
}

std::string MigrateDisplay::table_lines(const admin::v1::Project& project, double now) {
  std::vector<const admin::v1::TableState*> active;
  for (const auto& table : project.tables())
    if (!table.finished() && table.rows() > 0) active.push_back(&table);
  std::stable_sort(active.begin(), active.end(),
                   [](auto* a, auto* b) { return a->rows_estimated() > b->rows_estimated(); });
  std::string text;
  for (size_t index = 0; index < std::min(active.size(), kTablesShown); ++index) {
    const auto& table = *active[index];
    const Rate rate = measure(table.source(), table.rows(), table.bytes(), now);
    const double share =
        table.rows_estimated() ? static_cast<double>(table.rows()) / static_cast<double>(table.rows_estimated()) : 0;
    text += fmt::format("  {:<32} {} {:>9} rows {:>7}/s {:>7}B/s\n", table.source(), bar(share, 20),
                        human(static_cast<double>(table.rows())), human(rate.rows_per_second),
                        human(rate.bytes_per_second));
  }
  return text;
}

std::string MigrateDisplay::bar_block(const admin::v1::Project& project, Waits& waits, double now, TerminalSize size) {
  const size_t width = size.columns;
  std::string text = fmt::format("sluice migrate  {} → {}\n", source_, target_);
  text += step_lines(project, width);
  const auto& totals = project.totals();
  const Rate rate = measure("", totals.rows(), totals.bytes(), now);
  const auto rows = static_cast<double>(totals.rows()), estimated = static_cast<double>(totals.rows_estimated());
  std::string eta;
  if (rate.rows_per_second > 0 && estimated > rows)
    eta = ", about " + duration((estimated - rows) / rate.rows_per_second) + " left";
  text += fmt::format("tables {}/{}  rows {} ({}/s, {}B/s{})\n", totals.tables_finished(), totals.tables(), human(rows),
                      human(rate.rows_per_second), human(rate.bytes_per_second), eta);
  text += table_lines(project, now);
  const auto& incremental = project.incremental();
  if (incremental.transactions() > 0 || !incremental.end().empty()) {
    const Rate follow = measure("incremental", incremental.transactions(), incremental.rows(), now);
    text +=
        fmt::format("following: {} transactions ({}/s), {} DDL, {}{}\n", incremental.transactions(),
                    human(follow.rows_per_second), incremental.ddl(), lag_text(project),
                    incremental.conflicts_total() ? fmt::format(", {} conflicts", incremental.conflicts_total()) : "");
  }
  if (!project.verification().empty()) text += "verification: " + project.verification() + "\n";
  for (const auto& error : project.errors()) text += wrap("! " + error_text(error), width);
  for (const Wait& wait : waits.lasting()) text += wrap("… " + wait_text(wait), width);
  std::string block;
  // A block that is higher than the terminal could not be drawn over.
  for (size_t start = 0, line = 0; start < text.size() && line + 1 < size.rows; ++line) {
    const size_t end = text.find('\n', start);
    block += fit(text.substr(start, end - start), size.columns) + "\033[K\n";
    start = end + 1;
  }
  return block;
}

void MigrateDisplay::show_bar(const admin::v1::Project& project, Waits& waits, double now) {
  winsize window{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0;
  const TerminalSize size{known && window.ws_col > 20 ? window.ws_col : size_t{100},
                          known && window.ws_row > 1 ? window.ws_row : size_t{25}};
  std::string block = bar_block(project, waits, now, size);
  const auto lines = static_cast<size_t>(std::count(block.begin(), block.end(), '\n'));
  if (lines_drawn_ > 0) block.insert(0, fmt::format("\033[{}A", lines_drawn_));
  if (lines < lines_drawn_) block += "\033[J";
  lines_drawn_ = lines;
  put(block);
  std::fflush(stdout);
}

void MigrateDisplay::show_plain(const admin::v1::Project& project, Waits& waits, double now) {
  const auto say = [this](const std::string& subject, const std::string& state, const std::string& line) {
    std::string& shown = shown_[subject];
    if (shown == state) return;
    shown = state;
    put(utc_now() + " " + line + "\n");
  };
  for (const auto& step : project.steps())
    if (step.status() != "INIT") say("step " + step.name(), step.status(), step.name() + " " + step.status());
  for (const auto& table : project.tables()) {
    if (table.finished())
      say("table " + table.source(), "finished",
          fmt::format("copied {} → {}: {} rows in {:.1f} s", table.source(), table.target(), table.rows(),
                      table.seconds()));
    if (!table.verify().empty())
      say("verify " + table.source(), table.verify(),
          fmt::format("verified {}: {}{}", table.source(), table.verify(),
                      table.differences() ? fmt::format(", {} rows differ", table.differences()) : ""));
  }
  for (const auto& warning : project.warnings()) say("warning " + warning, "shown", "warning: " + warning);
  waits.tell([](const Wait& wait) { put(utc_now() + " " + wait_text(wait) + "\n"); },
             [](const Wait& wait) { put(utc_now() + " " + wait.kind + " goes on\n"); });
  for (const auto& error : project.errors())
    say("error " + error.code() + error.cause(), "shown", "error: " + error_text(error));
  if (now - last_summary_ >= kSummaryPeriod) {
    last_summary_ = now;
    const auto& totals = project.totals();
    const Rate rate = measure("", totals.rows(), totals.bytes(), now);
    put(fmt::format("{} tables {}/{}, {} rows ({}/s, {}B/s), {} transactions, {} DDL, {}\n", utc_now(),
                    totals.tables_finished(), totals.tables(), totals.rows(), human(rate.rows_per_second),
                    human(rate.bytes_per_second), project.incremental().transactions(), project.incremental().ddl(),
                    lag_text(project)));
  }
  std::fflush(stdout);
}

void MigrateDisplay::put_json(Json line) {
  line["time"] = utc_now();
  put(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void MigrateDisplay::show_json(const admin::v1::Project& project, Waits& waits) {
  const auto print = [&](const std::string& subject, Json line) {
    std::string state = line.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string& shown = shown_[subject];
    if (shown == state) return;
    shown = std::move(state);
    put_json(std::move(line));
  };
  const std::string running = project.extra_info().running_step();
  const auto in_step = [&](const Json& object) {
    Json line = {{"step", running}};
    line.update(object);
    return line;
  };
  for (const auto& step : project.steps())
    print("step " + step.name(), {{"step", step.name()}, {"status", step.status()}});
  for (const auto& check : project.checks())
    print("check " + check.name(), {{"step", "TRANSFER_PRECHECK"},
                                    {"check", check.name()},
                                    {"level", check.level()},
                                    {"cause", check.cause()},
                                    {"cure", check.cure()}});
  for (const auto& table : project.tables()) print("table " + table.source(), in_step(table_json(table)));
  print("incremental", in_step(incremental_json(project.incremental())));
  const auto error_object = [&](const cluster::v1::Error& error) { return in_step(error_json(error)); };
  for (const auto& error : project.errors()) print("error " + error.code() + error.cause(), error_object(error));
  waits.tell(
      [&](const Wait& wait) {
        Json line = error_object(wait.error);
        line["component"] = wait.kind;
        line["state"] = "WAITING";
        put_json(std::move(line));
      },
      [&](const Wait& wait) {
        put_json({{"step", running}, {"component", wait.kind}, {"state", "RUNNING"}});
      });
  for (const auto& warning : project.warnings()) print("warning " + warning, {{"step", running}, {"warning", warning}});
  std::fflush(stdout);
}

void MigrateDisplay::show(const admin::v1::Project& project, Waits& waits) {
  const double now = now_seconds();
  switch (style_) {
    case ProgressStyle::kBar:
      return show_bar(project, waits, now);
    case ProgressStyle::kPlain:
      return show_plain(project, waits, now);
    case ProgressStyle::kJson:
      return show_json(project, waits);
    default:
      return;
  }
}

void MigrateDisplay::show_checks(const admin::v1::Project& project) {
  if (style_ != ProgressStyle::kBar && style_ != ProgressStyle::kPlain) return;
  for (const auto& check : project.checks())
    put(check.level() + "  " + check.name() + (check.cause().empty() ? "" : ": " + check.cause()) +
        (check.cure().empty() ? "" : "\n        cure: " + check.cure()) + "\n");
  std::fflush(stdout);
}

void MigrateDisplay::note(const std::string& line) {
  if (style_ == ProgressStyle::kPlain) {
    put(utc_now() + " " + line + "\n");
  } else if (style_ == ProgressStyle::kBar) {
    put(line + "\033[K\n");
    lines_drawn_ = 0;  // the block goes on below
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stdout);
}

void MigrateDisplay::end() { lines_drawn_ = 0; }

}  // namespace sluice::cli

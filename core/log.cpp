#include "core/log.hpp"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

namespace sluice::log {
namespace {

std::shared_ptr<spdlog::logger> make_logger(const Options& options) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (options.file.empty())
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  else
    sink =
        std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.file, options.file_bytes_max, options.files_max);
  auto logger = std::make_shared<spdlog::logger>("sluice", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(static_cast<spdlog::level::level_enum>(static_cast<int>(options.level) + 1));
  logger->flush_on(spdlog::level::info);
  return logger;
}

// Never destroyed: threads may log while the process ends.
std::shared_ptr<spdlog::logger>& current() {
  static auto* logger = new std::shared_ptr<spdlog::logger>(make_logger({.level = Level::kWarn}));
  return *logger;
}

std::shared_ptr<const Tap>& tap() {
  static auto* current = new std::shared_ptr<const Tap>();
  return *current;
}

bool is_plain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\') return false;
  return true;
}

void append_value(std::string& line, std::string_view value) {
  if (is_plain(value)) {
    line.append(value);
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    if (c == '\n')
      line += "\\n";
    else
      line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  line += '"';
}

}  // namespace

void init(const Options& options) {
  try {
    std::atomic_store(&current(), make_logger(options));
  } catch (const spdlog::spdlog_ex& e) {
    // A log that cannot be opened must not stop a migration: stderr is used instead.
    std::atomic_store(&current(), make_logger({.level = options.level}));
    write(Level::kError, "log", "cannot open log file, logging to stderr",
          {{"file", options.file}, {"cause", e.what()}});
  }
}

void set_tap(Tap next) {
  std::atomic_store(&tap(), next ? std::make_shared<const Tap>(std::move(next)) : std::shared_ptr<const Tap>());
}

void write(Level level, std::string_view component, std::string_view message, std::initializer_list<Field> fields) {
  auto logger = std::atomic_load(&current());
  const auto spd_level = static_cast<spdlog::level::level_enum>(static_cast<int>(level) + 1);
  if (!logger->should_log(spd_level)) return;
  std::string line(component);
  line.append(": ").append(message);
  for (const Field& field : fields) {
    line.append(" ").append(field.key).append("=");
    append_value(line, field.value);
  }
  logger->log(spd_level, spdlog::string_view_t(line.data(), line.size()));
  if (level < Level::kWarn) return;
  if (auto looks = std::atomic_load(&tap())) (*looks)(level, line);
}

}  // namespace sluice::log

// The live display of `sluice migrate`: a block that is redrawn on a terminal, plain lines elsewhere, JSON lines for
// programs. Used by one thread; show() is called with every snapshot, a few times a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/migrate_options.hpp"
#include "cli/waits.hpp"
#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {

class MigrateDisplay {
 public:
  // kAuto becomes kBar when standard output is a terminal, else kPlain.
  MigrateDisplay(ProgressStyle style, std::string source, std::string target);

  void show(const admin::v1::Project& project, Waits& waits);
  void show_checks(const admin::v1::Project& project);  // for people, all of them; JSON has them as they come
  void note(const std::string& line);                   // an event of the command itself
  void end();                                           // leaves the last state on the screen

 private:
  struct Rate {
    double rows_per_second = 0, bytes_per_second = 0;
  };
  struct TerminalSize {
    size_t columns, rows;
  };
  Rate measure(const std::string& key, uint64_t rows, uint64_t bytes, double now);
  std::string bar_block(const admin::v1::Project& project, Waits& waits, double now, TerminalSize size);
  std::string table_lines(const admin::v1::Project& project, double now);
  void show_bar(const admin::v1::Project& project, Waits& waits, double now);
  void show_plain(const admin::v1::Project& project, Waits& waits, double now);
  void show_json(const admin::v1::Project& project, Waits& waits);
  void put_json(nlohmann::ordered_json line);

  struct Sample {
    double at = 0;
    uint64_t rows = 0, bytes = 0;
    Rate rate;
  };
  ProgressStyle style_;
  std::string source_, target_;
  std::map<std::string, Sample> samples_;
  std::map<std::string, std::string> shown_;  // what plain lines said last, by subject
  double last_summary_ = 0;
  size_t lines_drawn_ = 0;
};

}  // namespace sluice::cli

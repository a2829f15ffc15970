// What `sluice migrate` shows: a display that is drawn anew on a terminal, plain lines elsewhere, JSON for programs.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "tests/support/mariadb.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::steady_clock;

// `sluice migrate` on a terminal of its own.
class TerminalRun {
 public:
  static constexpr unsigned short kColumns = 110;
  explicit TerminalRun(std::vector<std::string> args, unsigned short rows = 50, unsigned short columns = kColumns) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    std::vector<char*> argv;
    args.insert(args.begin(), "sluice");
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      execv(std::getenv("SLUICE_BIN"), argv.data());
      _exit(127);
    }
  }
  ~TerminalRun() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(terminal_);
  }
  TerminalRun(const TerminalRun&) = delete;

  // Reads until `words` were shown; false when the program ended, or after two minutes.
  bool read_until(const std::string& words) { return read(words); }
  // Reads to the end; the exit status.
  int end() {
    read("\x01 is never shown");
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void press(char key) { ASSERT_EQ(write(terminal_, &key, 1), 1); }
  const std::string& shown() const { return shown_; }

 private:
  bool read(const std::string& words) {
    const auto deadline = steady_clock::now() + minutes(2);
    while (shown_.find(words) == std::string::npos) {
      pollfd fd{terminal_, POLLIN, 0};
      if (steady_clock::now() > deadline) return false;
      if (poll(&fd, 1, 500) <= 0) continue;
      char buffer[4096];
      const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
      if (count <= 0) return false;  // EIO: the other side is closed
      shown_.append(buffer, static_cast<size_t>(count));
    }
    return true;
  }
  int terminal_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
};

// The printed lines without what moves the cursor; anything else that is no text is named in `garbage`.
std::vector<std::string> printed_lines(const std::string& shown, std::string& garbage) {
  std::vector<std::string> lines(1);
  for (size_t at = 0; at < shown.size(); ++at) {
    const auto c = static_cast<unsigned char>(shown[at]);
    if (c == '\n') {
      lines.emplace_back();
    } else if (c == 0x1b) {
      const size_t end = shown.find_first_not_of("0123456789;", at + 2);
      if (end == std::string::npos || shown[at + 1] != '[' || std::string("AKJ").find(shown[end]) == std::string::npos)
        garbage += "an unknown sequence after '" + lines.back() + "'; ";
      at = end == std::string::npos ? shown.size() : end;
    } else if (c >= 0x20 && c != 0x7f) {
      lines.back() += shown[at];
    } else if (c != '\r') {
      garbage += "character " + std::to_string(c) + " after '" + lines.back() + "'; ";
    }
  }
  return lines;
}

size_t characters(const std::string& line) {
  size_t count = 0;
  for (const char c : line) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

class Display : public ::testing::Test {
 protected:
  void SetUp() override { workload.create(); }
  std::vector<std::string> arguments(std::vector<std::string> more) {
    std::vector<std::string> all{"migrate", source_url,   target.url(),       "--include",
                                 "app.*",   "--work-dir", folder.file("work")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // Exit status; standard output and error in `out` and `err`.
  int run(std::vector<std::string> more) {
    ProcessOptions options;
    options.program = std::getenv("SLUICE_BIN");
    options.args = arguments(std::move(more));
    options.stdout_file = folder.file("out");
    options.stderr_file = folder.file("err");
    auto process = ChildProcess::start(options);
    const int status = process.wait(minutes(4)).value_or(-1);
    out = read_text_file(options.stdout_file);
    err = read_text_file(options.stderr_file);
    return status;
  }
  // From the first block to the report every line fits, or drawing anew would leave pieces behind.
  static void expect_drawn_well(const std::string& shown, size_t columns) {
    std::string garbage;
    const auto printed = printed_lines(shown, garbage);
    EXPECT_EQ(garbage, "");
    EXPECT_TRUE(is_utf8(shown));
    bool block = false;
    for (const auto& line : printed) {
      if (line.rfind("VERIFIED", 0) == 0 || line.rfind("FAILED", 0) == 0) break;
      block = block || line.rfind("sluice migrate", 0) == 0;
      if (block) EXPECT_LE(characters(line), columns) << line;
    }
  }
  static std::vector<std::string> lines(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  }

  TempDir folder{"sluice-display"};
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  std::string source_url = source.url();
  Workload workload{source, {.writers = 1, .rows = 3000}};
  std::string out, err;
};

TEST_F(Display, OnATerminalItIsDrawnAnewAndCtrlCDrains) {
  source.sql(
      "CREATE TABLE app.wide (id INT PRIMARY KEY, pad VARCHAR(100)); INSERT INTO app.wide SELECT seq, "
      "REPEAT('x', 100) FROM app.seq_1_to_60000");
  workload.start();
  TerminalRun terminal(arguments({"--follow", "--throttle-rps", "15000"}));
  ASSERT_TRUE(terminal.read_until("following: ")) << terminal.shown();
  ASSERT_TRUE(terminal.read_until("verification: EQUAL")) << terminal.shown();
  workload.stop();
  terminal.press('\x03');
  EXPECT_EQ(terminal.end(), 0) << terminal.shown();
  const std::string& shown = terminal.shown();
  for (const char* words : {"TRANSFER_PRECHECK", "STRUCT_TRANSFER", "FULL_TRANSFER", "INCR_TRANSFER", "FULL_VERIFIER",
                            "▶", "✓", "rows ", "B/s", " left", "app.wide", "█", "lag ", "Finishing: ", "VERIFIED"})
    EXPECT_NE(shown.find(words), std::string::npos) << words << " was not shown:\n" << shown;
  EXPECT_EQ(shown.find(MariaDbServer::kPassword), std::string::npos);
  expect_drawn_well(shown, TerminalRun::kColumns);
}

// Higher than the terminal, the block could not be drawn over: the cursor does not go above the first line.
TEST_F(Display, OnALowTerminalTheBlockIsCut) {
  constexpr unsigned short kRows = 6, kNarrow = 40;
  TerminalRun terminal(arguments({}), kRows, kNarrow);
  EXPECT_EQ(terminal.end(), 0) << terminal.shown();
  const std::string& shown = terminal.shown();
  expect_drawn_well(shown, kNarrow);
  size_t redrawn = 0;
  for (size_t at = 0; (at = shown.find("\033[", at)) != std::string::npos; ++at) {
    char* end = nullptr;
    const unsigned long up = std::strtoul(shown.c_str() + at + 2, &end, 10);
    if (*end != 'A') continue;
    ++redrawn;
    EXPECT_LT(up, kRows);
  }
  EXPECT_GT(redrawn, 0U) << shown;
}

// With code, object, cause and cure, whole also on a narrow terminal.
TEST_F(Display, AnErrorIsShownToPeopleWithItsCure) {
  source_url = "mysql://nobody:wrong@127.0.0.1:" + std::to_string(source.port());
  const std::string cure = "Check user and password, then resume.";
  constexpr unsigned short kNarrow = 60;
  TerminalRun terminal(arguments({}), 50, kNarrow);
  EXPECT_EQ(terminal.end(), 4) << terminal.shown();
  expect_drawn_well(terminal.shown(), kNarrow);
  std::string garbage, words;
  for (std::string line : printed_lines(terminal.shown(), garbage)) {
    if (line.rfind("FAILED", 0) == 0) break;
    line.erase(0, line.find_first_not_of(' ') == std::string::npos ? 0 : line.find_first_not_of(' '));
    words += line + " ";
  }
  EXPECT_NE(words.find("! ACCESS_DENIED"), std::string::npos) << words;
  EXPECT_NE(words.find("nobody"), std::string::npos) << words;
  EXPECT_NE(words.find(cure), std::string::npos) << words;
  EXPECT_EQ(run({"--resume"}), 4) << out << err;
  EXPECT_NE(out.find("Z error: ACCESS_DENIED"), std::string::npos) << out;
  EXPECT_NE(out.find(cure), std::string::npos) << out;
  EXPECT_NE(err.find("error ACCESS_DENIED"), std::string::npos) << err;
  EXPECT_NE(err.find(cure), std::string::npos) << err;
}

TEST_F(Display, ElsewhereItIsPlainLinesWithTheirTime) {
  EXPECT_EQ(run({}), 0) << out << err;
  for (const auto& line : lines(out)) {
    EXPECT_EQ(line.find('\033'), std::string::npos) << line;
    EXPECT_EQ(line.substr(0, 2), "20") << line;
    EXPECT_EQ(line.find("Z "), 19U) << line;
  }
  for (const char* words : {"FULL_TRANSFER RUNNING", "FULL_TRANSFER FINISHED",
                            "copied app.items → app.items: ", "verified app.bank: EQUAL", "tables ", " lag "})
    EXPECT_NE(out.find(words), std::string::npos) << words << " is missing:\n" << out;
  EXPECT_NE(err.find("VERIFIED: 8 tables"), std::string::npos) << err;
}

TEST_F(Display, JsonIsOneObjectPerLine) {
  EXPECT_EQ(run({"--progress", "json"}), 0) << out << err;
  std::set<std::string> steps, verified;
  for (const auto& line : lines(out)) {
    const auto object = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(object.is_object()) << line;
    EXPECT_TRUE(object.contains("step") && object.contains("time")) << line;
    if (object.value("status", "") == "FINISHED") steps.insert(object["step"]);
    if (object.value("verify", "") == "EQUAL") verified.insert(object["source"]);
    if (object.contains("lag_ms")) EXPECT_TRUE(object["lag_ms"].is_number_integer()) << line;
  }
  EXPECT_TRUE(steps.count("FULL_TRANSFER") && steps.count("STRUCT_TRANSFER") && steps.count("FULL_VERIFIER")) << out;
  EXPECT_EQ(verified.size(), 8U) << out;
}

TEST_F(Display, NoneAndUsage) {
  EXPECT_EQ(run({"--progress", "none", "--report", folder.file("report.json")}), 0) << err;
  EXPECT_EQ(out, "");
  const auto report = nlohmann::json::parse(read_text_file(folder.file("report.json")), nullptr, false);
  ASSERT_TRUE(report.is_object());
  for (const char* key : {"version", "project", "status", "source", "target", "started", "finished", "tables",
                          "incremental", "warnings", "errors"})
    EXPECT_TRUE(report.contains(key)) << key;
  EXPECT_EQ(report["tables"].size(), 8U);
  EXPECT_EQ(report["incremental"]["lag_ms"].is_number_integer(), true) << report.dump(1);
  EXPECT_EQ(run({"--progress", "loud"}), 2);
  EXPECT_EQ(run({"--follow", "--once"}), 2);
}

}  // namespace
}  // namespace sluice::testing

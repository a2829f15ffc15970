// A password that is given to `sluice migrate` or `sluice datasource create` is seen by nobody: no command line, no
// environment of a process that is started, no log, report, answer, file of the work directory or of the cluster's data
// directories, or table of the meta database holds it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "tests/support/cluster_run.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"
#include "tests/support/workload.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::minutes;

constexpr char kCanary[] = "kanarienvogel-7391";

// Looks at all processes of the machine, again and again.
class ProcessWatch {
 public:
  explicit ProcessWatch(pid_t command) : command_(command) {
    thread_ = std::thread([this] {
      const auto begun = std::chrono::steady_clock::now();
      while (!over_) {
        // Its own arguments and environment are cleaned first of all, but not before it runs.
        look(std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(1500));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
  }
  std::map<std::string, std::string> end() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    return found_;
  }
  ~ProcessWatch() { end(); }
  size_t looked_at() const { return seen_.size(); }

 private:
  void look(bool at_the_command) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      if (std::stoi(name) == command_ && !at_the_command) continue;
      for (const char* file : {"cmdline", "environ"}) {
        const std::string text = read_text_file(entry.path() / file);
        if (text.find(kCanary) != std::string::npos) found_[name + "/" + file] = text.substr(0, 300);
        if (text.find("component") != std::string::npos) seen_[name] = text;
      }
    }
  }
  const pid_t command_;
  std::atomic<bool> over_{false};
  std::map<std::string, std::string> found_, seen_;
  std::thread thread_;
};

void expect_no_file_holds(const fs::path& folder, const std::string& password) {
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    ++files;
    EXPECT_EQ(read_text_file(entry.path()).find(password), std::string::npos) << entry.path();
  }
  EXPECT_GT(files, 10U);
}

void expect_no_table_holds(MariaDbServer& server, const std::string& password) {
  for (const auto& table : server.query("SHOW TABLES FROM sluice"))
    for (const auto& row : server.query("SELECT * FROM sluice.`" + *table[0] + "`"))
      for (const auto& cell : row) EXPECT_EQ(cell.value_or("").find(password), std::string::npos) << *table[0];
}

class Secrets : public ::testing::Test {
 protected:
  void SetUp() override {
    workload.create();
    for (MariaDbServer* server : {&source, &target})
      server->sql(std::string("CREATE USER canary@'%' IDENTIFIED BY '") + kCanary +
                  "'; GRANT ALL ON *.* TO canary@'%'");
  }
  void expect_nowhere(bool in_url) {
    const auto url = [&](const MariaDbServer& server) {
      return "mysql://canary" + (in_url ? std::string(":") + kCanary : "") +
             "@127.0.0.1:" + std::to_string(server.port());
    };
    ProcessOptions options;
    options.program = std::getenv("SLUICE_BIN");
    options.args = {"migrate",    url(source),         url(target), "--include", "app.*",
                    "--work-dir", folder.file("work"), "--follow",  "--report",  folder.file("report")};
    if (!in_url) options.env = {{"SLUICE_SOURCE_PASSWORD", kCanary}, {"SLUICE_TARGET_PASSWORD", kCanary}};
    options.stdout_file = options.stderr_file = folder.file("output");
    auto process = ChildProcess::start(options);
    ProcessWatch watch(process.pid());
    const auto verified = [&] {
      return !process.running() || read_text_file(options.stdout_file).find("verified app.bank") != std::string::npos;
    };
    EXPECT_TRUE(wait_until(verified, minutes(2)));
    expect_no_core_files(process.pid());
    source.sql("INSERT INTO app.bank VALUES (1000, 1)");
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(minutes(2)), 0) << read_text_file(options.stdout_file);
    for (const auto& [place, text] : watch.end()) ADD_FAILURE() << "/proc/" << place << ": " << text;
    EXPECT_GE(watch.looked_at(), 5U);
    expect_no_file_holds_it();
    expect_no_table_holds(target, kCanary);
  }
  // The command, its coordinator and agent, and the components: a crash of none writes its memory to the disk.
  void expect_no_core_files(pid_t command) {
    size_t processes = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const fs::path place = fs::read_symlink(entry.path() / "cwd", error);
      if (error || (std::stoi(name) != command && place.string().rfind(folder.path().string(), 0) != 0)) continue;
      const std::string limits = read_text_file(entry.path() / "limits");
      if (limits.empty()) continue;  // it has just ended
      ++processes;
      const std::string line = limits.substr(limits.find("Max core file size"), 68);  // name, soft limit, hard limit
      EXPECT_EQ(line.substr(18).find_first_not_of("0 "), std::string::npos)
          << read_text_file(entry.path() / "cmdline") << ": " << line;
    }
    EXPECT_GE(processes, 5U);
  }
  void expect_no_file_holds_it() {
    expect_no_file_holds(folder.path(), kCanary);
    struct stat status {};
    for (const char* secret : {"work/coordinator/master.key", "work/coordinator/admin.token"}) {
      ASSERT_EQ(stat(folder.file(secret).c_str(), &status), 0) << secret;
      EXPECT_EQ(status.st_mode & 0777, 0600U) << secret;
    }
  }

  TempDir folder{"sluice-secrets"};
  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  Workload workload{source, {.rows = 300}};
};

TEST_F(Secrets, APasswordInTheUrl) { expect_nowhere(true); }

// A command line that is refused is not repeated with its passwords.
TEST_F(Secrets, AUsageErrorDoesNotRepeatIt) {
  const std::string url = std::string("mysql://canary:") + kCanary + "@127.0.0.1:1";
  for (const std::vector<std::string>& args : {std::vector<std::string>{"migrate", url, url, url},
                                               {"migrate", url, url, "--nosuch"},
                                               {"datasource", "create", "x", url, url}}) {
    std::string output;
    EXPECT_EQ(run_program(std::getenv("SLUICE_BIN"), args, &output), 2) << output;
    EXPECT_FALSE(output.empty());
    EXPECT_EQ(output.find(kCanary), std::string::npos) << output;
  }
}

TEST_F(Secrets, APasswordInTheEnvironment) { expect_nowhere(false); }

// The client's own command line is cleaned before it waits for anybody; what the coordinator keeps is sealed, and no
// client is told.
TEST_F(Secrets, APasswordGivenToACluster) {
  const std::string password = MariaDbServer::kPassword;
  ClusterRun cluster(source, target);
  cluster.coordinator().signal(SIGSTOP);
  ProcessOptions options;
  options.program = std::getenv("SLUICE_BIN");
  options.args = {"datasource",    "create",       "seen",         source.url(),
                  "--coordinator", cluster.grpc(), "--token-file", cluster.token_file()};
  options.stdout_file = options.stderr_file = folder.file("client");
  auto client = ChildProcess::start(options);
  const auto cleaned = [&] {
    const std::string line = command_line(client.pid());
    return line.find("datasource") != std::string::npos && line.find(password) == std::string::npos;
  };
  EXPECT_TRUE(wait_until(cleaned, std::chrono::seconds(15))) << command_line(client.pid());
  EXPECT_TRUE(client.running()) << read_text_file(options.stdout_file);
  cluster.coordinator().signal(SIGCONT);
  EXPECT_EQ(client.wait(minutes(1)), 0) << read_text_file(options.stdout_file);

  cluster.create_and_start();
  ASSERT_TRUE(wait_until([&] { return cluster.value("verification") == "EQUAL"; }, minutes(2))) << cluster.logs();
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"datasource", "list"},
                                                                                     {"project", "list"},
                                                                                     {"project", "describe", "shop"},
                                                                                     {"project", "steps", "shop"},
                                                                                     {"node", "list"}})
    for (const char* format : {"table", "json", "yaml"}) {
      std::string output;
      std::vector<std::string> args = words;
      args.insert(args.end(), {"-o", format});
      EXPECT_EQ(cluster.client(args, &output), 0) << words[0] << " " << words[1] << ": " << output;
      EXPECT_GT(output.size(), 10U);
      EXPECT_EQ(output.find(password), std::string::npos) << words[0] << " " << words[1] << ": " << output;
    }
  for (const pid_t pid : processes_in(cluster.folder())) {
    EXPECT_EQ(command_line(pid).find(password), std::string::npos);
    EXPECT_EQ(read_text_file("/proc/" + std::to_string(pid) + "/environ").find(password), std::string::npos);
  }
  EXPECT_GE(processes_in(cluster.folder()).size(), 5U);
  expect_no_file_holds(cluster.folder(), password);
  expect_no_table_holds(target, password);
}

}  // namespace
}  // namespace sluice::testing

// The client commands and the commands that serve, as people type them: what they wait for and what they say. No
// database is needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/mariadb.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class Client : public ::testing::Test {
 protected:
  ChildProcess start(std::vector<std::string> args, const std::string& name) {
    return ChildProcess::start({.program = program,
                                .args = std::move(args),
                                .stdout_file = folder.file(name),
                                .stderr_file = folder.file(name)});
  }
  ChildProcess start_coordinator(const std::string& name = "coordinator.out") {
    return start({"coordinator", "--data-dir", folder.file("c"), "--grpc", grpc, "--http", "none"}, name);
  }
  // Exit status; what it printed is in `output`.
  int run(std::vector<std::string> args) { return run_program(program, args, &output); }
  int client(std::vector<std::string> args) {
    args.insert(args.end(), {"--coordinator", grpc, "--token-file", token()});
    return run(std::move(args));
  }
  std::string token() const { return folder.file("c/admin.token"); }

  const std::string program = std::getenv("SLUICE_BIN");
  TempDir folder{"sluice-client"};
  const std::string grpc = "127.0.0.1:" + std::to_string(free_port());
  std::string output;
};

// As in the README: everything pasted at once.
TEST_F(Client, ACoordinatorThatStartsJustNowIsWaitedFor) {
  ASSERT_FALSE(std::filesystem::exists(token()));
  auto coordinator = start_coordinator();
  auto agent = start({"agent", "--data-dir", folder.file("a"), "--coordinator", grpc, "--token-file", token(),
                      "--listen", "127.0.0.1:" + std::to_string(free_port())},
                     "agent.out");
  EXPECT_EQ(client({"datasource", "create", "old", "mysql://app@127.0.0.1:1"}), 0) << output;
  EXPECT_EQ(client({"datasource", "list"}), 0) << output;
  EXPECT_THAT(output, HasSubstr("old"));
  EXPECT_TRUE(wait_until(
      [&] {
        return client({"node", "list"}) == 0 && output.find("ONLINE") != std::string::npos;
      },
      seconds(20)))
      << output;
  EXPECT_EQ(agent.terminate(), 0);
  EXPECT_EQ(coordinator.terminate(), 0);
}

TEST_F(Client, ErrorsNameWhatIsMeant) {
  auto coordinator = start_coordinator();
  EXPECT_EQ(client({"datasource", "create", "x", "mysql://app@h", "--password-file", folder.file("none")}), 2);
  EXPECT_THAT(output, HasSubstr("password file"));
  EXPECT_THAT(output, Not(HasSubstr("token")));

  auto second = start_coordinator("second.out");
  EXPECT_EQ(second.wait(seconds(30)), 4);
  EXPECT_THAT(read_text_file(folder.file("second.out")), HasSubstr("--data-dir"));

  EXPECT_EQ(run({"log", "/nonexistent"}), 2);
  EXPECT_THAT(output, HasSubstr("sluice log: /nonexistent: neither a folder nor"));
  EXPECT_EQ(run({"log", folder.path()}), 4);
  EXPECT_THAT(output, HasSubstr("NOT_FOUND"));
  for (const char* command : {"coordinator", "agent"}) {
    EXPECT_EQ(run({command}), 2);
    EXPECT_THAT(output, HasSubstr("--data-dir is missing"));
    EXPECT_THAT(output, HasSubstr("--help"));
  }
  for (const char* command : {"project", "datasource", "node"}) {
    EXPECT_EQ(run({command}), 2);
    EXPECT_THAT(output, HasSubstr("list")) << command;
  }
  EXPECT_EQ(client({"project", "decide", "p", "replace", "--position", "0-1-2#0"}), 2);
  EXPECT_THAT(output, HasSubstr("--statement"));
  EXPECT_EQ(run({"project", "frob"}), 2);
  EXPECT_THAT(output, HasSubstr("sluice project: unknown command 'frob': create, list,"));
}

// One shape for whoever mistypes: the command, the cause, where to read on. The code and its general advice add
// nothing.
TEST_F(Client, UsageErrorsHaveOneShape) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"migrate", "mysql://a@h"}, "sluice migrate: TARGET is required\n"},
      {{"migrate", "mysql://a@h", "mysql://b@h", "--speed", "x"}, "sluice migrate: --speed 'x' is none of "},
      {{"coordinator"}, "sluice coordinator: --data-dir is missing "},
      {{"agent", "--nosuch"}, "sluice agent: The following argument was not expected: --nosuch\n"},
      {{"project", "create"}, "sluice project create: --file is required\n"},
      {{"project", "describe", "p", "-o", "xml"}, "sluice project describe: --output: xml not in "},
      {{"node", "list"}, "sluice node list: --token-file is missing "},
      {{"log", "/nonexistent"}, "sluice log: /nonexistent: neither "},
  };
  for (const auto& [words, begin] : cases) {
    EXPECT_EQ(run(words), 2) << begin;
    EXPECT_EQ(output.rfind(begin, 0), 0U) << output;
    const std::string command = begin.substr(0, begin.find(':'));
    EXPECT_THAT(output, HasSubstr("\n" + command + " --help tells more\n"));
    EXPECT_THAT(output, Not(HasSubstr("INVALID_ARGUMENT")));
  }
}

// Nothing runs that could do the work: waiting for its end has an end, and says what it waits for.
TEST_F(Client, WaitingIsBoundedAndTellsWhatFor) {
  auto coordinator = start_coordinator();
  ASSERT_EQ(client({"datasource", "create", "old", "mysql://app@127.0.0.1:1"}), 0) << output;
  ASSERT_EQ(client({"datasource", "create", "new", "mysql://app@127.0.0.1:2"}), 0) << output;
  std::ofstream(folder.file("p.yaml")) << "name: p\ntype: MIGRATION\nsourceEndpointId: old\nsinkEndpointId: new\n"
                                          "enableStructTransfer: true\n";
  ASSERT_EQ(client({"project", "create", "-f", folder.file("p.yaml")}), 0) << output;
  EXPECT_EQ(client({"project", "start", "p", "--wait", "--wait-limit", "4"}), 4);
  EXPECT_THAT(output, HasSubstr("TIMED_OUT"));
  EXPECT_THAT(output, HasSubstr("precheck waits: NO_NODE"));
  EXPECT_EQ(client({"project", "stop", "p", "--wait"}), 0) << output;
  EXPECT_EQ(client({"project", "resume", "p", "--on-conflict", "skip", "--throttle-rps", "5"}), 0) << output;
  EXPECT_EQ(client({"project", "describe", "p", "-o", "json"}), 0);
  EXPECT_THAT(output, HasSubstr("\"onConflict\": \"skip\""));
  EXPECT_EQ(client({"project", "resume", "p", "--on-conflict", "overwrite"}), 4) << "it runs";
  EXPECT_THAT(output, HasSubstr("stop it before"));
  EXPECT_EQ(client({"project", "delete", "p", "--wait"}), 0) << output;
}

// Secrets lie in it, so nobody else may look into a folder that a server makes, however far it comes.
TEST_F(Client, ADataDirectoryIsPrivateFromTheStart) {
  EXPECT_EQ(run({"coordinator", "--data-dir", folder.file("new"), "--grpc", "0.0.0.0:9"}), 4) << output;
  EXPECT_EQ(std::filesystem::status(folder.file("new")).permissions(), std::filesystem::perms::owner_all);
}

// Flags win over the environment, and that over the file.
TEST_F(Client, SettingsComeFromFilesAndTheEnvironment) {
  const std::string health = "127.0.0.1:" + std::to_string(free_port());
  std::ofstream(folder.file("coordinator.yaml"))
      << "data-dir: " << folder.file("c") << "\ngrpc: 127.0.0.1:1\nhttp: none\n";
  std::ofstream(folder.file("agent.yaml")) << "region: north\nzone: z1\nlabel: [rack=r7, disk=nvme]\nnode-id: wrong\n";
  std::filesystem::create_directories(folder.file("home/.config/sluice"));
  std::ofstream(folder.file("home/.config/sluice/config.yaml"))
      << "coordinator: " << grpc << "\ntoken-file: " << token() << "\n";
  const auto start_with = [&](const std::string& name, std::vector<std::string> args,
                              std::map<std::string, std::string> env) {
    const std::string out = folder.file(name + ".out");
    return ChildProcess::start(
        {.program = program, .args = std::move(args), .env = std::move(env), .stdout_file = out, .stderr_file = out});
  };
  auto coordinator =
      start_with("coordinator", {"coordinator", "--config", folder.file("coordinator.yaml")}, {{"SLUICE_GRPC", grpc}});
  auto agent = start_with("agent", {"agent", "--config", folder.file("agent.yaml"), "--zone", "z2"},
                          {{"SLUICE_DATA_DIR", folder.file("a")},
                           {"SLUICE_COORDINATOR", grpc},
                           {"SLUICE_TOKEN_FILE", token()},
                           {"SLUICE_LISTEN", health},
                           {"SLUICE_NODE_ID", "n1"}});
  std::string nodes;
  const auto list = [&] {
    std::filesystem::remove(folder.file("list.out"));
    auto command = start_with("list", {"node", "list", "-o", "json"}, {{"HOME", folder.file("home")}});
    const bool done = command.wait(seconds(30)) == 0;
    nodes = read_text_file(folder.file("list.out"));
    return done && nodes.find("ONLINE") != std::string::npos;
  };
  ASSERT_TRUE(wait_until(list, seconds(30)))
      << nodes << read_text_file(folder.file("coordinator.out")) << read_text_file(folder.file("agent.out"));
  for (const char* said :
       {"\"id\": \"n1\"", "\"region\": \"north\"", "\"zone\": \"z2\"", "\"rack\": \"r7\"", "\"disk\": \"nvme\""})
    EXPECT_THAT(nodes, HasSubstr(said));

  std::ofstream(folder.file("agent.yaml"), std::ios::app) << "colour: red\n";
  auto refused = start_with("refused", {"agent", "--config", folder.file("agent.yaml")}, {});
  EXPECT_EQ(refused.wait(seconds(30)), 2);
  EXPECT_THAT(read_text_file(folder.file("refused.out")), HasSubstr("colour"));
}

TEST_F(Client, HelpSaysWhatIsNeeded) {
  for (const char* command : {"coordinator", "agent"}) {
    EXPECT_EQ(run({command, "--help"}), 0);
    for (const char* words : {"required", "Example", "Exit status", "DIR", "Milliseconds"})
      EXPECT_THAT(output, HasSubstr(words)) << command;
    EXPECT_THAT(output, Not(HasSubstr("TEXT")));
    EXPECT_THAT(output, Not(HasSubstr("DIR ..."))) << "it takes one";
  }
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{{"project", "create"},
                                                                                       {"project", "decide"},
                                                                                       {"project", "resume"},
                                                                                       {"project", "list"},
                                                                                       {"node", "list"},
                                                                                       {"datasource", "create"},
                                                                                       {"migrate"},
                                                                                       {"log"}}) {
    std::vector<std::string> words = command;
    words.push_back("--help");
    EXPECT_EQ(run(words), 0);
    for (const char* said : {"Exit status: 0", "-h,--help"}) EXPECT_THAT(output, HasSubstr(said)) << command.back();
    if (command[0] != "migrate") EXPECT_THAT(output, HasSubstr("SLUICE_TOKEN_FILE")) << command.back();
    for (const char* raw : {"TEXT", "UINT", ":{", " in [", "(repeatable)"})
      EXPECT_THAT(output, Not(HasSubstr(raw))) << command.back();
  }
  EXPECT_EQ(run({"project", "create", "--help"}), 0);
  EXPECT_THAT(output, HasSubstr("sourceEndpointId"));
  EXPECT_EQ(run({"project", "stop", "--help"}), 0);
  EXPECT_THAT(output, HasSubstr("default 120"));
  EXPECT_EQ(run({"log", "--help"}), 0);
  EXPECT_THAT(output, HasSubstr("YYYY-MM-DD HH:MM:SS"));
}

}  // namespace
}  // namespace sluice::testing

// `sluice log`: what it prints of a Store's folder and of a running Store.
#include <fstream>

#include "cli/log_command.hpp"
#include "cli/record_printer.hpp"
#include "store/serve/log_service.hpp"
#include "tests/store/log_fixture.hpp"

namespace sluice::cli {
namespace {

using namespace store::test;

struct Printed {
  int status;
  std::string text;
};

Printed run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "log");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  int status = run_log(static_cast<int>(argv.size()), argv.data());
  return {status, testing::internal::GetCapturedStdout()};
}

TEST(LogCommand, PrintsAFolder) {
  Folder folder;
  {
    auto log = open_log(folder);
    ASSERT_TRUE(log->set_start({position_of(0), 1}).ok());
    ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
    fill(*log, 1, 5, 1, "caf\xc3\xa9");
    ASSERT_TRUE(log->register_reader({"np_1.incr_sync", 3, position_of(2)}).ok());
  }
  auto all = run({folder.path()});
  EXPECT_EQ(all.status, 0);
  EXPECT_NE(all.text.find("retained (bin.000001:0;0-1-0, bin.000001:500;0-1-5]"), std::string::npos) << all.text;
  EXPECT_NE(all.text.find("# reader np_1.incr_sync epoch 3 durable bin.000001:200;0-1-2"), std::string::npos)
      << all.text;
  EXPECT_NE(all.text.find("BEGIN 0-1-4 at 1970-01-01 00:00:04.000000 server 1\n"
                          "  INSERT d.t: id=4, v=0x636166c3a9\n"
                          "COMMIT bin.000001:400;0-1-4 rows 1\n"),
            std::string::npos)
      << all.text;
  auto rest = run({folder.log(), "--from", "bin.000001:300", "--limit", "1"});
  EXPECT_EQ(rest.text.find("BEGIN 0-1-3"), std::string::npos);
  EXPECT_NE(rest.text.find("BEGIN 0-1-4"), std::string::npos);
  EXPECT_EQ(rest.text.find("BEGIN 0-1-5"), std::string::npos);
  auto timed = run({folder.log(), "--at", "1970-01-01 00:00:05", "--no-rows", "--tables", "d.*"});
  EXPECT_EQ(timed.text.find("BEGIN 0-1-4"), std::string::npos);
  EXPECT_NE(timed.text.find("INSERT d.t 1 rows"), std::string::npos);
  auto none = run({folder.log(), "--tables", "other.*"});
  EXPECT_EQ(none.text.find("INSERT"), std::string::npos);
}

TEST(LogCommand, PrintsARunningStore) {
  Folder folder;
  auto log = open_log(folder);
  ASSERT_TRUE(log->begin_incarnation(position_of(0), 0).ok());
  fill(*log, 1, 5);
  store::SourceState source;
  auto server = store::LogServer::start({"127.0.0.1:0", Secret("token"), nullptr}, *log, source);
  ASSERT_TRUE(server.ok());
  std::string token = folder.path() + "/token";
  std::ofstream(token) << "token\n";
  auto printed =
      run({"127.0.0.1:" + std::to_string((*server)->port()), "--token-file", token, "--from", "bin.000001:300"});
  EXPECT_EQ(printed.status, 0);
  EXPECT_EQ(printed.text.find("BEGIN 0-1-3"), std::string::npos);
  EXPECT_NE(printed.text.find("COMMIT bin.000001:500;0-1-5 rows 1"), std::string::npos) << printed.text;
  EXPECT_TRUE(log->readers().empty());  // looking keeps nothing
}

TEST(LogCommand, RefusesWhatItCannotUnderstand) {
  Folder folder;
  EXPECT_EQ(run({}).status, 2);
  EXPECT_EQ(run({folder.path()}).status, 4);
  EXPECT_EQ(run({folder.path(), "--from", "bin.000001:nonsense"}).status, 2);
  EXPECT_EQ(run({folder.path(), "--at", "yesterday"}).status, 2);
}

TEST(LogCommand, PrintsValuesReadably) {
  Column text{.name = "t", .type = ColumnType::kVarchar, .charset = "utf8mb4"};
  EXPECT_EQ(printed_value(text, ValueView::of_bytes("it's\n")), "'it\\'s\\n'");
  EXPECT_EQ(printed_value(text, ValueView::of_bytes("\xff")), "utf8mb4'\\xff'");
  text.charset = "latin1";
  EXPECT_EQ(printed_value(text, ValueView::of_bytes("caf\xe9")), "latin1'caf\\xe9'");
  EXPECT_EQ(printed_value(text, ValueView::of_null(Physical::kBytes)), "NULL");
  Column set{.name = "s", .type = ColumnType::kSet, .labels = {"a", "b", "c"}};
  EXPECT_EQ(printed_value(set, ValueView::of_uint(5)), "'a,c'");
  Column one{.name = "e", .type = ColumnType::kEnum, .labels = {"a", "b"}};
  EXPECT_EQ(printed_value(one, ValueView::of_uint(2)), "'b'");
  EXPECT_EQ(printed_value(one, ValueView::of_uint(0)), "0");
  Column real{.name = "d", .type = ColumnType::kDouble};
  EXPECT_EQ(printed_value(real, ValueView::of_double(0.1)), "0.1");
}

}  // namespace
}  // namespace sluice::cli

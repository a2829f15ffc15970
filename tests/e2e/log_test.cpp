// `sluice log` on what a real Store has kept of a real server: rows of many types, statements, a transaction that was
// prepared; by position and by time, of the Store that serves and of its folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/cluster_run.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/wait.hpp"

namespace sluice::testing {
namespace {

using std::chrono::minutes;
using ::testing::HasSubstr;
using ::testing::Not;

class Log : public ::testing::Test {
 protected:
  void SetUp() override {
    source.sql(
        "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, u BIGINT UNSIGNED, n DECIMAL(9,2), "
        "d DATETIME(3), l VARCHAR(9) CHARACTER SET latin1, e ENUM('red','blue'), s SET('x','y'), b BLOB); "
        "CREATE TABLE app.other (id INT PRIMARY KEY)");
    cluster.create_and_start();
    const auto follows = [&] { return cluster.value("verification") == "EQUAL"; };
    ASSERT_TRUE(wait_until(follows, minutes(2))) << cluster.logs();
  }
  // What comes next is of a later second than all before.
  std::string next_second() {
    const std::string now = source.query_value("SELECT UNIX_TIMESTAMP()");
    std::string later = now;
    wait_until([&] { return (later = source.query_value("SELECT UNIX_TIMESTAMP()")) != now; });
    return later;
  }
  std::string store_address() {
    const auto project = cluster.describe();
    for (const auto& component : project["components"])
      if (component.value("kind", "") == "store") return component.value("address", "");
    return "";
  }
  std::string store_folder() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(cluster.folder()))
      if (entry.is_directory() && entry.path().extension() == ".store") return entry.path().string();
    return "";
  }
  static std::string log(std::vector<std::string> args, int expected = 0) {
    args.insert(args.begin(), "log");
    std::string text;
    EXPECT_EQ(run_program(std::getenv("SLUICE_BIN"), args, &text), expected) << text;
    return text;
  }

  MariaDbServer source{{.server_id = 1}};
  MariaDbServer target{{.server_id = 2}};
  ClusterRun cluster{source, target, {"a"}};
};

TEST_F(Log, PrintsWhatARealStoreKeeps) {
  source.sql(
      "INSERT INTO app.t VALUES (1, 18446744073709551615, -1.50, '2026-02-03 04:05:06.789', 'café', 'blue', 'x,y', "
      "x'00ff')");
  source.sql("UPDATE app.t SET n = 2, b = NULL WHERE id = 1");
  source.sql("ALTER TABLE app.t ADD extra INT DEFAULT 5");
  source.sql("XA START 'x'; INSERT INTO app.other VALUES (77); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'");
  const std::string second = next_second();
  source.sql("DELETE FROM app.t WHERE id = 1; INSERT INTO app.other VALUES (99)");
  ASSERT_TRUE(target.becomes("SELECT COUNT(*) FROM app.other WHERE id = 99", "1")) << cluster.logs();

  const std::string row =
      "id=1, u=18446744073709551615, n=-1.50, d='2026-02-03 04:05:06.789', l=latin1'caf\\xe9', e='blue', s='x,y', b=";
  const auto expect_late = [&](const std::string& text) {
    EXPECT_THAT(text, HasSubstr("  DELETE app.t: id=1, "));
    EXPECT_THAT(text, HasSubstr(", b=NULL, extra=5\n"));
    EXPECT_THAT(text, HasSubstr("  INSERT app.other: id=99\n"));
  };
  const auto expect_all = [&](const std::string& text) {
    EXPECT_THAT(text, HasSubstr("  INSERT app.t: " + row + "0x00ff\n"));
    EXPECT_THAT(text, HasSubstr("  UPDATE app.t: " + row + "0x00ff -> id=1, u=18446744073709551615, n=2.00, "));
    EXPECT_THAT(text, HasSubstr("ALTER TABLE app.t ADD extra INT DEFAULT 5\n"));
    EXPECT_THAT(text, HasSubstr("  INSERT app.other: id=77\n"));
    expect_late(text);
  };
  const auto expect_only_late = [&](const std::string& text) {
    EXPECT_THAT(text, Not(HasSubstr("id=77")));
    EXPECT_THAT(text, Not(HasSubstr("ALTER TABLE")));
    expect_late(text);
  };
  const std::string address = store_address();
  ASSERT_NE(address, "") << cluster.logs();
  const auto served = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {address, "--token-file", cluster.token_file()});
    return log(args);
  };
  expect_all(served({}));
  expect_only_late(served({"--at", second}));
  const std::string others = served({"--tables", "app.other"});
  EXPECT_THAT(others, HasSubstr("  INSERT app.other: id=77\n"));
  EXPECT_THAT(others, Not(HasSubstr(" app.t: ")));
  EXPECT_THAT(log({address}, 4), HasSubstr("UNAUTHENTICATED")) << "a Store shows nothing to strangers";

  const std::string folder = store_folder();
  ASSERT_NE(folder, "");
  expect_all(log({folder}));  // beside the Store that has it open
  expect_only_late(log({folder, "--at", second}));
}

}  // namespace
}  // namespace sluice::testing

// FullImport: the component between two servers that the program's tests share, called in the test's process or forked
// to be killed. The database d is made anew for each test.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agents/components/full_import/full_import.hpp"
#include "core/net/convert.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/fake_component.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/ok.hpp"
#include "tests/support/server_pair.hpp"
#include "tests/support/wait.hpp"

namespace sluice::agents {

using test::FakeComponent;
using testing::MariaDbServer;
using testing::wait_until;

inline MariaDbServer& source() { return testing::source_server(); }
inline MariaDbServer& target() { return testing::target_server(); }

class FullImport : public ::testing::Test {
 protected:
  void SetUp() override {
    for (MariaDbServer* server : {&source(), &target()}) {
      server->sql("DROP DATABASE IF EXISTS d; CREATE DATABASE d CHARACTER SET utf8mb4");
    }
    spec_.set_project_id("np_" + std::to_string(++counter_));
    spec_.set_component_id(spec_.project_id() + ".full_import");
    spec_.set_kind(cluster::v1::FULL_IMPORT);
    spec_.set_epoch(1);
    *spec_.mutable_source() = net::to_proto(source().endpoint());
    *spec_.mutable_target() = net::to_proto(target().endpoint());
    spec_.set_meta_database("sluice");
    spec_.add_includes("d.*");
    target();  // both run before a child process is forked
  }

  static void both(const std::string& sql) {
    source().sql(sql);
    target().sql(sql);
  }
  Status run() {
    component_ = std::make_unique<FakeComponent>(spec_);
    return run_full_import(*component_);
  }
  // In a process of its own, which can be killed. The child shares nothing with the test but the servers.
  pid_t fork_import() {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    FakeComponent component(spec_);
    const Status status = run_full_import(component);
    _exit(status.ok() ? 0 : 1);
  }
  static int wait_for_end(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }
  static std::string differences(const testing::CompareOptions& options = {}) {
    return testing::differences(source(), target(), {"d"}, options);
  }
  std::string meta(const std::string& what, const std::string& table, const std::string& where = "1") const {
    return target().query_value("SELECT " + what + " FROM sluice." + table + " WHERE project = '" + spec_.project_id() +
                                "' AND " + where);
  }
  bool wait_for_chunks(int count) const {
    return wait_until([&] {
      return target().try_sql("SELECT 1 FROM sluice.chunk LIMIT 1") == 0 &&
             std::stoi(meta("COUNT(*)", "chunk")) >= count;
    });
  }
  static void fill(const std::string& table, int rows) {
    source().sql("INSERT INTO d." + table + " SELECT seq, seq, REPEAT('x', 50) FROM d.seq_1_to_" +
                 std::to_string(rows));
  }

  cluster::v1::ComponentSpec spec_;
  std::unique_ptr<FakeComponent> component_;
  static inline int counter_ = 0;
};

inline constexpr char kTable[] = "CREATE TABLE d.t (id INT PRIMARY KEY, u INT UNIQUE, x VARCHAR(60))";

}  // namespace sluice::agents

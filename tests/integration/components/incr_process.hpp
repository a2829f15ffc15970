// Incr-Sync as a process of its own, which can be killed.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/integration/components/incr_fixture.hpp"
#include "tests/support/process.hpp"

namespace sluice::agents {

// This program, started again by a test, becomes an Incr-Sync that follows the Store at $INCR_TEST_STORE.
class IncrSyncWhenAsked : public ::testing::Environment {
  void SetUp() override {
    const char* file = std::getenv("INCR_TEST_BOOT");
    if (file == nullptr) return;
    FakeComponent component;
    std::ifstream in(file, std::ios::binary);
    component.boot_mutable().ParseFromIstream(&in);
    component.desire([](ComponentDesired& desired) {
      desired.set_store_address(std::getenv("INCR_TEST_STORE"));
      desired.set_follow_strictly(true);
    });
    const auto ended = run_incr_sync(component);
    if (!ended.ok()) std::fprintf(stderr, "%s\n", ended.error().to_string().c_str());
    _exit(ended.ok() ? 0 : ended.error().code() == ErrorCode::STALE_EPOCH ? 9 : 1);
  }
};
inline const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new IncrSyncWhenAsked);

class IncrProcessTest : public IncrSyncTest {
 protected:
  pid_t spawn_incr(uint64_t epoch, const Endpoint& to, uint32_t writers = 4) {
    cluster::v1::ComponentBoot boot;
    auto& spec = *boot.mutable_spec();
    spec.set_project_id("np");
    spec.set_component_id("np.incr");
    spec.set_epoch(epoch);
    *spec.mutable_source() = net::to_proto(source_server().endpoint());
    *spec.mutable_target() = net::to_proto(to);
    spec.add_includes("app.*");
    spec.set_with_incremental(true);
    spec.set_on_conflict(cluster::v1::CONFLICT_STOP);
    spec.set_on_ddl(cluster::v1::DDL_APPLY);
    spec.set_writers(writers);
    *spec.mutable_start() = net::to_proto(start_);
    boot.set_token("token");
    const std::string file = folder_.file("boot" + std::to_string(++spawned_));
    std::ofstream(file, std::ios::binary) << boot.SerializeAsString();
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that fails leaves nothing behind
      setenv("INCR_TEST_BOOT", file.c_str(), 1);
      setenv("INCR_TEST_STORE", address_.c_str(), 1);
      execl("/proc/self/exe", "incr", nullptr);
      _exit(1);
    }
    return pid;
  }
  static int reap(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int spawned_ = 0;
  uint64_t epoch_ = 0;
};

}  // namespace sluice::agents

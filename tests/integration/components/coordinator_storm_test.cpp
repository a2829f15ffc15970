// Many hands, crashes and restarts at once, in any order.
#include "tests/integration/components/coordinator_fixture.hpp"

namespace sluice::coordinator {
namespace {

using namespace std::chrono_literals;

// Operators, crashes and restarts of the coordinator in any order: afterwards the project still comes to its end.
TEST_F(CoordinatorTest, RandomCommandsCrashesAndRestartsEndInALegalState) {
  const char* given = getenv("SLUICE_TEST_SEED");
  unsigned seed = given ? std::atoi(given) : std::random_device()();
  std::mt19937 random(seed);
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  auto a = agent("a"), b = agent("b");
  auto id = begin("FOLLOW");
  admin::v1::ResumeProjectRequest resume;
  resume.set_id(id);
  resume.set_again(true);
  admin::v1::Empty empty;
  std::map<std::string, uint64_t> epochs;
  for (int round = 0; round < 60; ++round) {
    switch (random() % 7) {
      case 0:
        tell(&Stub::StopProject, id);
        break;
      case 1:
      case 2:
        call(&Stub::ResumeProject, resume, empty);
        break;
      case 3:
        tell(&Stub::FinishProject, id);
        break;
      case 4:
        for (auto* agent : {a.get(), b.get()})
          if (auto running = agent->running(); !running.empty())
            agent->crash(std::next(running.begin(), random() % running.size())->first);
        break;
      case 5:
        if (random() % 3 != 0) break;
        coordinator_.reset();
        start();
        break;
      default:
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    }
    for (auto* agent : {a.get(), b.get()})
      for (const auto& [component, epoch] : agent->running()) {
        EXPECT_GE(epoch, epochs[component]) << component << ": an epoch never goes back";
        epochs[component] = std::max(epochs[component], epoch);
      }
    const auto status = describe(id).status();
    EXPECT_TRUE(status == "RUNNING" || status == "SUSPEND" || status == "FINISHED" || status == "FAILED") << status;
  }
  wait_for(
      id,
      [&](const auto& project) {
        if (!project.stopping() && (project.status() == "SUSPEND" || project.status() == "FAILED"))
          call(&Stub::ResumeProject, resume, empty);
        if (project.status() == "RUNNING") tell(&Stub::FinishProject, id);
        return project.status() == "FINISHED";
      },
      30s);
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while ((!a->running().empty() || !b->running().empty()) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(a->running().empty() && b->running().empty());
}

// One project, many hands: every call is answered, and the project ends released.
TEST_F(CoordinatorTest, TwentyClientsAtOnceLeaveOneLegalState) {
  auto node = agent("n1");
  auto id = begin("FOLLOW");
  std::vector<std::thread> clients;
  std::atomic<int> answered{0};
  for (int client = 0; client < 20; ++client)
    clients.emplace_back([&, client] {
      admin::v1::ResumeProjectRequest resume;
      resume.set_id(id);
      admin::v1::Empty empty;
      for (int i = 0; i < 10; ++i) {
        auto status = (client + i) % 3 == 0   ? tell(&Stub::StopProject, id)
                      : (client + i) % 3 == 1 ? call(&Stub::ResumeProject, resume, empty)
                                              : tell(&Stub::StartProject, id);
        if (status.ok() || status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) ++answered;
      }
    });
  for (auto& client : clients) client.join();
  EXPECT_EQ(answered, 200);
  EXPECT_TRUE(tell(&Stub::ReleaseProject, id).ok());
  wait_status(id, "RELEASED");
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!node->running().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(node->running().empty());
}

}  // namespace
}  // namespace sluice::coordinator

// A project whose actor and cluster are played by the test.
#pragma once

#include <gtest/gtest.h>

#include "coordinator/projects/project_commands.hpp"
#include "coordinator/projects/project_machine.hpp"
#include "core/net/convert.hpp"

namespace sluice::coordinator {

using cluster::v1::ComponentState;

inline store::v1::Position at(uint64_t offset) {
  store::v1::Position position;
  position.set_file("binlog.000001");
  position.set_offset(offset);
  return position;
}

// Plays project actor and cluster: persists, forgets the memory on crash(), and shows what the test says.
class ProjectMachineTest : public ::testing::Test {
 protected:
  static admin::v1::CreateProjectRequest spec(bool structure = true, bool full = true, bool incr = true,
                                              bool verify = true, const char* mode = "ONCE") {
    admin::v1::CreateProjectRequest request;
    request.set_name("p");
    request.set_type("MIGRATION");
    request.set_source_endpoint_id("e_1");
    request.set_sink_endpoint_id("e_2");
    request.set_enable_struct_transfer(structure);
    request.set_enable_full_transfer(full);
    request.set_enable_incr_transfer(incr);
    request.set_enable_full_verify(verify);
    request.set_run_mode(mode);
    return request;
  }
  void begin(const admin::v1::CreateProjectRequest& request) {
    state_ = new_project("np", request, now_);
    step();
    EXPECT_TRUE(wanted_.components.empty());
    command(start_project(state_, now_));
  }
  static admin::v1::ResumeProjectRequest again() {
    admin::v1::ResumeProjectRequest wish;
    wish.set_again(true);
    return wish;
  }
  void command(Result<v1::StoredProject> next) {
    ASSERT_TRUE(next.ok()) << next.error().to_string();
    state_ = *next;
    step();
  }
  void step() {
    for (int i = 0; i < 20; ++i) {
      auto decision = decide(state_, views_, now_);
      if (!decision.changed) {
        wanted_ = std::move(decision.wanted);
        for (auto it = views_.begin(); it != views_.end();)
          it = has(it->first.substr(3)) ? std::next(it) : views_.erase(it);
        return;
      }
      // What is persisted is all that survives.
      std::string bytes = decision.next.SerializeAsString();
      state_.ParseFromString(bytes);
    }
    FAIL() << "the machine does not come to rest";
  }
  // The coordinator dies between persisting and acting, and starts again without knowing the components.
  void crash() {
    auto kept = views_;
    views_.clear();
    step();
    views_ = kept;
    step();
  }

  // Incr-Sync asks for a copy of a table of database `a`.
  void needs_copy(const std::string& table, uint32_t round) {
    *status("incr").mutable_incr_sync()->add_needs_copy() = net::to_proto(TableCopy{{"a", table}, round});
  }
  bool has(const std::string& name) const { return find(name) != nullptr; }
  const WantedComponent* find(const std::string& name) const {
    for (const auto& component : wanted_.components)
      if (component.spec.component_id() == "np." + name) return &component;
    return nullptr;
  }
  const cluster::v1::ComponentDesired& desired(const std::string& name) {
    static const cluster::v1::ComponentDesired kNone;
    return has(name) ? find(name)->desired : kNone;
  }
  // What runs now, in one line.
  std::string running() const {
    std::string text;
    for (const auto& component : wanted_.components) text += component.spec.component_id().substr(3) + " ";
    return text;
  }

  cluster::v1::ComponentStatus& status(const std::string& name, ComponentState state = cluster::v1::RUNNING) {
    auto fresh = std::make_shared<cluster::v1::ComponentStatus>();
    auto& view = views_["np." + name];
    if (view.status) *fresh = *view.status;
    view.component_id = "np." + name;
    view.node = "n1";
    view.epoch = std::max<uint64_t>(view.epoch, 1);
    view.attempt = state_.attempt();
    if (has(name)) view.kind = find(name)->spec.kind();
    fresh->set_state(state);
    view.status = fresh;
    return *fresh;
  }
  void fail(const std::string& name, const Error& error) {
    status(name, cluster::v1::FAILED);
    views_["np." + name].failed = error;
    step();
  }
  void finish(const std::string& name) {
    status(name, cluster::v1::FINISHED);
    step();
  }
  void store_runs() {
    auto& store = *status("store").mutable_store();
    store.set_address("h:1");
    *store.mutable_start() = at(100);
    step();
  }
  void full_finishes(uint64_t window_end = 500, const std::string& name = "full") {
    *status(name, cluster::v1::FINISHED).mutable_full_import()->mutable_window_end() = at(window_end);
    step();
  }
  void window_closes() {
    status("incr").mutable_incr_sync()->set_window_closed(true);
    step();
  }
  void up_to_following() {
    finish("precheck");
    store_runs();
    finish("struct");
    full_finishes();
    window_closes();
    finish("struct.fk");
    status("incr");
    step();
  }
  std::string step_status(const std::string& name) const {
    for (const auto& step : state_.steps())
      if (step.name() == name) return step.status();
    return "absent";
  }

  int64_t now_ = 1'000'000'000;
  v1::StoredProject state_;
  ComponentViews views_;
  WantedProject wanted_;
};

}  // namespace sluice::coordinator

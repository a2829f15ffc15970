#include "coordinator/projects/project_machine.hpp"

#include <algorithm>
#include <string_view>

#include "coordinator/projects/project_spec.hpp"
#include "coordinator/projects/project_steps.hpp"
#include "core/net/convert.hpp"

namespace sluice::coordinator {
namespace {

using cluster::v1::ComponentKind;

constexpr int64_t kEndingPatienceUs = 30'000'000;   // then components are ended without their consent
constexpr int64_t kReleasePatienceUs = 60'000'000;  // then rows stay in the target's bookkeeping, with a warning
constexpr int64_t kAppliedSampleUs = 30'000'000;
constexpr int64_t kConflictsSampleUs = 5'000'000;
constexpr int64_t kHoldPatienceMs = 60'000;
constexpr int kWarningsMax = 200, kRecopiedMax = 4096;

bool empty(const store::v1::Position& position) { return position.file().empty() && position.gtids().empty(); }

// One call of decide().
class Round {
 public:
  Round(const v1::StoredProject& state, const ComponentViews& views, int64_t now_us)
      : s_(state), steps_(ProjectSteps::of(state.spec())), views_(views), now_(now_us) {}

  Outcome decide(const v1::StoredProject& before) {
    const std::string& status = s_.status();
    if (status == "RUNNING" || !s_.ending().empty()) run();
    if (!s_.ending().empty()) end();
    std::string was = before.SerializeAsString();
    bool changed = s_.SerializeAsString() != was;
    if (changed) s_.set_modified_us(now_);
    wanted_.project_id = s_.id();
    wanted_.attempt = s_.attempt();
    return {std::move(s_), changed, std::move(wanted_)};
  }

 private:
  // ---- looking at components ----

  std::string id(const std::string& name) const { return s_.id() + "." + name; }

  // What the cluster shows of it, unless that is the end of an earlier attempt.
  const ComponentView* view(const std::string& name) const {
    auto found = views_.find(id(name));
    if (found == views_.end() || (found->second.ended() && found->second.attempt < s_.attempt())) return nullptr;
    return &found->second;
  }
  const cluster::v1::ComponentStatus* status(const std::string& name) const {
    const auto* found = view(name);
    return found ? found->status.get() : nullptr;
  }
  bool finished(const std::string& name) const {
    const auto* found = status(name);
    return found && found->state() == cluster::v1::FINISHED;
  }

  bool alive(const std::string& name) const {
    const auto* found = view(name);
    return found && !found->ended() && !found->node.empty();
  }

  WantedComponent& want(const std::string& name, ComponentKind kind) {
    WantedComponent& component = wanted_.components.emplace_back();
    component.spec = spec_of(s_.spec(), kind);
    component.spec.set_project_id(s_.id());
    component.spec.set_component_id(id(name));
    component.desired.set_throttle_rows_per_second(component.spec.throttle_rows_per_second());
    names_.push_back(name);
    return component;
  }

  WantedComponent& want_structure(const std::string& name, cluster::v1::StructPhase phase) {
    auto& component = want(name, cluster::v1::STRUCT_TRANSFER);
    component.spec.set_struct_phase(phase);
    return component;
  }

  // ---- steps ----

  v1::StoredStep* step(const std::string& name) {
    for (auto& step : *s_.mutable_steps())
      if (step.name() == name) return &step;
    return nullptr;
  }
  // While the project is ending nothing begins any more, but what comes to its end has its result taken.
  void set_step(const char* name, const char* status) {
    auto* found = step(name);
    if (!found || found->status() == status) return;
    const bool result = std::string_view(status) == "FINISHED" && found->status() != "FAILED";
    if (!s_.ending().empty() && !result) return;
    if (found->started_us() == 0) found->set_started_us(now_);
    found->set_status(status);
    if (found->status() == "FINISHED") found->set_finished_us(now_);
    if (found->status() == "RUNNING") {
      found->clear_error();
      found->clear_failed_us();
      found->clear_finished_us();
    }
  }

  // ---- the flow of a migration ----

  void run() {
    flow();
    collect_warnings();
    if (!s_.ending().empty()) return;
    for (const auto& name : names_) {
      const auto* found = view(name);
      if (!found || !found->failed) continue;
      if (found->kind == cluster::v1::PRECHECK && found->status) *s_.mutable_checks() = found->status->checks();
      if (take_verdict(*found)) continue;
      fail_step(s_, step_of(s_, found->component_id, found->kind), *found->failed, now_);
      return;
    }
  }

  void flow() {
    if (!precheck()) return;
    if (steps_.log()) {
      if (!s_.incr_done() || alive("store")) store();
      if (empty(s_.store_start())) return;
    }
    if (!structure() || !full() || !indexes()) return;
    if (steps_.log() && !s_.incr_done()) incremental();
    if (!steps_.log()) s_.set_window_closed(true);
    foreign_keys();
    verify();
    doubt();
    finish();
  }

  bool precheck() {
    if (s_.precheck_done()) return true;
    set_step(kPrecheck, "RUNNING");
    want("precheck", cluster::v1::PRECHECK);
    if (!finished("precheck")) return false;
    *s_.mutable_checks() = status("precheck")->checks();
    for (const auto& check : s_.checks())
      if (check.level() == "WARNING") warn(check.name() + ": " + check.cause());
    s_.set_precheck_done(true);
    set_step(kPrecheck, "FINISHED");
    return true;
  }

  void store() {
    if (auto* found = step(kLogPull); found && found->status() != "FINISHED") set_step(kLogPull, "RUNNING");
    auto& component = want("store", cluster::v1::STORE);
    *component.spec.mutable_start() = s_.window_closed() && !empty(s_.applied()) ? s_.applied() : s_.store_start();
    component.desired.set_stop(s_.incr_done());  // nobody reads it any more
    const auto* now = status("store");
    if (now && now->has_store() && !now->store().address().empty()) {
      if (empty(s_.store_start()) && !empty(now->store().start())) *s_.mutable_store_start() = now->store().start();
      s_.set_store_address(now->store().address());
    }
    if (!empty(s_.store_start())) set_step(kLogPull, "FINISHED");
  }

  bool structure() {
    if (!steps_.structure || s_.struct_done()) return true;
    set_step(kStruct, "RUNNING");
    auto& component = want_structure("struct", cluster::v1::TABLES);
    component.spec.set_defer_indexes(steps_.defer_indexes);
    if (!finished("struct")) return false;
    s_.set_struct_done(true);
    set_step(kStruct, "FINISHED");
    return true;
  }

  bool full() {
    if (!steps_.full || s_.full_done()) return true;
    set_step(kFull, "RUNNING");
    want("full", cluster::v1::FULL_IMPORT);
    if (!finished("full")) return false;
    raise_window(status("full")->full_import().window_end());
    s_.set_full_done(true);
    if (steps_.incremental) set_step(kFull, "FINISHED");
    return true;
  }

  // Those that were left out for the sake of the copy. They are there before the log is replayed, which finds its rows
  // by them.
  bool indexes() {
    if (!steps_.defer_indexes || s_.indexes_done()) return true;
    set_step(kIndexes, "RUNNING");
    want_structure("struct.idx", cluster::v1::INDEXES);
    if (!finished("struct.idx")) return false;
    s_.set_indexes_done(true);
    set_step(kIndexes, "FINISHED");
    return true;
  }

  void raise_window(const store::v1::Position& end) {
    if (empty(s_.window_end()) || compare_in_log(net::from_proto(end), net::from_proto(s_.window_end())) > 0)
      *s_.mutable_window_end() = end;
  }

  void incremental() {
    if (step(kIncr) && step(kIncr)->status() != "MONITORING") set_step(kIncr, "RUNNING");
    // Without a copy the window is empty: it ends where the log begins.
    if (empty(s_.window_end())) *s_.mutable_window_end() = s_.store_start();
    size_t index = wanted_.components.size();
    *want("incr", cluster::v1::INCR_SYNC).spec.mutable_start() = s_.store_start();
    const auto* now = status("incr");
    if (now) {
      take_incremental(*now);
      take_conflicts(*now);
      copy_again(*now);
      if (!s_.window_closed() && s_.copying().empty() &&
          (now->incr_sync().window_closed() || now->state() == cluster::v1::FINISHED))
        s_.set_window_closed(true);
      if (s_.following() && now->state() == cluster::v1::RUNNING) set_step(kIncr, "MONITORING");
      if (now->state() == cluster::v1::FINISHED && s_.copying().empty() && (s_.draining() || !steps_.incremental)) {
        s_.set_incr_done(true);
        set_step(kIncr, "FINISHED");
        if (steps_.full) set_step(kFull, "FINISHED");
      }
    } else {
      copy_again({});
    }
    set_hold();
    auto& desired = wanted_.components[index].desired;
    desired.set_store_address(s_.store_address());
    *desired.mutable_window_end() = s_.window_end();
    // While tables are copied again, and until they have their foreign keys, the target cannot cascade as the source.
    desired.set_follow_strictly(s_.following() && s_.foreign_keys_done() && s_.copying().empty());
    desired.set_drain(s_.draining());
    *desired.mutable_recopied_tables() = s_.recopied();
    *desired.mutable_decisions() = s_.decisions();
    if (s_.has_hold() && s_.hold().id() != 0) *desired.mutable_hold() = s_.hold();
  }

  void take_incremental(const cluster::v1::ComponentStatus& now) {
    const auto& incr = now.incr_sync();
    bool over = now.state() == cluster::v1::FINISHED || now.state() == cluster::v1::STOPPED;
    if (empty(incr.applied()) || (!over && now_ - s_.applied_us() < kAppliedSampleUs)) return;
    if (over && s_.applied().SerializeAsString() == incr.applied().SerializeAsString()) return;
    *s_.mutable_applied() = incr.applied();
    s_.set_applied_us(now_);
  }

  // Kept with the project, because the process that counted them goes. Not at the rate at which they come.
  void take_conflicts(const cluster::v1::ComponentStatus& now) {
    const uint64_t total = now.incr_sync().conflicts_total(), skipped = now.incr_sync().conflicts_skipped();
    auto* kept = s_.mutable_incremental();
    if (total <= kept->conflicts_total() && skipped <= kept->conflicts_skipped()) return;
    const bool first = kept->conflicts_total() == 0 || (skipped > 0 && kept->conflicts_skipped() == 0);
    const bool over = now.state() == cluster::v1::FINISHED || now.state() == cluster::v1::STOPPED;
    if (!first && !over && now_ - s_.conflicts_us() < kConflictsSampleUs) return;
    kept->set_conflicts_total(std::max(total, kept->conflicts_total()));
    kept->set_conflicts_skipped(std::max(skipped, kept->conflicts_skipped()));
    s_.set_conflicts_us(now_);
    warn("rows on the target were not as the source's log expected them: see the conflicts");
    if (skipped > 0) warn("rows in conflict were left as they are on the target: they differ from the source");
  }

  uint64_t skipped_rows() const {
    const auto* incr = status("incr");
    return std::max(s_.incremental().conflicts_skipped(), incr ? incr->incr_sync().conflicts_skipped() : 0);
  }

  // Tables that Incr-Sync cannot follow (exactness.md section 3): copied in rounds, one at a time, while it goes on.
  void copy_again(const cluster::v1::ComponentStatus& now) {
    if (s_.copying().empty()) {
      for (const auto& copy : now.incr_sync().needs_copy())
        if (!made(copy)) *s_.add_copying() = copy;
      if (s_.copying().empty()) return;
      s_.set_copy_round(s_.copy_round() + 1);
      void_verification();
    }
    std::string name = "full.r" + std::to_string(s_.copy_round());
    auto& component = want(name, cluster::v1::FULL_IMPORT);
    for (const auto& copy : s_.copying()) *component.spec.add_tables() = copy.table();
    if (!finished(name)) return;
    raise_window(status(name)->full_import().window_end());
    s_.mutable_recopied()->MergeFrom(s_.copying());
    if (s_.recopied_size() > kRecopiedMax)
      s_.mutable_recopied()->erase(s_.mutable_recopied()->begin(), s_.mutable_recopied()->end() - kRecopiedMax);
    for (const auto& copy : s_.copying()) *s_.add_without_keys() = copy.table();
    s_.clear_copying();
    s_.set_foreign_keys_done(false);  // the new tables have none yet
  }

  bool made(const cluster::v1::TableCopy& copy) const {
    return std::any_of(s_.recopied().begin(), s_.recopied().end(),
                       [&](const auto& one) { return net::from_proto(one) == net::from_proto(copy); });
  }

  // A copy of a later round has a window of its own, in which Incr-Sync writes without looking at foreign keys.
  bool window_shut() const {
    if (!s_.following() || s_.incr_done()) return true;
    const auto* incr = status("incr");
    return incr && incr->incr_sync().window_closed() && incr->incr_sync().needs_copy().empty();
  }

  void foreign_keys() {
    if (!s_.window_closed() || s_.foreign_keys_done()) return;
    if (steps_.structure || s_.without_keys_size() > 0) {
      if (!s_.copying().empty() || !window_shut()) return;
      std::string name = s_.copy_round() == 0 ? "struct.fk" : "struct.fk." + std::to_string(s_.copy_round());
      auto& component = want_structure(name, cluster::v1::FOREIGN_KEYS);
      // All others have theirs since the first time, as the log has changed them.
      if (s_.following() || !steps_.structure) *component.spec.mutable_tables() = s_.without_keys();
      if (!finished(name)) return;
    }
    s_.set_foreign_keys_done(true);
    s_.clear_without_keys();
    s_.set_following(true);
  }

  // ---- verification ----

  std::string checker() const {
    return s_.verify_round() == 0 ? "checker" : "checker." + std::to_string(s_.verify_round());
  }

  // What was compared before says nothing of a table that is copied again. At the drain it is too late to compare once
  // more: the source goes on.
  void void_verification() {
    auto* stored = step(kVerify);
    if (!steps_.verify || !stored || stored->started_us() == 0) return;
    if (s_.draining()) {
      warn("tables were copied again after the verification and were not compared: resume the project to verify them");
      if (s_.verification() == "EQUAL") s_.set_verification("UNSETTLED");
      s_.set_unsettled(s_.unsettled() + 1);
      return;
    }
    s_.set_verify_round(s_.verify_round() + 1);
    s_.clear_verified(), s_.clear_verification(), s_.clear_differences(), s_.clear_unsettled(), s_.clear_hold();
    stored->set_status("INIT");
    stored->clear_started_us();
    stored->clear_finished_us();
  }

  bool log_idle() const { return !steps_.log() || (s_.foreign_keys_done() && s_.copying().empty()); }

  void verify() {
    if (!steps_.verify || s_.verified()) return;
    auto* stored = step(kVerify);
    bool begun = stored && stored->started_us() != 0;
    if (!begun && (!s_.foreign_keys_done() || !log_idle())) return;
    if (!begun) s_.set_skipped_before(skipped_rows());
    set_step(kVerify, "RUNNING");
    auto& desired = want(checker(), cluster::v1::CHECKER).desired;
    desired.set_finish_when_settled(s_.finish());
    if (const auto* incr = view("incr"); incr && incr->status && incr->status->incr_sync().hold().id() != 0) {
      *desired.mutable_hold_answer() = incr->status->incr_sync().hold();
      desired.mutable_hold_answer()->set_incr_sync_epoch(incr->epoch);
    }
    if (finished(checker())) take_result(*status(checker()));
  }

  void take_result(const cluster::v1::ComponentStatus& now) {
    const auto& result = now.checker();
    s_.set_differences(result.differences());
    s_.set_unsettled(result.unsettled());
    s_.set_difference_file(result.difference_file());
    s_.set_correction_file(result.correction_file());
    s_.set_verification(result.differences() > 0 ? "DIFFERENT" : result.unsettled() > 0 ? "UNSETTLED" : "EQUAL");
    s_.set_verified(true);
    s_.clear_hold();
    set_step(kVerify, "FINISHED");
  }

  // Rows that were left in conflict since the Checker began differ from the source, and it may have compared them
  // before.
  void doubt() {
    const uint64_t skipped = skipped_rows();
    if (s_.verification() != "EQUAL" || skipped <= s_.skipped_before()) return;
    s_.set_verification("UNSETTLED");
    s_.set_unsettled(skipped - s_.skipped_before());
  }

  // A Checker that ends with one of these errors has done its work.
  bool take_verdict(const ComponentView& checker) {
    if (checker.kind != cluster::v1::CHECKER || !checker.failed || !checker.status) return false;
    auto code = checker.failed->code();
    if (code != ErrorCode::DIFFERENCES_FOUND && code != ErrorCode::UNSETTLED_ROWS) return false;
    take_result(*checker.status);
    if (s_.verification() == "EQUAL")
      s_.set_verification(code == ErrorCode::DIFFERENCES_FOUND ? "DIFFERENT" : "UNSETTLED");
    return true;
  }

  // Persisted, so that a restarted coordinator does not release a hold by not knowing of it.
  void set_hold() {
    const auto* now = status(checker());
    if (!now || now->state() == cluster::v1::FINISHED) return;
    const auto& wish = now->checker();
    if (wish.wish_hold() == 0) {
      s_.clear_hold();
      return;
    }
    auto* hold = s_.mutable_hold();
    hold->set_id(wish.wish_hold());
    hold->set_patience_ms(kHoldPatienceMs);
    if (empty(wish.wish_apply_to()))
      hold->clear_apply_to();
    else
      *hold->mutable_apply_to() = wish.wish_apply_to();
  }

  // ---- the end ----

  void finish() {
    if (!s_.ending().empty()) return;
    bool finishing = !steps_.follow || s_.finish();
    bool verified = !steps_.verify || s_.verified();
    if (!finishing || !verified || !s_.foreign_keys_done() || !s_.copying().empty()) return;
    if (steps_.incremental && !s_.incr_done()) {
      s_.set_draining(true);
      return;
    }
    if (steps_.log() && !s_.incr_done()) return;
    if (!counters()) return;
    s_.set_ending("FINISHED");
    s_.set_ending_us(now_);
  }

  // The source went on counting after the foreign keys were added: what it gave out must not be given out again.
  bool counters() {
    if (!steps_.structure || !steps_.incremental || s_.counters_done()) return true;
    want_structure("struct.end", cluster::v1::COUNTERS);
    if (!finished("struct.end")) return false;
    s_.set_counters_done(true);
    return true;
  }

  // Everything that still runs is asked to stop; what has ended, or does not answer in time, is dropped.
  void end() {
    bool patient = now_ - s_.ending_us() < kEndingPatienceUs;
    std::erase_if(wanted_.components, [&](WantedComponent& component) {
      auto found = views_.find(component.spec.component_id());
      if (!patient || found == views_.end() || found->second.ended() || found->second.node.empty()) return true;
      component.desired.set_stop(true);
      return false;
    });
    if (!wanted_.components.empty() || !bookkeeping_over()) return;
    std::string reached = s_.ending();
    s_.clear_ending();
    s_.clear_ending_us();
    s_.set_status(reached);
    if (reached == "FINISHED") s_.set_finished_us(now_);
    if (reached == "FINISHED" || reached == "RELEASED" || reached == "DELETED") s_.clear_hold();
    for (auto& step : *s_.mutable_steps())
      if (reached != "FINISHED" && (step.status() == "RUNNING" || step.status() == "MONITORING"))
        step.set_status("SUSPEND");
  }

  // The last component of a project that is released: it takes the project's rows out of the target's bookkeeping. It
  // is not waited for for ever: a target that is gone must not keep the project.
  bool bookkeeping_over() {
    if (s_.ending() != "RELEASED" && s_.ending() != "DELETED") return true;
    if (s_.bookkeeping_over() || !s_.precheck_done()) return true;  // before that nothing was written there
    if (s_.releasing_us() == 0) s_.set_releasing_us(now_);
    want_structure("struct.release", cluster::v1::RELEASE);
    const auto* found = view("struct.release");
    if (!finished("struct.release")) {
      const bool failed = found && found->failed;
      if (!failed && now_ - s_.releasing_us() < kReleasePatienceUs) return false;
      std::string cause = "it took too long";
      if (failed) cause = found->failed->to_string();
      if (!failed && found && found->waiting) cause = found->waiting->to_string();
      warn("the project's rows stay in the target's meta database: " + cause);
    }
    s_.set_bookkeeping_over(true);
    return true;
  }

  void warn(const std::string& text) {
    if (s_.warnings_size() >= kWarningsMax) return;
    if (std::find(s_.warnings().begin(), s_.warnings().end(), text) == s_.warnings().end()) s_.add_warnings(text);
  }
  void collect_warnings() {
    for (const auto& [component, view] : views_)
      if (view.status)
        for (const auto& text : view.status->warnings()) warn(text);
  }

  v1::StoredProject s_;
  ProjectSteps steps_;
  const ComponentViews& views_;
  int64_t now_;
  WantedProject wanted_;
  std::vector<std::string> names_;
};

}  // namespace

Outcome decide(const v1::StoredProject& state, const ComponentViews& views, int64_t now_us) {
  return Round(state, views, now_us).decide(state);
}

}  // namespace sluice::coordinator

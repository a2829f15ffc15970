#include "coordinator/projects/project_detail.hpp"

#include <algorithm>

#include "coordinator/projects/project_spec.hpp"
#include "coordinator/projects/project_steps.hpp"
#include "core/net/convert.hpp"
#include "core/utc_text.hpp"

namespace sluice::coordinator {
namespace {

using cluster::v1::ComponentStatus;

constexpr const char* kView = "VIEW";  // state of a table that is none

std::string position_text(const store::v1::Position& position) {
  auto value = net::from_proto(position);
  return value.empty() ? std::string() : value.to_string();
}

const char* kind_name(cluster::v1::ComponentKind kind) {
  switch (kind) {
    case cluster::v1::PRECHECK:
      return "precheck";
    case cluster::v1::STORE:
      return "store";
    case cluster::v1::STRUCT_TRANSFER:
      return "struct_transfer";
    case cluster::v1::FULL_IMPORT:
      return "full_import";
    case cluster::v1::INCR_SYNC:
      return "incr_sync";
    case cluster::v1::CHECKER:
      return "checker";
    default:
      return "";
  }
}

std::string state_name(const ComponentView& view) {
  if (view.failed) return "FAILED";
  if (view.node.empty()) return "WAITING";
  if (!view.status || view.state() == cluster::v1::COMPONENT_STATE_UNSPECIFIED) return "PLACED";
  // Failed, and waiting to be started again.
  if (view.state() == cluster::v1::FAILED) return "RETRYING";
  return cluster::v1::ComponentState_Name(view.state());
}

admin::v1::Component component_of(const ComponentView& view) {
  admin::v1::Component out;
  out.set_id(view.component_id);
  out.set_kind(kind_name(view.kind));
  out.set_node(view.node);
  out.set_epoch(view.epoch);
  out.set_state(state_name(view));
  out.set_restarts(view.restarts);
  if (view.status) {
    out.set_sampled_at_us(view.status->sampled_at_us());
    out.set_resident_bytes(view.status->resident_bytes());
    if (view.status->has_error()) *out.mutable_error() = view.status->error();
    if (view.status->has_store()) {
      out.set_address(view.status->store().address());
      out.set_checkpoint(position_text(view.status->store().end()));
    }
    if (view.status->has_incr_sync()) {
      out.set_delay(view.status->incr_sync().lag_ms() / 1000);
      out.set_checkpoint(position_text(view.status->incr_sync().applied()));
    }
  }
  if (view.failed) *out.mutable_error() = net::to_proto(*view.failed);
  if (view.waiting && view.node.empty()) *out.mutable_error() = net::to_proto(*view.waiting);
  return out;
}

int percent(uint64_t done, uint64_t all) {
  if (all == 0) return 0;
  return static_cast<int>(std::min<uint64_t>(99, done * 100 / all));
}

void render_connection(const admin::v1::DataSource& source, const char* side, admin::v1::ConnectInfo& out) {
  out.set_endpoint_name(source.name());
  out.set_endpoint_id(source.id());
  out.set_endpoint_side(side);
  out.set_db_engine(source.type());
  out.set_username(source.user_name());
  out.set_host(source.ip());
  out.set_port(source.port());
  out.set_region(source.region());
  std::string place = source.socket().empty() ? source.ip() + ":" + std::to_string(source.port()) : source.socket();
  out.set_connection_info("mysql://" + source.user_name() + "@" + place);
}

const ComponentView* find(const ComponentViews& views, cluster::v1::ComponentKind kind) {
  const ComponentView* best = nullptr;
  for (const auto& [id, view] : views)
    if (view.kind == kind && (!best || !view.ended())) best = &view;
  return best;
}

void render_configuration(const v1::StoredProject& state, admin::v1::Project& out) {
  const auto& spec = state.spec();
  out.set_enable_struct_transfer(spec.enable_struct_transfer());
  out.set_enable_full_transfer(spec.enable_full_transfer());
  out.set_enable_full_verify(spec.enable_full_verify());
  out.set_enable_incr_transfer(spec.enable_incr_transfer());
  out.set_source_endpoint_type("MYSQL");
  out.set_sink_endpoint_type("MYSQL");
  *out.mutable_transfer_mapping() = spec.transfer_mapping();
  *out.mutable_common_transfer_config() = spec.common_transfer_config();
  if (spec.has_struct_transfer_config()) *out.mutable_struct_transfer_config() = spec.struct_transfer_config();
  if (spec.has_full_transfer_config()) *out.mutable_full_transfer_config() = spec.full_transfer_config();
  if (spec.has_incr_transfer_config()) *out.mutable_incr_transfer_config() = spec.incr_transfer_config();
  if (spec.has_full_verify_config()) *out.mutable_full_verify_config() = spec.full_verify_config();
  out.set_run_mode(spec.run_mode().empty() ? "FOLLOW" : spec.run_mode());
  *out.mutable_include() = spec.include();
  *out.mutable_exclude() = spec.exclude();
  *out.mutable_rename() = spec.rename();
  auto base = spec_of(spec, cluster::v1::INCR_SYNC);
  out.set_meta_database(base.meta_database());
  out.set_on_conflict(word_of(base.on_conflict()));
  out.set_on_ddl(word_of(base.on_ddl()));
  out.set_precheck_only(spec.precheck_only());
}

}  // namespace

std::string utc_text(int64_t unix_us) { return unix_us <= 0 ? std::string() : sluice::utc_text(unix_us); }

void ProjectDetail::restore(const v1::StoredProject& state, const v1::StoredTables& tables) {
  for (const auto& table : tables.tables()) tables_[table.source()] = table;
  base_ = state.incremental();
  base_epoch_ = state.counted_epoch();
  incremental_ = base_;
}

v1::StoredTables ProjectDetail::tables() const {
  v1::StoredTables out;
  for (const auto& [name, table] : tables_) *out.add_tables() = table;
  return out;
}

void ProjectDetail::forget_verification() {
  for (auto& [name, table] : tables_) {
    table.clear_verify();
    table.clear_differences();
  }
}

void ProjectDetail::take(const ComponentViews& views) {
  for (const auto& [id, view] : views) {
    if (!view.status) continue;
    take_tables(view);
    if (view.kind == cluster::v1::INCR_SYNC) take_incremental(view);
    if (view.kind == cluster::v1::STORE && view.status->has_store())
      incremental_.set_source_end(position_text(view.status->store().source_end()));
  }
}

void ProjectDetail::take_tables(const ComponentView& view) {
  for (const auto& now : view.status->tables()) {
    auto& table = tables_[now.source()];
    table.set_source(now.source());
    if (!now.target().empty()) table.set_target(now.target());
    if (view.kind == cluster::v1::CHECKER) {
      if (!now.verify().empty()) table.set_verify(now.verify());
      table.set_differences(now.differences());
      if (table.state().empty() || table.state() == "VERIFYING") {  // nothing was copied: its rows are those compared
        table.set_state(now.state());
        table.set_rows(now.rows());
      }
    } else if (view.kind == cluster::v1::FULL_IMPORT) {
      table.set_rows(now.rows());
      table.set_rows_estimated(now.rows_estimated());
      table.set_bytes(now.bytes());
      table.set_seconds(now.seconds());
      table.set_finished(now.finished());
      table.set_state(now.state().empty() ? (now.finished() ? "COPIED" : "COPYING") : now.state());
    } else if (view.kind == cluster::v1::INCR_SYNC && !now.state().empty()) {
      table.set_state(now.state());
    } else if (view.kind == cluster::v1::STRUCT_TRANSFER && now.state() == kView) {
      table.set_state(now.state());
    }
  }
}

void ProjectDetail::take_incremental(const ComponentView& view) {
  const auto& now = view.status->incr_sync();
  counts_[view.epoch] = {now.transactions(), now.rows(), now.ddl()};
  if (incremental_.start().empty()) incremental_.set_start(position_text(now.start()));
  if (auto end = position_text(now.applied()); !end.empty()) incremental_.set_end(end);
  incremental_.set_lag_ms(now.lag_ms());
  *incremental_.mutable_conflicts() = now.conflicts();
  incremental_.set_conflicts_total(std::max(incremental_.conflicts_total(), now.conflicts_total()));
  incremental_.set_conflicts_skipped(std::max(incremental_.conflicts_skipped(), now.conflicts_skipped()));
  lag_sampled_us_ = view.status->sampled_at_us();
}

admin::v1::Incremental ProjectDetail::incremental(uint64_t up_to_epoch) const {
  admin::v1::Incremental out = incremental_;
  out.set_transactions(base_.transactions());
  out.set_rows(base_.rows());
  out.set_ddl(base_.ddl());
  for (const auto& [epoch, counts] : counts_) {
    if (epoch <= base_epoch_ || epoch > up_to_epoch) continue;
    out.set_transactions(out.transactions() + counts.transactions);
    out.set_rows(out.rows() + counts.rows);
    out.set_ddl(out.ddl() + counts.ddl);
  }
  return out;
}

void ProjectDetail::keep(v1::StoredProject& state, const ComponentViews& views) const {
  uint64_t ended = counts_.empty() ? base_epoch_ : std::max(base_epoch_, counts_.rbegin()->first);
  const auto* incr = find(views, cluster::v1::INCR_SYNC);
  // The epoch that still runs reports its counts again after a restart of the coordinator.
  if (incr && !incr->ended() && incr->epoch == ended) --ended;
  ended = std::max(ended, base_epoch_);
  *state.mutable_incremental() = incremental(ended);
  state.set_counted_epoch(ended);
}

admin::v1::Totals ProjectDetail::totals() const {
  admin::v1::Totals out;
  for (const auto& [name, table] : tables_) {
    if (table.state() == kView) continue;  // it has no rows to be copied
    out.set_tables(out.tables() + 1);
    out.set_tables_finished(out.tables_finished() + table.finished());
    out.set_rows(out.rows() + table.rows());
    out.set_rows_estimated(out.rows_estimated() +
                           std::max(table.rows(), table.finished() ? 0 : table.rows_estimated()));
    out.set_bytes(out.bytes() + table.bytes());
    out.set_differences(out.differences() + table.differences());
  }
  return out;
}

void ProjectDetail::render_steps(const v1::StoredProject& state, const ComponentViews& views,
                                 admin::v1::Project& out) const {
  auto all = totals();
  int order = 0;
  for (const auto& stored : state.steps()) {
    auto& step = *out.add_steps();
    step.set_order(++order);
    step.set_name(stored.name());
    step.set_description(step_description(stored.name()));
    step.set_status(stored.status());
    step.set_start_time(utc_text(stored.started_us()));
    step.set_finish_time(utc_text(stored.finished_us()));
    if (stored.has_error()) {
      auto error = net::from_proto(stored.error());
      *step.mutable_extra_info()->add_error_details() = stored.error();
      step.mutable_extra_info()->set_error_code(stored.error().code());
      step.mutable_extra_info()->set_error_msg(error.to_string());
      step.mutable_extra_info()->set_failed_time(utc_text(stored.failed_us()));
    }
    int progress = 0;
    if (stored.name() == kFull) {
      progress = percent(all.rows(), all.rows_estimated());
      step.mutable_step_info()->set_processed_records(all.rows());
      step.mutable_step_info()->set_capacity(all.rows_estimated());
    } else if (stored.name() == kVerify) {
      if (const auto* view = find(views, cluster::v1::CHECKER); view && view->status)
        progress = percent(view->status->checker().chunks_done(), view->status->checker().chunks_total());
    } else if (stored.name() == kIncr && stored.status() == "MONITORING") {
      progress = 100;
      step.mutable_step_info()->set_checkpoint_sample_timestamp(lag_sampled_us_ / 1'000'000);
      step.mutable_step_info()->set_incr_timestamp_checkpoint((lag_sampled_us_ - incremental_.lag_ms() * 1000) /
                                                              1'000'000);
    }
    step.set_progress(stored.status() == "FINISHED" ? 100 : progress);
    if (stored.status() == "RUNNING" || stored.status() == "MONITORING") {
      out.mutable_extra_info()->set_running_step(stored.name());
      out.mutable_extra_info()->set_running_progress(step.progress());
    }
    if (stored.name() == kIncr) out.mutable_extra_info()->set_monitoring_incr(stored.status() == "MONITORING");
  }
}

admin::v1::Project ProjectDetail::render(const v1::StoredProject& state, const ComponentViews& views,
                                         const admin::v1::DataSource& source, const admin::v1::DataSource& sink,
                                         int64_t now_us) const {
  admin::v1::Project out;
  out.set_id(state.id());
  out.set_type(state.spec().type());
  out.set_name(state.spec().name());
  out.set_status(state.status());
  out.set_gmt_create(utc_text(state.created_us()));
  out.set_gmt_modified(utc_text(state.modified_us()));
  out.set_gmt_start(utc_text(state.started_us()));
  out.set_gmt_finish(utc_text(state.finished_us()));
  render_configuration(state, out);
  render_connection(source, "source", *out.mutable_source_connect_info());
  render_connection(sink, "dest", *out.mutable_sink_connect_info());
  render_steps(state, views, out);
  out.set_stopping(!state.ending().empty());
  out.set_finishing(state.status() == "RUNNING" && (state.finish() || state.draining()));
  out.set_verification(state.verification());
  const auto* checker = find(views, cluster::v1::CHECKER);
  if (checker && state.verification().empty()) out.set_verification("RUNNING");
  for (const auto& [name, table] : tables_) *out.add_tables() = table;
  *out.mutable_totals() = totals();
  out.mutable_totals()->set_unsettled(checker && checker->status ? checker->status->checker().unsettled()
                                                                 : state.unsettled());
  out.mutable_totals()->set_differences(std::max(out.totals().differences(), state.differences()));
  *out.mutable_incremental() = incremental(UINT64_MAX);
  out.mutable_incremental()->set_window_closed(state.window_closed());
  const auto* incr = find(views, cluster::v1::INCR_SYNC);
  // What was sampled long ago is at least that much older now.
  if (incr && incr->status && out.incremental().lag_ms() >= 0 && now_us - lag_sampled_us_ > 3'000'000 && !incr->ended())
    out.mutable_incremental()->set_lag_ms(out.incremental().lag_ms() + (now_us - lag_sampled_us_) / 1000);
  if (incr && !incr->status && lag_sampled_us_ > 0)
    out.mutable_incremental()->set_lag_ms(out.incremental().lag_ms() + (now_us - lag_sampled_us_) / 1000);
  out.mutable_extra_info()->set_sync_delay(out.incremental().lag_ms() / 1000);
  out.mutable_extra_info()->set_sync_delay_sample_timestamp(lag_sampled_us_ / 1'000'000);
  *out.mutable_warnings() = state.warnings();
  *out.mutable_errors() = state.errors();
  *out.mutable_checks() = state.checks();
  *out.mutable_decisions() = state.decisions();
  out.set_difference_file(state.difference_file());
  out.set_correction_file(state.correction_file());
  for (const auto& [id, view] : views) *out.add_components() = component_of(view);
  out.set_sampled_at_us(now_us);
  return out;
}

}  // namespace sluice::coordinator

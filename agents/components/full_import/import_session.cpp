#include "agents/components/full_import/import_session.hpp"

#include <algorithm>

#include "core/metrics.hpp"
#include "sinks/database/loader.hpp"

namespace sluice::agents::full_import {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr size_t kWarningsMax = 200;
// A statement of the target may wait for locks and for its disk; the lease ends a process that waits too long.
constexpr std::chrono::minutes kTargetPatience{10};

}  // namespace

void ImportProgress::add_table(const TableName& source, const TableName& target, uint64_t rows_estimated) {
  std::lock_guard lock(mutex_);
  auto& shown = tables_[source].shown;
  shown.set_source(source.to_string());
  shown.set_target(target.to_string());
  shown.set_rows_estimated(rows_estimated);
  shown.set_state("PENDING");
}

void ImportProgress::set_state(const TableName& source, const std::string& state, bool finished) {
  std::lock_guard lock(mutex_);
  Table& table = tables_[source];
  const auto now = SteadyClock::now();
  if (state == "COPYING" && table.shown.state() != state) table.begun = now;
  if (finished && table.begun != SteadyClock::time_point{})
    table.shown.set_seconds(std::chrono::duration<double>(now - table.begun).count());
  table.shown.set_state(state);
  table.shown.set_finished(finished);
  table.changed = true;
}

void ImportProgress::set_rows(const TableName& source, uint64_t rows, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  Table& table = tables_[source];
  table.shown.set_rows(rows);
  table.shown.set_bytes(bytes);
  table.changed = true;
}

void ImportProgress::add_rows(const TableName& source, uint64_t rows, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  Table& table = tables_[source];
  table.shown.set_rows(table.shown.rows() + rows);
  table.shown.set_bytes(table.shown.bytes() + bytes);
  table.shown.set_seconds(std::chrono::duration<double>(SteadyClock::now() - table.begun).count());
  table.changed = true;
}

void ImportProgress::warn(const std::string& text) {
  std::lock_guard lock(mutex_);
  if (warnings_.size() < kWarningsMax) warnings_.push_back(text);
}

void ImportProgress::retrying(const Error& error) {
  std::lock_guard lock(mutex_);
  static auto retries =
      metrics::counter("sluice_full_import_retries_total", "Errors that were answered by another try");
  retries.add();
  ++retrying_;
  retry_error_ = error;
}

void ImportProgress::recovered() {
  std::lock_guard lock(mutex_);
  if (--retrying_ == 0) retry_error_.reset();
}

void ImportProgress::publish(ComponentContext& context) {
  std::lock_guard lock(mutex_);
  context.update([this](cluster::v1::ComponentStatus& status) {
    uint64_t rows = 0, bytes = 0, estimated = 0;
    for (auto& [name, table] : tables_) {
      rows += table.shown.rows();
      bytes += table.shown.bytes();
      estimated +=
          table.shown.finished() ? table.shown.rows() : std::max(table.shown.rows_estimated(), table.shown.rows());
      if (!table.changed) continue;
      table.changed = false;
      if (table.index < 0 || table.index >= status.tables_size()) {
        table.index = status.tables_size();
        status.add_tables();
      }
      *status.mutable_tables(table.index) = table.shown;
    }
    status.set_rows(rows);
    status.set_bytes(bytes);
    status.set_rows_estimated(estimated);
    static auto copied_rows = metrics::gauge("sluice_full_import_rows", "Rows that are in the target");
    static auto copied_bytes = metrics::gauge("sluice_full_import_bytes", "Bytes of these rows");
    copied_rows.set(static_cast<double>(rows));
    copied_bytes.set(static_cast<double>(bytes));
    for (; warnings_published_ < warnings_.size(); ++warnings_published_)
      status.add_warnings(warnings_[warnings_published_]);
    if (retry_error_) {
      status.set_state(cluster::v1::RETRYING);
      *status.mutable_error() = net::to_proto(*retry_error_);
    } else {
      status.set_state(cluster::v1::RUNNING);
      status.clear_error();
    }
  });
}

Result<mysql::Connection*> ImportSession::source_data() {
  if (!source_data_) {
    mysql::ConnectOptions options;
    options.application = "sluice full-import";
    SLUICE_ASSIGN(source_data_, mysql::Connection::open(settings_.source, options));
  }
  return source_data_.get();
}

Result<mysql::Connection*> ImportSession::source_catalog() {
  if (!source_catalog_) {
    mysql::ConnectOptions options;
    options.application = "sluice full-import";
    options.purpose = mysql::Purpose::kCatalog;
    SLUICE_ASSIGN(source_catalog_, mysql::Connection::open(settings_.source, options));
    SLUICE_TRY(source_catalog_->exec("SET SESSION time_zone='+00:00', SESSION sql_mode=''"));
  }
  return source_catalog_.get();
}

Result<std::unique_ptr<mysql::Connection>> ImportSession::open_target(mysql::Purpose purpose, bool local_infile) {
  mysql::ConnectOptions options;
  options.application = "sluice full-import";
  options.purpose = purpose;
  options.local_infile = local_infile;
  options.io_timeout = kTargetPatience;
  SLUICE_ASSIGN(auto connection,
                database::open_registered(settings_.target, options, settings_.owner, *settings_.lease));
  while (!lost_.empty()) {
    SLUICE_TRY(database::end_lost_connection(*connection, settings_.owner, lost_.back()));
    lost_.pop_back();
  }
  return connection;
}

Result<mysql::Connection*> ImportSession::target_data() {
  if (!target_data_) {
    SLUICE_ASSIGN(auto connection, open_target(mysql::Purpose::kData, true));
    SLUICE_ASSIGN(use_load_data_, database::prepare_for_loading(*connection));
    target_data_ = std::move(connection);
  }
  return target_data_.get();
}

Result<mysql::Connection*> ImportSession::target_catalog() {
  if (!target_catalog_) {
    SLUICE_ASSIGN(auto connection, open_target(mysql::Purpose::kCatalog, false));
    SLUICE_TRY(
        connection->exec("SET SESSION time_zone='+00:00', SESSION "
                         "sql_mode='NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', "
                         "SESSION foreign_key_checks=0, SESSION lock_wait_timeout=60"));
    target_catalog_ = std::move(connection);
  }
  return target_catalog_.get();
}

void ImportSession::drop_dead() { drop(true); }
void ImportSession::drop_all() { drop(false); }

void ImportSession::drop(bool dead_only) {
  for (auto* connection : {&source_data_, &source_catalog_}) {
    if (*connection && !(dead_only && (*connection)->alive())) connection->reset();
  }
  for (auto* connection : {&target_data_, &target_catalog_}) {
    if (!*connection || (dead_only && (*connection)->alive())) continue;
    lost_.push_back((*connection)->id());
    connection->reset();
  }
}

}  // namespace sluice::agents::full_import

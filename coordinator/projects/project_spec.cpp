#include "coordinator/projects/project_spec.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <set>

#include "core/table_mapping.hpp"
#include "core/worker_limits.hpp"

namespace sluice::coordinator {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

Error unsupported(const std::string& field, const std::string& why) {
  return Error(ErrorCode::UNSUPPORTED, field + ": " + why, field);
}
Error invalid(const std::string& field, const std::string& why) {
  return Error(ErrorCode::INVALID_ARGUMENT, field + ": " + why, field);
}

// Set to something other than its type's zero: null, false, 0 and "" all mean "not asked for".
bool is_set(const Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  if (field->is_repeated()) return reflection->FieldSize(message, field) > 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field) != 0;
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, field) != 0;
    case FieldDescriptor::CPPTYPE_STRING:
      return !reflection->GetString(message, field).empty();
    default:
      return reflection->HasField(message, field);
  }
}

// None of these fields may be set.
Status refuse(const Message& message, const std::string& path, std::initializer_list<const char*> fields) {
  for (const char* name : fields) {
    const auto* field = message.GetDescriptor()->FindFieldByName(name);
    if (field && is_set(message, field)) return unsupported(path + field->json_name(), "this field is not supported");
  }
  return {};
}

// The field is empty or one of `allowed`; a value in `known` is refused as unsupported, any other as invalid.
Status one_of(const std::string& field, const std::string& value, std::initializer_list<const char*> allowed,
              std::initializer_list<const char*> known = {}) {
  auto is = [&](const char* text) { return value == text; };
  if (value.empty() || std::any_of(allowed.begin(), allowed.end(), is)) return {};
  if (std::any_of(known.begin(), known.end(), is))
    return unsupported(field, "the value " + value + " is not supported");
  return invalid(field, "the value " + value + " is not known");
}

Status in_range(const std::string& field, bool present, int64_t value, int64_t low, int64_t high) {
  if (!present || (value >= low && value <= high)) return {};
  return invalid(field, "must be between " + std::to_string(low) + " and " + std::to_string(high));
}

Status check_speed(const std::string& field, const std::string& mode, bool has_config,
                   const admin::v1::SpeedConfig& config, int workers_max) {
  SLUICE_TRY(one_of(field + "Mode", mode, {"STEADY", "NORMAL", "FAST", "CUSTOM"}));
  if (has_config && mode != "CUSTOM" && config.ByteSizeLong() > 0)
    return invalid(field + "Config", "is only for the mode CUSTOM");
  SLUICE_TRY(in_range(field + "Config.memory", config.has_memory(), config.memory(), 1, 1024));
  SLUICE_TRY(in_range(field + "Config.readerWorkerNum", config.has_reader_worker_num(), config.reader_worker_num(), 1,
                      workers_max));
  return in_range(field + "Config.writerWorkerNum", config.has_writer_worker_num(), config.writer_worker_num(), 1,
                  workers_max);
}

Status check_full(const admin::v1::CreateProjectRequest& request) {
  const auto& full = request.full_transfer_config();
  const std::string path = "fullTransferConfig.";
  SLUICE_TRY(refuse(full, path, {"none_pk_uk_truncate_dst_table", "throttle_iops"}));
  SLUICE_TRY(check_speed(path + "fullTransferSpeed", full.full_transfer_speed_mode(),
                         full.has_full_transfer_speed_config(), full.full_transfer_speed_config(), kImportWorkersMax));
  SLUICE_TRY(check_speed(path + "fullVerifySpeed", full.full_verify_speed_mode(), full.has_full_verify_speed_config(),
                         full.full_verify_speed_config(), 512));
  SLUICE_TRY(in_range(path + "throttleRps", full.has_throttle_rps(), full.throttle_rps(), 0, INT32_MAX));
  if (full.allow_dest_table_not_empty() && request.truncate_target())
    return invalid("truncateTarget", "cannot be combined with fullTransferConfig.allowDestTableNotEmpty");
  return {};
}

Status check_incremental(const admin::v1::CreateProjectRequest& request) {
  const auto& incr = request.incr_transfer_config();
  const std::string path = "incrTransferConfig.";
  SLUICE_TRY(refuse(
      incr, path,
      {"enable_sequencing_within_txn", "incr_online_ddl_config", "throttle_iops", "reverse_reuse_incr_config_flag"}));
  if (!incr.start_timestamp().empty()) {
    if (request.enable_full_transfer() || !request.enable_incr_transfer())
      return invalid(path + "startTimestamp", "is only for incremental synchronization without full migration");
    int64_t seconds = 0;
    auto [end, error] = std::from_chars(incr.start_timestamp().data(),
                                        incr.start_timestamp().data() + incr.start_timestamp().size(), seconds);
    if (error != std::errc() || *end != '\0' || seconds <= 0)
      return invalid(path + "startTimestamp", "must be seconds since 1970");
  }
  std::set<std::string> records(incr.record_type_white_list().begin(), incr.record_type_white_list().end());
  for (const auto& type : records)
    SLUICE_TRY(one_of(path + "recordTypeWhiteList", type,
                      {"HEARTBEAT", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "DDL", "ROW"}));
  if (!records.empty() && !records.contains("ROW") &&
      !(records.contains("INSERT") && records.contains("UPDATE") && records.contains("DELETE")))
    return unsupported(path + "recordTypeWhiteList", "leaving out INSERT, UPDATE or DELETE is not supported");
  if (!records.empty() && !records.contains("DDL") && request.on_ddl() != "skip" && request.on_ddl() != "stop")
    return unsupported(path + "recordTypeWhiteList", "leaving out DDL is not supported; set onDdl to stop or skip");
  SLUICE_TRY(in_range(path + "storeLogKeptHour", incr.has_store_log_kept_hour(), incr.store_log_kept_hour(), 1, 365));
  SLUICE_TRY(in_range(path + "incrSyncConcurrency", incr.has_incr_sync_concurrency(), incr.incr_sync_concurrency(), 1,
                      kAppliersMax));
  SLUICE_TRY(in_range(path + "throttleRps", incr.has_throttle_rps(), incr.throttle_rps(), 0, INT32_MAX));
  SLUICE_TRY(
      one_of(path + "incrLogPullSpeedMode", incr.incr_log_pull_speed_mode(), {"NORMAL", "CUSTOM"}, {"STEADY", "FAST"}));
  SLUICE_TRY(refuse(incr.incr_log_pull_speed_config(), path + "incrLogPullSpeedConfig.",
                    {"reader_worker_num", "writer_worker_num"}));
  SLUICE_TRY(refuse(incr.incr_log_sync_speed_config(), path + "incrLogSyncSpeedConfig.", {"reader_worker_num"}));
  SLUICE_TRY(check_speed(path + "incrLogSyncSpeed", incr.incr_log_sync_speed_mode(),
                         incr.has_incr_log_sync_speed_config(), incr.incr_log_sync_speed_config(), kAppliersMax));
  for (const auto& type : incr.support_ddl_types())
    SLUICE_TRY(one_of(
        path + "supportDDLTypes", type,
        {"CREATE_TABLE", "ALTER_TABLE", "DROP_TABLE", "RENAME_TABLE", "TRUNCATE_TABLE", "CREATE_INDEX", "DROP_INDEX"}));
  SLUICE_TRY(one_of(path + "conflictPolicy", incr.conflict_policy(), {"IGNORE", "OVERWRITE"}));
  if (!incr.conflict_policy().empty() && !request.on_conflict().empty())
    return invalid("onConflict", "cannot be combined with incrTransferConfig.conflictPolicy");
  return {};
}

// deferIndexCreation is the older name of the same wish.
bool defers_indexes(const admin::v1::StructTransferConfig& structure) {
  return structure.defer_index_creation() || structure.index_migration_type() == "AFTER_FULL_TRANSFER";
}

Status check_other_configs(const admin::v1::CreateProjectRequest& request) {
  const auto& common = request.common_transfer_config();
  SLUICE_TRY(one_of("commonTransferConfig.tableCategory", common.table_category(), {"ALL"},
                    {"WITH_UNIQUE_ROW_ID", "WITHOUT_UNIQUE_ROW_ID"}));
  SLUICE_TRY(one_of("commonTransferConfig.sinkStoreFormat", common.sink_store_format(), {"Default"},
                    {"Row Storage", "Column Storage", "Hybrid Row-Column Storage"}));
  SLUICE_TRY(one_of("commonTransferConfig.sourceStoreFormat", common.source_store_format(), {"Default"},
                    {"Row Storage", "Column Storage", "Hybrid Row-Column Storage"}));
  SLUICE_TRY(refuse(
      common, "commonTransferConfig.",
      {"active_active", "mq_serializer_type", "mq_partition_mode", "mq_partition", "datahub_topic_type",
       "rocket_mq_producer_group", "rocket_mq_msg_tags", "rocket_mq_enable_msg_trace", "rocket_mq_send_msg_timeout",
       "data_works_business_name", "enable_hidden_columns_and_index", "interactive_mode"}));
  const auto& structure = request.struct_transfer_config();
  SLUICE_TRY(one_of("structTransferConfig.byteCharConvertStrategy", structure.byte_char_convert_strategy(),
                    {"DO_NOTHING_IF_BYTE_USED"},
                    {"IGNORE_BYTE_IF_BYTE_USED", "FORCE_CHAR_IF_BYTE_USED", "EXPAND_LEN_IF_BYTE_USED"}));
  SLUICE_TRY(one_of("structTransferConfig.indexMigrationType", structure.index_migration_type(),
                    {"WITH_STRUCT_TRANSFER", "AFTER_FULL_TRANSFER"}, {"NOT_MIGRATION"}));
  if (structure.defer_index_creation() && structure.index_migration_type() == "WITH_STRUCT_TRANSFER")
    return invalid("structTransferConfig.deferIndexCreation", "contradicts indexMigrationType");
  if (defers_indexes(structure) && request.enable_struct_transfer() && !request.enable_full_transfer())
    return invalid("structTransferConfig.indexMigrationType",
                   "indexes can only be made after full migration when that is enabled");
  if (structure.has_auto_processed_to_next_step() && !structure.auto_processed_to_next_step())
    return unsupported("structTransferConfig.autoProcessedToNextStep",
                       "stopping after schema migration is not supported");
  SLUICE_TRY(one_of("structTransferConfig.triggerMigrationType", structure.trigger_migration_type(), {"NOT_MIGRATION"},
                    {"WITH_STRUCT_TRANSFER", "WITH_TRANSFER_APP_SWITCH"}));
  const auto& verify = request.full_verify_config();
  SLUICE_TRY(refuse(verify, "fullVerifyConfig.",
                    {"source_throttle_bps", "sink_throttle_bps", "enable_hidden_columns_and_index"}));
  SLUICE_TRY(one_of("fullVerifyConfig.mode", verify.mode(), {"AUTO"}, {"IN"}));
  SLUICE_TRY(in_range("fullVerifyConfig.sourceThreads", verify.has_source_threads(), verify.source_threads(), 1, 512));
  return in_range("fullVerifyConfig.sinkThreads", verify.has_sink_threads(), verify.sink_threads(), 1, 512);
}

std::string quoted(const std::string& part) {
  return part.find_first_of(".`= ") == std::string::npos ? part : "`" + part + "`";
}

Status check_table(const admin::v1::TableObject& table, const std::string& path) {
  SLUICE_TRY(refuse(table, path, {"where_clause", "filter_columns", "shard_columns", "columns", "partition_names"}));
  return table.name().empty() ? Status(invalid(path + "name", "is missing")) : Status();
}

Status add_database(const admin::v1::DatabaseObject& database, const std::string& path, bool black,
                    ProjectScope& scope) {
  SLUICE_TRY(refuse(
      database, path,
      {"functions", "procedures", "packages", "synonyms", "sequences", "specific_functions", "specific_procedures",
       "specific_packages", "specific_synonyms", "specific_sequences", "cluster_name", "tenant_name"}));
  if (database.name().empty()) return invalid(path + "name", "is missing");
  const std::string from = quoted(database.name());
  const std::string to = database.mapped_name().empty() ? from : quoted(database.mapped_name());
  auto& list = black ? scope.excludes : scope.includes;
  bool named = false;
  auto add = [&](const auto& tables, const char* what) -> Status {
    for (const auto& table : tables) {
      SLUICE_TRY(check_table(table, path + what));
      named = true;
      std::string name = table.name() == "*" ? "*" : quoted(table.name());
      list.push_back(from + "." + name);
      if (!black && !table.mapped_name().empty() && table.mapped_name() != table.name())
        scope.renames.push_back(from + "." + name + "=" + to + "." + quoted(table.mapped_name()));
    }
    return {};
  };
  SLUICE_TRY(add(database.tables(), "tables."));
  SLUICE_TRY(add(database.views(), "views."));
  SLUICE_TRY(add(database.specific_tables(), "specificTables."));
  SLUICE_TRY(add(database.specific_views(), "specificViews."));
  if (!named) list.push_back(from + ".*");
  if (!black && to != from) scope.renames.push_back(from + ".*=" + to + ".*");
  return {};
}

Status add_rule(const std::string& rule, const std::string& path, bool black, ProjectScope& scope) {
  if (rule.find_first_of("[]") != std::string::npos)
    return unsupported(path, "character sets in rules are not supported: " + rule);
  auto equals = rule.find('=');
  (black ? scope.excludes : scope.includes).push_back(rule.substr(0, equals));
  if (equals != std::string::npos) {
    if (black) return invalid(path, "an excluded object has no new name: " + rule);
    scope.renames.push_back(rule);
  }
  return {};
}

template <class Rules>
Status add_rules(const Rules& rules, const std::string& path, bool black, ProjectScope& scope) {
  for (const auto& rule : rules) {
    const auto& schema = rule.schema_mapping();
    const auto& object = rule.object_mapping();
    std::string text = schema.name() + "." + object.name();
    if (!schema.mapped_name().empty() || !object.mapped_name().empty())
      text += "=" + (schema.mapped_name().empty() ? schema.name() : schema.mapped_name()) + "." +
              (object.mapped_name().empty() ? object.name() : object.mapped_name());
    SLUICE_TRY(add_rule(text, path, black, scope));
  }
  return {};
}

Status add_mapping(const admin::v1::TransferMapping& mapping, ProjectScope& scope) {
  const std::string path = "transferMapping.";
  SLUICE_TRY(one_of(path + "mode", mapping.mode(), {"SPECIFIC", "WILDCARD", "COMPLEX"}));
  if (mapping.mode().empty() && mapping.ByteSizeLong() > 0) return invalid(path + "mode", "is missing");
  for (const auto& database : mapping.databases())
    SLUICE_TRY(add_database(database, path + "databases.", false, scope));
  for (const auto& database : mapping.schemas()) SLUICE_TRY(add_database(database, path + "schemas.", false, scope));
  for (const auto& database : mapping.databases_black())
    SLUICE_TRY(add_database(database, path + "databasesBlack.", true, scope));
  for (const auto& rule : mapping.table_and_view_white_list())
    SLUICE_TRY(add_rule(rule, path + "tableAndViewWhiteList", false, scope));
  for (const auto& rule : mapping.table_and_view_black_list())
    SLUICE_TRY(add_rule(rule, path + "tableAndViewBlackList", true, scope));
  SLUICE_TRY(add_rules(mapping.white_table_rules(), path + "whiteTableRules", false, scope));
  SLUICE_TRY(add_rules(mapping.black_table_rules(), path + "blackTableRules", true, scope));
  SLUICE_TRY(add_rules(mapping.white_view_rules(), path + "whiteViewRules", false, scope));
  SLUICE_TRY(add_rules(mapping.black_view_rules(), path + "blackViewRules", true, scope));
  if (!mapping.mode().empty() && scope.includes.empty()) return invalid(path + "databases", "no object is selected");
  return {};
}

struct Workers {
  int readers = 0, writers = 0;
  int64_t memory = 0;
};
Workers workers_of(const std::string& mode, const admin::v1::SpeedConfig& config, const std::string& otherwise) {
  const std::string& speed = mode.empty() ? otherwise : mode;
  if (speed == "STEADY") return {2, 2};
  if (speed == "FAST") return {16, 16};
  if (speed == "CUSTOM")
    return {config.reader_worker_num(), config.writer_worker_num(), int64_t(config.memory()) << 30};
  return {};  // NORMAL: the component decides by the machine
}

// The words have been validated.
cluster::v1::ConflictPolicy conflict_policy(const admin::v1::CreateProjectRequest& request) {
  const std::string& oms = request.incr_transfer_config().conflict_policy();
  if (oms == "OVERWRITE" || (oms.empty() && request.on_conflict() == "overwrite"))
    return cluster::v1::CONFLICT_OVERWRITE;
  if (oms == "IGNORE" || (oms.empty() && request.on_conflict() == "skip")) return cluster::v1::CONFLICT_SKIP;
  return cluster::v1::CONFLICT_STOP;
}

cluster::v1::DdlPolicy ddl_policy(const std::string& word) {
  if (word == "stop") return cluster::v1::DDL_STOP;
  return word == "skip" ? cluster::v1::DDL_SKIP : cluster::v1::DDL_APPLY;
}

}  // namespace

std::string word_of(cluster::v1::ConflictPolicy policy) {
  if (policy == cluster::v1::CONFLICT_OVERWRITE) return "overwrite";
  return policy == cluster::v1::CONFLICT_SKIP ? "skip" : "stop";
}

std::string word_of(cluster::v1::DdlPolicy policy) {
  if (policy == cluster::v1::DDL_STOP) return "stop";
  return policy == cluster::v1::DDL_SKIP ? "skip" : "apply";
}

Status validate_project(const admin::v1::CreateProjectRequest& request) {
  if (request.name().empty()) return invalid("name", "is missing");
  if (request.name().size() > 64 || request.name().find_first_of(" \t\r\n") != std::string::npos)
    return invalid("name", "at most 64 characters without spaces");
  SLUICE_TRY(one_of("type", request.type(), {"MIGRATION"}, {"SYNC", "VERIFY"}));
  if (request.type().empty()) return invalid("type", "is missing");
  if (request.source_endpoint_id().empty()) return invalid("sourceEndpointId", "is missing");
  if (request.sink_endpoint_id().empty()) return invalid("sinkEndpointId", "is missing");
  SLUICE_TRY(refuse(request, "",
                    {"label_ids", "enable_count_verify", "enable_incr_verify", "enable_reverse_incr_transfer",
                     "reverse_incr_transfer_config", "count_verify_config", "incr_verify_config", "forward_project_id",
                     "precheck_id", "id", "worker_grade_id", "use_oss", "oss_key"}));
  SLUICE_TRY(one_of("direction", request.direction(), {"NORMAL"}, {"FORWARD", "REVERSE"}));
  SLUICE_TRY(one_of("sourceEndpointType", request.source_endpoint_type(), {"MYSQL"},
                    {"OB_ORACLE", "OB_MYSQL", "ORACLE", "TIDB", "DB2_LUW", "POSTGRESQL", "IDB", "DBP_OP_ROUTE"}));
  SLUICE_TRY(one_of("sinkEndpointType", request.sink_endpoint_type(), {"MYSQL"},
                    {"OB_ORACLE", "OB_MYSQL", "ORACLE", "DB2_LUW", "KAFKA", "DATAHUB", "ROCKETMQ"}));
  SLUICE_TRY(one_of("runMode", request.run_mode(), {"ONCE", "FOLLOW"}));
  SLUICE_TRY(one_of("onConflict", request.on_conflict(), {"stop", "overwrite", "skip"}));
  SLUICE_TRY(one_of("onDdl", request.on_ddl(), {"apply", "stop", "skip"}));
  SLUICE_TRY(one_of("speed", request.speed(), {"STEADY", "NORMAL", "FAST"}));
  SLUICE_TRY(in_range("memoryBytes", request.memory_bytes() != 0, request.memory_bytes(), 16 << 20, int64_t(1) << 42));
  SLUICE_TRY(check_full(request));
  SLUICE_TRY(check_incremental(request));
  SLUICE_TRY(check_other_configs(request));
  SLUICE_ASSIGN(auto scope, scope_of(request));
  auto mapping = TableMapping::create(scope.includes, scope.excludes, scope.renames,
                                      request.meta_database().empty() ? "sluice" : request.meta_database());
  return mapping.ok() ? Status() : Status(mapping.error().with_object("transferMapping"));
}

Result<admin::v1::CreateProjectRequest> changed_spec(admin::v1::CreateProjectRequest spec,
                                                     const admin::v1::ResumeProjectRequest& change) {
  if (!change.run_mode().empty()) spec.set_run_mode(change.run_mode());
  if (!change.on_conflict().empty()) {
    spec.set_on_conflict(change.on_conflict());
    if (spec.has_incr_transfer_config()) spec.mutable_incr_transfer_config()->clear_conflict_policy();
  }
  if (!change.on_ddl().empty()) spec.set_on_ddl(change.on_ddl());
  if (change.has_throttle_rps()) {
    spec.mutable_full_transfer_config()->set_throttle_rps(change.throttle_rps());
    spec.mutable_incr_transfer_config()->set_throttle_rps(change.throttle_rps());
  }
  if (change.memory_bytes() != 0) spec.set_memory_bytes(change.memory_bytes());
  if (!change.speed().empty()) spec.set_speed(change.speed());
  if (change.has_allow_dest_table_not_empty())
    spec.mutable_full_transfer_config()->set_allow_dest_table_not_empty(change.allow_dest_table_not_empty());
  if (change.has_truncate_target()) spec.set_truncate_target(change.truncate_target());
  if (change.skip_check_size() > 0) *spec.mutable_skip_check() = change.skip_check();
  SLUICE_TRY(validate_project(spec));
  return spec;
}

ProjectSteps ProjectSteps::of(const admin::v1::CreateProjectRequest& request) {
  if (request.precheck_only()) return {};
  return {request.enable_struct_transfer(),
          request.enable_full_transfer(),
          request.enable_incr_transfer(),
          request.enable_full_verify(),
          request.run_mode() != "ONCE" && request.enable_incr_transfer(),
          request.enable_struct_transfer() && request.enable_full_transfer() &&
              defers_indexes(request.struct_transfer_config())};
}

Result<ProjectScope> scope_of(const admin::v1::CreateProjectRequest& request) {
  ProjectScope scope;
  SLUICE_TRY(add_mapping(request.transfer_mapping(), scope));
  scope.includes.insert(scope.includes.end(), request.include().begin(), request.include().end());
  scope.excludes.insert(scope.excludes.end(), request.exclude().begin(), request.exclude().end());
  scope.renames.insert(scope.renames.end(), request.rename().begin(), request.rename().end());
  return scope;
}

cluster::v1::ComponentSpec spec_of(const admin::v1::CreateProjectRequest& request, cluster::v1::ComponentKind kind) {
  cluster::v1::ComponentSpec spec;
  spec.set_kind(kind);
  spec.set_meta_database(request.meta_database().empty() ? "sluice" : request.meta_database());
  if (auto scope = scope_of(request); scope.ok()) {
    spec.mutable_includes()->Assign(scope->includes.begin(), scope->includes.end());
    spec.mutable_excludes()->Assign(scope->excludes.begin(), scope->excludes.end());
    spec.mutable_renames()->Assign(scope->renames.begin(), scope->renames.end());
  }
  const auto& full = request.full_transfer_config();
  const auto& incr = request.incr_transfer_config();
  const auto& verify = request.full_verify_config();
  int64_t memory = request.memory_bytes() > 0 ? request.memory_bytes() : int64_t(512) << 20;
  Workers workers;
  if (kind == cluster::v1::FULL_IMPORT) {
    workers = workers_of(full.full_transfer_speed_mode(), full.full_transfer_speed_config(), request.speed());
    spec.set_throttle_rows_per_second(full.throttle_rps());
  } else if (kind == cluster::v1::INCR_SYNC) {
    workers = workers_of(incr.incr_log_sync_speed_mode(), incr.incr_log_sync_speed_config(), request.speed());
    if (incr.has_incr_sync_concurrency()) workers.writers = incr.incr_sync_concurrency();
    spec.set_throttle_rows_per_second(incr.throttle_rps());
  } else if (kind == cluster::v1::CHECKER) {
    workers = workers_of(full.full_verify_speed_mode(), full.full_verify_speed_config(), request.speed());
    if (verify.has_source_threads()) workers.readers = verify.source_threads();
    if (verify.has_sink_threads()) workers.writers = verify.sink_threads();
    spec.set_throttle_rows_per_second(full.throttle_rps());  // it reads the source as the copy does
  } else if (kind == cluster::v1::STORE && incr.incr_log_pull_speed_mode() == "CUSTOM") {
    workers.memory = int64_t(incr.incr_log_pull_speed_config().memory()) << 30;
  }
  spec.set_readers(workers.readers);
  spec.set_writers(workers.writers);
  spec.set_memory_bytes(workers.memory > 0 ? workers.memory : memory);
  spec.set_allow_not_empty(full.allow_dest_table_not_empty());
  spec.set_truncate_target(request.truncate_target());
  spec.set_on_conflict(conflict_policy(request));
  spec.set_on_ddl(ddl_policy(request.on_ddl()));
  if (request.enable_struct_transfer()) spec.add_steps("STRUCT_TRANSFER");
  if (request.enable_full_transfer() || request.enable_incr_transfer()) spec.add_steps("TRANSFER_INCR_LOG_PULL");
  if (request.enable_full_transfer()) spec.add_steps("FULL_TRANSFER");
  if (request.enable_incr_transfer()) spec.add_steps("INCR_TRANSFER");
  if (request.enable_full_verify()) spec.add_steps("FULL_VERIFIER");
  *spec.mutable_ddl_types() = incr.support_ddl_types();
  *spec.mutable_skip_checks() = request.skip_check();
  spec.set_store_retention_hours(incr.has_store_log_kept_hour() ? incr.store_log_kept_hour() : 7);
  spec.set_with_incremental(request.enable_incr_transfer());
  if (!incr.start_timestamp().empty()) spec.set_start_time_us(std::stoll(incr.start_timestamp()) * 1'000'000);
  return spec;
}

}  // namespace sluice::coordinator

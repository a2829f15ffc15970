#include "coordinator/projects/project_spec.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace sluice::coordinator {
namespace {

using Request = admin::v1::CreateProjectRequest;

Request good() {
  Request request;
  request.set_name("p");
  request.set_type("MIGRATION");
  request.set_source_endpoint_id("e_1");
  request.set_sink_endpoint_id("e_2");
  request.set_enable_struct_transfer(true);
  request.set_enable_full_transfer(true);
  request.set_enable_incr_transfer(true);
  request.set_enable_full_verify(true);
  return request;
}

Error refusal(const std::function<void(Request&)>& change) {
  Request request = good();
  change(request);
  auto status = validate_project(request);
  EXPECT_FALSE(status.ok());
  return status.ok() ? Error(ErrorCode::INTERNAL, "accepted") : status.error();
}

TEST(ProjectSpec, AcceptsThePlainProject) {
  auto status = validate_project(good());
  EXPECT_TRUE(status.ok()) << status.error().to_string();
}

TEST(ProjectSpec, EveryUnsupportedFieldIsRefusedByName) {
  struct Case {
    const char* field;
    std::function<void(Request&)> change;
  };
  const std::vector<Case> cases = {
      {"labelIds", [](Request& r) { r.add_label_ids("l_1"); }},
      {"enableCountVerify", [](Request& r) { r.set_enable_count_verify(true); }},
      {"enableIncrVerify", [](Request& r) { r.set_enable_incr_verify(true); }},
      {"enableReverseIncrTransfer", [](Request& r) { r.set_enable_reverse_incr_transfer(true); }},
      {"reverseIncrTransferConfig", [](Request& r) { r.mutable_reverse_incr_transfer_config(); }},
      {"forwardProjectId", [](Request& r) { r.set_forward_project_id("np_1"); }},
      {"type", [](Request& r) { r.set_type("VERIFY"); }},
      {"direction", [](Request& r) { r.set_direction("REVERSE"); }},
      {"sinkEndpointType", [](Request& r) { r.set_sink_endpoint_type("KAFKA"); }},
      {"commonTransferConfig.tableCategory",
       [](Request& r) { r.mutable_common_transfer_config()->set_table_category("WITH_UNIQUE_ROW_ID"); }},
      {"commonTransferConfig.interactiveMode",
       [](Request& r) { r.mutable_common_transfer_config()->set_interactive_mode(true); }},
      {"commonTransferConfig.rocketMqSendMsgTimeout",
       [](Request& r) { r.mutable_common_transfer_config()->set_rocket_mq_send_msg_timeout(5); }},
      {"structTransferConfig.indexMigrationType",
       [](Request& r) { r.mutable_struct_transfer_config()->set_index_migration_type("NOT_MIGRATION"); }},
      {"structTransferConfig.autoProcessedToNextStep",
       [](Request& r) { r.mutable_struct_transfer_config()->set_auto_processed_to_next_step(false); }},
      {"fullTransferConfig.throttleIOPS", [](Request& r) { r.mutable_full_transfer_config()->set_throttle_iops(5); }},
      {"fullTransferConfig.nonePkUkTruncateDstTable",
       [](Request& r) { r.mutable_full_transfer_config()->set_none_pk_uk_truncate_dst_table(true); }},
      {"incrTransferConfig.enableSequencingWithinTxn",
       [](Request& r) { r.mutable_incr_transfer_config()->set_enable_sequencing_within_txn(true); }},
      {"incrTransferConfig.incrOnlineDdlConfig",
       [](Request& r) { r.mutable_incr_transfer_config()->add_incr_online_ddl_config("GH_OST"); }},
      {"incrTransferConfig.recordTypeWhiteList",
       [](Request& r) { r.mutable_incr_transfer_config()->add_record_type_white_list("INSERT"); }},
      {"incrTransferConfig.incrLogPullSpeedMode",
       [](Request& r) { r.mutable_incr_transfer_config()->set_incr_log_pull_speed_mode("FAST"); }},
      {"fullVerifyConfig.mode", [](Request& r) { r.mutable_full_verify_config()->set_mode("IN"); }},
      {"fullVerifyConfig.sourceThrottleBps",
       [](Request& r) { r.mutable_full_verify_config()->set_source_throttle_bps(3); }},
      {"transferMapping.databases.tables.whereClause",
       [](Request& r) {
         r.mutable_transfer_mapping()->set_mode("SPECIFIC");
         auto* database = r.mutable_transfer_mapping()->add_databases();
         database->set_name("a");
         auto* table = database->add_tables();
         table->set_name("t");
         table->set_where_clause("id > 3");
       }},
      {"transferMapping.databases.functions",
       [](Request& r) {
         r.mutable_transfer_mapping()->set_mode("SPECIFIC");
         auto* database = r.mutable_transfer_mapping()->add_databases();
         database->set_name("a");
         database->add_functions()->set_name("f");
       }},
      {"transferMapping.tableAndViewWhiteList",
       [](Request& r) {
         r.mutable_transfer_mapping()->set_mode("WILDCARD");
         r.mutable_transfer_mapping()->add_table_and_view_white_list("a.[bc]*");
       }},
  };
  for (const auto& one : cases) {
    Error error = refusal(one.change);
    EXPECT_EQ(error.code(), ErrorCode::UNSUPPORTED) << one.field << ": " << error.to_string();
    EXPECT_EQ(error.object(), one.field);
  }
}

TEST(ProjectSpec, DeferredIndexesNeedACopyToBeDeferredBehind) {
  Request request = good();
  request.mutable_struct_transfer_config()->set_index_migration_type("AFTER_FULL_TRANSFER");
  EXPECT_TRUE(validate_project(request).ok());
  EXPECT_TRUE(ProjectSteps::of(request).defer_indexes);
  request.set_enable_full_transfer(false);
  ASSERT_FALSE(validate_project(request).ok());
  EXPECT_EQ(validate_project(request).error().object(), "structTransferConfig.indexMigrationType");
  EXPECT_EQ(refusal([](Request& r) {
              r.mutable_struct_transfer_config()->set_defer_index_creation(true);
              r.mutable_struct_transfer_config()->set_index_migration_type("WITH_STRUCT_TRANSFER");
            }).object(),
            "structTransferConfig.deferIndexCreation");
}

TEST(ProjectSpec, WrongValuesAreInvalidAndNamed) {
  EXPECT_EQ(refusal([](Request& r) { r.set_name("a b"); }).object(), "name");
  EXPECT_EQ(refusal([](Request& r) { r.set_name(std::string(65, 'x')); }).object(), "name");
  EXPECT_EQ(refusal([](Request& r) { r.clear_type(); }).object(), "type");
  EXPECT_EQ(refusal([](Request& r) { r.set_type("COPY"); }).code(), ErrorCode::INVALID_ARGUMENT);
  EXPECT_EQ(refusal([](Request& r) { r.set_on_conflict("ignore"); }).object(), "onConflict");
  EXPECT_EQ(refusal([](Request& r) { r.mutable_incr_transfer_config()->set_start_timestamp("1689201369"); }).object(),
            "incrTransferConfig.startTimestamp");
  EXPECT_EQ(refusal([](Request& r) { r.mutable_incr_transfer_config()->set_incr_sync_concurrency(65); }).object(),
            "incrTransferConfig.incrSyncConcurrency");
  EXPECT_EQ(refusal([](Request& r) {
              r.mutable_full_transfer_config()->set_full_transfer_speed_mode("CUSTOM");
              r.mutable_full_transfer_config()->mutable_full_transfer_speed_config()->set_reader_worker_num(65);
            }).object(),
            "fullTransferConfig.fullTransferSpeedConfig.readerWorkerNum");
  for (const int hours : {0, 366})
    EXPECT_EQ(refusal([&](Request& r) { r.mutable_incr_transfer_config()->set_store_log_kept_hour(hours); }).object(),
              "incrTransferConfig.storeLogKeptHour");
  EXPECT_EQ(
      refusal([](Request& r) { r.mutable_incr_transfer_config()->add_support_ddl_types("DROP_DATABASE"); }).object(),
      "incrTransferConfig.supportDDLTypes");
  EXPECT_EQ(refusal([](Request& r) {
              r.set_truncate_target(true);
              r.mutable_full_transfer_config()->set_allow_dest_table_not_empty(true);
            }).object(),
            "truncateTarget");
  EXPECT_EQ(refusal([](Request& r) { r.mutable_transfer_mapping()->set_mode("SPECIFIC"); }).object(),
            "transferMapping.databases");
  EXPECT_EQ(refusal([](Request& r) { r.add_include("nodot"); }).object(), "transferMapping");
  EXPECT_EQ(refusal([](Request& r) { r.set_memory_bytes((16 << 20) - 1); }).object(), "memoryBytes");
}

// The least that `sluice migrate --memory` takes.
TEST(ProjectSpec, SixteenMebibytesAreEnough) {
  Request request = good();
  request.set_memory_bytes(16 << 20);
  EXPECT_TRUE(validate_project(request).ok());
}

TEST(ProjectSpec, NullsFalseAndZeroAreNotAskedFor) {
  Request request = good();
  auto& common = *request.mutable_common_transfer_config();
  common.set_active_active(false);
  common.set_mq_partition(0);
  common.set_interactive_mode(false);
  request.mutable_full_transfer_config()->set_none_pk_uk_truncate_dst_table(false);
  auto status = validate_project(request);
  EXPECT_TRUE(status.ok()) << status.error().to_string();
}

TEST(ProjectSpec, TheThreeMappingModesBecomePatterns) {
  Request request = good();
  auto& mapping = *request.mutable_transfer_mapping();
  mapping.set_mode("SPECIFIC");
  auto& database = *mapping.add_databases();
  database.set_name("shop");
  database.set_mapped_name("store");
  database.add_tables()->set_name("orders");
  auto& renamed = *database.add_tables();
  renamed.set_name("items");
  renamed.set_mapped_name("things");
  auto scope = scope_of(request);
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ(scope->includes, (std::vector<std::string>{"shop.orders", "shop.items"}));
  EXPECT_EQ(scope->renames, (std::vector<std::string>{"shop.items=store.things", "shop.*=store.*"}));

  request.clear_transfer_mapping();
  auto& wild = *request.mutable_transfer_mapping();
  wild.set_mode("WILDCARD");
  wild.add_table_and_view_white_list("a.*=b.*");
  wild.add_table_and_view_black_list("a.tmp*");
  scope = scope_of(request);
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ(scope->includes, std::vector<std::string>{"a.*"});
  EXPECT_EQ(scope->excludes, std::vector<std::string>{"a.tmp*"});
  EXPECT_EQ(scope->renames, std::vector<std::string>{"a.*=b.*"});

  request.clear_transfer_mapping();
  auto& complex = *request.mutable_transfer_mapping();
  complex.set_mode("COMPLEX");
  auto& rule = *complex.add_white_table_rules();
  rule.mutable_schema_mapping()->set_name("a");
  rule.mutable_schema_mapping()->set_mapped_name("b");
  rule.mutable_object_mapping()->set_name("t*");
  complex.add_schemas()->set_name("whole");
  scope = scope_of(request);
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ(scope->includes, (std::vector<std::string>{"whole.*", "a.t*"}));
  EXPECT_EQ(scope->renames, std::vector<std::string>{"a.t*=b.t*"});
}

TEST(ProjectSpec, SettingsReachTheComponentsThatTheyAreFor) {
  Request request = good();
  auto& full = *request.mutable_full_transfer_config();
  full.set_full_transfer_speed_mode("CUSTOM");
  full.mutable_full_transfer_speed_config()->set_memory(2);
  full.mutable_full_transfer_speed_config()->set_reader_worker_num(3);
  full.mutable_full_transfer_speed_config()->set_writer_worker_num(5);
  full.set_throttle_rps(1000);
  auto& incr = *request.mutable_incr_transfer_config();
  incr.set_incr_sync_concurrency(16);
  incr.set_throttle_rps(77);
  incr.set_store_log_kept_hour(48);
  incr.set_conflict_policy("OVERWRITE");
  ASSERT_TRUE(validate_project(request).ok());
  auto import = spec_of(request, cluster::v1::FULL_IMPORT);
  EXPECT_EQ(import.readers(), 3u);
  EXPECT_EQ(import.writers(), 5u);
  EXPECT_EQ(import.memory_bytes(), uint64_t(2) << 30);
  EXPECT_EQ(import.throttle_rows_per_second(), 1000u);
  auto sync = spec_of(request, cluster::v1::INCR_SYNC);
  EXPECT_EQ(sync.writers(), 16u);
  EXPECT_EQ(sync.throttle_rows_per_second(), 77u);
  EXPECT_EQ(spec_of(request, cluster::v1::CHECKER).throttle_rows_per_second(), 1000u);
  EXPECT_EQ(sync.on_conflict(), cluster::v1::CONFLICT_OVERWRITE);
  EXPECT_EQ(sync.on_ddl(), cluster::v1::DDL_APPLY);
  EXPECT_EQ(sync.memory_bytes(), uint64_t(512) << 20);
  EXPECT_EQ(spec_of(request, cluster::v1::STORE).store_retention_hours(), 48u);
}

TEST(ProjectSpec, PoliciesReachTheComponents) {
  const auto policies = [](const char* oms, const char* on_conflict, const char* on_ddl) {
    Request request = good();
    request.mutable_incr_transfer_config()->set_conflict_policy(oms);
    request.set_on_conflict(on_conflict);
    request.set_on_ddl(on_ddl);
    const auto spec = spec_of(request, cluster::v1::INCR_SYNC);
    if (*on_conflict) EXPECT_EQ(word_of(spec.on_conflict()), on_conflict);
    if (*on_ddl) EXPECT_EQ(word_of(spec.on_ddl()), on_ddl);
    return std::pair(spec.on_conflict(), spec.on_ddl());
  };
  using namespace cluster::v1;
  EXPECT_EQ(policies("", "", ""), std::pair(CONFLICT_STOP, DDL_APPLY));
  EXPECT_EQ(policies("", "stop", "apply"), std::pair(CONFLICT_STOP, DDL_APPLY));
  EXPECT_EQ(policies("", "overwrite", "stop"), std::pair(CONFLICT_OVERWRITE, DDL_STOP));
  EXPECT_EQ(policies("", "skip", "skip"), std::pair(CONFLICT_SKIP, DDL_SKIP));
  EXPECT_EQ(policies("OVERWRITE", "", ""), std::pair(CONFLICT_OVERWRITE, DDL_APPLY));
  EXPECT_EQ(policies("IGNORE", "", ""), std::pair(CONFLICT_SKIP, DDL_APPLY));
}

}  // namespace
}  // namespace sluice::coordinator

#include "cli/client_output.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "sluice/admin/v1/admin.pb.h"

namespace sluice::cli {
namespace {

class ClientOutput : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    path_ = ::testing::TempDir() + "client_output_" + std::to_string(getpid()) + ".yaml";
    std::ofstream(path_) << text;
    return path_;
  }
  void TearDown() override { std::remove(path_.c_str()); }
  std::string path_;
};

TEST_F(ClientOutput, AProjectFileIsTheBodyOfCreateProject) {
  admin::v1::CreateProjectRequest request;
  auto status = read_yaml_message(write(R"(
name: "007"
type: MIGRATION
enableFullTransfer: true
transferMapping:
  mode: SPECIFIC
  databases:
    - name: shop
      mappedName: store
      tables:
        - name: orders
          whereClause: null
fullTransferConfig:
  allowDestTableNotEmpty: false
  throttleIOPS: 1000
incrTransferConfig:
  startTimestamp: 1689201369
  supportDDLTypes: [CREATE_TABLE, DROP_TABLE]
  throttleRps: ~
)"),
                                  request);
  ASSERT_TRUE(status.ok()) << status.error().to_string();
  EXPECT_EQ(request.name(), "007");
  EXPECT_TRUE(request.enable_full_transfer());
  EXPECT_EQ(request.transfer_mapping().databases(0).tables(0).name(), "orders");
  EXPECT_TRUE(request.full_transfer_config().has_allow_dest_table_not_empty());
  EXPECT_EQ(request.full_transfer_config().throttle_iops(), 1000);
  EXPECT_EQ(request.incr_transfer_config().start_timestamp(), "1689201369");
  EXPECT_EQ(request.incr_transfer_config().support_ddl_types_size(), 2);
  EXPECT_FALSE(request.incr_transfer_config().has_throttle_rps());
}

TEST_F(ClientOutput, WrongFilesAreRefusedWithTheirName) {
  admin::v1::CreateProjectRequest request;
  for (const char* text : {"enableFullTransfr: true", "enableFullTransfer: maybe", "- a", "a: [", ""}) {
    auto status = read_yaml_message(write(text), request);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.error().code(), ErrorCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error().object(), path_);
  }
  EXPECT_FALSE(read_yaml_message("/nowhere/project.yaml", request).ok());
}

TEST_F(ClientOutput, MessagesArePrintedWithTheirJsonNames) {
  admin::v1::CreateDataSourceResponse message;
  message.set_id("e_1");
  EXPECT_EQ(json_text(message), "{\n  \"id\": \"e_1\"\n}\n");
  EXPECT_EQ(yaml_text(message), "id: e_1\n");
}

TEST_F(ClientOutput, TablesAreAligned) {
  EXPECT_EQ(table_text({{"ID", "NAME"}, {"e_12345", "a"}, {"e_1", ""}}), "ID       NAME\ne_12345  a\ne_1\n");
}

}  // namespace
}  // namespace sluice::cli

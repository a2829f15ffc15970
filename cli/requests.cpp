#include "cli/requests.hpp"

#include <cctype>

#include "core/net/convert.hpp"

namespace sluice::cli {
namespace {

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

admin::v1::CreateDataSourceRequest data_source_request(const std::string& name, const Endpoint& endpoint) {
  admin::v1::CreateDataSourceRequest request;
  request.set_name(name);
  request.set_type("MYSQL");
  request.set_ip(endpoint.host);
  request.set_port(endpoint.port);
  request.set_schema(endpoint.database);
  request.set_username(endpoint.user);
  request.set_password(endpoint.password.reveal());
  request.set_socket(endpoint.socket);
  request.set_ssl_mode(net::to_proto(endpoint).ssl_mode());
  request.set_ssl_ca(endpoint.ssl_ca);
  request.set_ssl_cert(endpoint.ssl_cert);
  request.set_ssl_key(endpoint.ssl_key);
  return request;
}

admin::v1::CreateProjectRequest project_request(const MigrateOptions& o) {
  admin::v1::CreateProjectRequest request;
  request.set_name("migrate");
  request.set_type("MIGRATION");
  request.set_source_endpoint_id("source");
  request.set_sink_endpoint_id("target");
  request.set_enable_struct_transfer(o.schema);
  request.set_enable_full_transfer(o.full);
  // Rows are loaded faster into a table without them, and sorting all of an index at once is faster than row by row.
  if (o.schema && o.full) request.mutable_struct_transfer_config()->set_index_migration_type("AFTER_FULL_TRANSFER");
  request.set_enable_incr_transfer(o.incr);
  request.set_enable_full_verify(o.verify);
  request.set_precheck_only(o.dry_run);
  auto* full = request.mutable_full_transfer_config();
  full->set_allow_dest_table_not_empty(o.allow_not_empty);
  full->set_throttle_rps(static_cast<int32_t>(o.throttle_rps));
  request.mutable_incr_transfer_config()->set_throttle_rps(static_cast<int32_t>(o.throttle_rps));
  request.set_run_mode(o.follow ? "FOLLOW" : "ONCE");
  request.set_on_conflict(o.on_conflict);
  request.set_on_ddl(o.on_ddl);
  for (const auto& pattern : o.includes) request.add_include(pattern);
  for (const auto& pattern : o.excludes) request.add_exclude(pattern);
  for (const auto& rename : o.renames) request.add_rename(rename);
  for (const auto& check : o.skip_checks) request.add_skip_check(check);
  request.set_meta_database(o.meta_database);
  request.set_memory_bytes(static_cast<int64_t>(o.memory_bytes));
  request.set_speed(upper(o.speed));
  request.set_truncate_target(o.truncate_target);
  return request;
}

admin::v1::ResumeProjectRequest resume_request(const std::string& id, const MigrateOptions& o) {
  admin::v1::ResumeProjectRequest request;
  request.set_id(id);
  request.set_again(true);  // also when the project had just come to its end as the command was killed
  request.set_run_mode(o.follow ? "FOLLOW" : "ONCE");
  request.set_on_conflict(o.on_conflict);
  request.set_on_ddl(o.on_ddl);
  request.set_throttle_rps(static_cast<int32_t>(o.throttle_rps));
  request.set_memory_bytes(static_cast<int64_t>(o.memory_bytes));
  request.set_speed(upper(o.speed));
  request.set_allow_dest_table_not_empty(o.allow_not_empty);
  request.set_truncate_target(o.truncate_target);
  for (const auto& check : o.skip_checks) request.add_skip_check(check);
  return request;
}

}  // namespace sluice::cli

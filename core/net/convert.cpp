#include "core/net/convert.hpp"

namespace sluice::net {
namespace {

constexpr std::pair<SslMode, const char*> kSslModes[] = {{SslMode::kDisabled, "disabled"},
                                                         {SslMode::kPreferred, "preferred"},
                                                         {SslMode::kRequired, "required"},
                                                         {SslMode::kVerifyCa, "verify-ca"},
                                                         {SslMode::kVerifyIdentity, "verify-identity"}};

}  // namespace

store::v1::Position to_proto(const Position& position) {
  store::v1::Position message;
  message.set_file(position.file);
  message.set_offset(position.offset);
  message.set_gtids(position.gtids);
  return message;
}

Position from_proto(const store::v1::Position& message) { return {message.file(), message.offset(), message.gtids()}; }

cluster::v1::Error to_proto(const Error& error) {
  cluster::v1::Error message;
  message.set_code(std::string(error.id()));
  message.set_object(error.object());
  message.set_position(error.position());
  message.set_cause(error.cause());
  message.set_action(std::string(error.action()));
  return message;
}

Error from_proto(const cluster::v1::Error& message) {
  if (auto code = error_code_from_id(message.code()))
    return Error(*code, message.cause(), message.object(), message.position());
  return Error(ErrorCode::INTERNAL, message.code() + ": " + message.cause(), message.object(), message.position());
}

cluster::v1::DatabaseEndpoint to_proto(const Endpoint& endpoint) {
  cluster::v1::DatabaseEndpoint message;
  message.set_kind(endpoint.kind);
  message.set_host(endpoint.host);
  message.set_port(endpoint.port);
  message.set_socket(endpoint.socket);
  message.set_user(endpoint.user);
  message.set_password(endpoint.password.reveal());
  message.set_database(endpoint.database);
  for (const auto& [mode, name] : kSslModes)
    if (mode == endpoint.ssl_mode) message.set_ssl_mode(name);
  message.set_ssl_ca(endpoint.ssl_ca);
  message.set_ssl_cert(endpoint.ssl_cert);
  message.set_ssl_key(endpoint.ssl_key);
  return message;
}

Endpoint from_proto(const cluster::v1::DatabaseEndpoint& message) {
  Endpoint endpoint;
  endpoint.kind = message.kind();
  endpoint.host = message.host();
  endpoint.port = static_cast<uint16_t>(message.port());
  endpoint.socket = message.socket();
  endpoint.user = message.user();
  endpoint.password = Secret(message.password());
  endpoint.database = message.database();
  for (const auto& [mode, name] : kSslModes)
    if (message.ssl_mode() == name) endpoint.ssl_mode = mode;
  endpoint.ssl_ca = message.ssl_ca();
  endpoint.ssl_cert = message.ssl_cert();
  endpoint.ssl_key = message.ssl_key();
  return endpoint;
}

cluster::v1::TableName to_proto(const TableName& name) {
  cluster::v1::TableName message;
  message.set_database(name.database);
  message.set_table(name.table);
  return message;
}

TableName from_proto(const cluster::v1::TableName& message) { return {message.database(), message.table()}; }

cluster::v1::TableCopy to_proto(const TableCopy& copy) {
  cluster::v1::TableCopy message;
  *message.mutable_table() = to_proto(copy.table);
  message.set_round(copy.round);
  return message;
}

TableCopy from_proto(const cluster::v1::TableCopy& message) { return {from_proto(message.table()), message.round()}; }

Result<TableMapping> mapping_of(const cluster::v1::ComponentSpec& spec) {
  return TableMapping::create(
      {spec.includes().begin(), spec.includes().end()}, {spec.excludes().begin(), spec.excludes().end()},
      {spec.renames().begin(), spec.renames().end()}, spec.meta_database().empty() ? "sluice" : spec.meta_database());
}

}  // namespace sluice::net

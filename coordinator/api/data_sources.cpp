#include "coordinator/api/data_sources.hpp"

#include <sodium.h>

#include <algorithm>

#include "coordinator/metadata/metadata_keys.hpp"
#include "coordinator/projects/project_detail.hpp"

namespace sluice::coordinator {
namespace {

Error invalid(const char* field, const char* why) {
  return Error(ErrorCode::INVALID_ARGUMENT, std::string(field) + ": " + why, field);
}

Status check(const admin::v1::CreateDataSourceRequest& request) {
  if (request.name().empty() || request.name().size() > 32 ||
      request.name().find_first_of(" \t\r\n") != std::string::npos)
    return invalid("name", "1 to 32 characters without spaces");
  if (request.description().size() > 128) return invalid("description", "at most 128 characters");
  if (!request.type().empty() && request.type() != "MYSQL")
    return Error(ErrorCode::UNSUPPORTED, "type: the data source type " + request.type() + " is not supported", "type");
  if (request.ip().empty() && request.socket().empty()) return invalid("ip", "is missing");
  if (request.port() < 0 || request.port() > 65535) return invalid("port", "must be between 1 and 65535");
  if (request.username().empty()) return invalid("username", "is missing");
  if (request.try_keep_hb())
    return Error(ErrorCode::UNSUPPORTED, "tryKeepHb: a heartbeat table is not supported and not needed", "tryKeepHb");
  static constexpr const char* kModes[] = {"", "disabled", "preferred", "required", "verify-ca", "verify-identity"};
  if (std::none_of(std::begin(kModes), std::end(kModes), [&](const char* mode) { return request.ssl_mode() == mode; }))
    return invalid("sslMode", "disabled, preferred, required, verify-ca or verify-identity");
  return {};
}

void fill(const admin::v1::CreateDataSourceRequest& request, v1::StoredEndpoint& stored) {
  auto& source = *stored.mutable_source();
  source.set_name(request.name());
  source.set_type("MYSQL");
  source.set_schema(request.schema());
  source.set_ip(request.ip());
  source.set_port(request.port() == 0 ? 3306 : request.port());
  source.set_user_name(request.username());
  source.set_region(request.region());
  source.set_description(request.description());
  source.set_socket(request.socket());
  source.set_ssl_mode(request.ssl_mode().empty() ? "preferred" : request.ssl_mode());
  stored.set_ssl_ca(request.ssl_ca());
  stored.set_ssl_cert(request.ssl_cert());
  stored.set_ssl_key(request.ssl_key());
}

}  // namespace

std::string random_id(const std::string& prefix) {
  static constexpr char kAlphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string id = prefix;
  for (int i = 0; i < 16; ++i) id += kAlphabet[randombytes_uniform(36)];
  return id;
}

Page page_of(int number, int size, size_t total) {
  Page page;
  page.number = std::max(1, number);
  page.size = size <= 0 ? 10 : std::min(size, 150);
  page.from = std::min(total, static_cast<size_t>(page.number - 1) * page.size);
  page.count = std::min<size_t>(page.size, total - page.from);
  return page;
}

Result<std::string> DataSources::create(const admin::v1::CreateDataSourceRequest& request) {
  SLUICE_TRY(check(request));
  v1::StoredEndpoint stored;
  Txn txn;
  SLUICE_ASSIGN(auto name, metadata_->get(endpoint_name_key(request.name())));
  if (name && !request.replace())
    return Error(ErrorCode::ALREADY_EXISTS, "a data source of this name exists", request.name());
  std::string id = name ? name->value : random_id("e_");
  stored.set_created_us(clock_.unix_time_us());
  if (name) {
    SLUICE_ASSIGN(auto old, metadata_->get(endpoint_key(id)));
    if (!old || !stored.ParseFromString(old->value))
      return Error(ErrorCode::CORRUPTED, "the data source cannot be read", id);
    txn.compares.push_back({endpoint_key(id), old->mod_revision});
  } else {
    txn.compares.push_back({endpoint_name_key(request.name()), 0});
    txn.puts.push_back({endpoint_name_key(request.name()), id});
  }
  fill(request, stored);
  stored.mutable_source()->set_id(id);
  stored.set_modified_us(clock_.unix_time_us());
  stored.mutable_source()->set_gmt_create(utc_text(stored.created_us()));
  stored.mutable_source()->set_gmt_modified(utc_text(stored.modified_us()));
  stored.set_sealed_password(request.password().empty() ? "" : sealer_->seal(Secret(request.password())));
  txn.puts.push_back({endpoint_key(id), stored.SerializeAsString()});
  SLUICE_ASSIGN(auto result, metadata_->txn(txn));
  if (!result.committed)
    return Error(ErrorCode::ALREADY_EXISTS, "a data source of this name was made at the same time", request.name());
  return id;
}

Result<admin::v1::ListDataSourceResponse> DataSources::list(const admin::v1::ListDataSourceRequest& request) {
  SLUICE_ASSIGN(auto items, metadata_->list(kEndpointPrefix));
  std::vector<v1::StoredEndpoint> found;
  for (const auto& item : items) {
    v1::StoredEndpoint stored;
    if (!stored.ParseFromString(item.value))
      return Error(ErrorCode::CORRUPTED, "a data source cannot be read", item.key);
    const auto& source = stored.source();
    if (!request.search_key().empty() && source.id() != request.search_key() &&
        source.name().find(request.search_key()) == std::string::npos)
      continue;
    if (request.types_size() > 0 &&
        std::find(request.types().begin(), request.types().end(), source.type()) == request.types().end())
      continue;
    found.push_back(std::move(stored));
  }
  bool modified = request.sort_field() == "gmtModified",
       ascending = request.order() == "asc" || request.order() == "ascend";
  std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
    int64_t x = modified ? a.modified_us() : a.created_us(), y = modified ? b.modified_us() : b.created_us();
    return ascending ? x < y : x > y;
  });
  auto page = page_of(request.page_number(), request.page_size(), found.size());
  admin::v1::ListDataSourceResponse response;
  response.set_page_number(page.number);
  response.set_page_size(page.size);
  response.set_total_count(found.size());
  for (size_t i = page.from; i < page.from + page.count; ++i) *response.add_data() = found[i].source();
  return response;
}

Result<v1::StoredEndpoint> DataSources::find(const std::string& id_or_name) {
  std::string id = id_or_name;
  SLUICE_ASSIGN(auto name, metadata_->get(endpoint_name_key(id_or_name)));
  if (name) id = name->value;
  SLUICE_ASSIGN(auto item, metadata_->get(endpoint_key(id)));
  if (!item) return Error(ErrorCode::NOT_FOUND, "there is no data source of this id or name", id_or_name);
  v1::StoredEndpoint stored;
  if (!stored.ParseFromString(item->value)) return Error(ErrorCode::CORRUPTED, "the data source cannot be read", id);
  return stored;
}

Status DataSources::remove(const std::string& id_or_name,
                           const std::function<std::string(const std::string&)>& used_by) {
  SLUICE_ASSIGN(auto stored, find(id_or_name));
  const auto& source = stored.source();
  if (auto user = used_by(source.id()); !user.empty())
    return Error(ErrorCode::WRONG_STATE, "project " + user + " uses it; release or delete the project first",
                 source.name());
  Txn txn;
  txn.deletes = {endpoint_key(source.id()), endpoint_name_key(source.name())};
  SLUICE_ASSIGN([[maybe_unused]] auto result, metadata_->txn(txn));
  return {};
}

}  // namespace sluice::coordinator

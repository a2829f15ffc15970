// Views, created when all tables are there.
#include "agents/components/struct_transfer/session.hpp"
#include "engines/mysql/dialect/create_table.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::struct_transfer {
namespace {

// Views may read views: those that fail are tried again as long as some succeed.
class Views {
 public:
  explicit Views(Session& session) : s_(session) {}

  Status run() {
    SLUICE_ASSIGN(auto infos, mysql::list_tables(*s_.source, s_.mapping));
    for (const mysql::TableInfo& info : infos)
      if (info.type == "VIEW") left_.push_back(info.name);
    while (!left_.empty()) {
      size_t before = left_.size();
      SLUICE_TRY(round());
      if (left_.size() == before) break;
    }
    for (size_t i = 0; i < left_.size(); ++i)
      s_.warn("view " + left_[i].to_string() + " cannot be created on the target: " + reasons_[i]);
    return {};
  }

 private:
  Status round() {
    std::vector<TableName> failed;
    reasons_.clear();
    for (const TableName& name : left_) {
      if (s_.stop_desired()) return {};
      Status created = create(name);
      if (created.ok()) continue;
      ErrorCode code = created.error().code();
      bool of_this_view = code == ErrorCode::STATEMENT_FAILED || code == ErrorCode::UNSUPPORTED ||
                          code == ErrorCode::MISSING_PRIVILEGE || code == ErrorCode::NOT_FOUND ||
                          code == ErrorCode::INVALID_ARGUMENT;
      if (!of_this_view || !s_.ddl->alive() || !s_.source->alive()) return created;
      failed.push_back(name);
      reasons_.push_back(created.error().cause());
    }
    left_ = std::move(failed);
    return {};
  }

  Status create(const TableName& name) {
    SLUICE_ASSIGN(std::string shown, mysql::show_create_view(*s_.source, name));
    SLUICE_ASSIGN(std::string sql, mysql::rewrite_view(shown, name, s_.mapping, false));
    TableName target = s_.mapping.target_of(name);
    // Names inside of it that stand alone belong to the view's own database.
    SLUICE_TRY(s_.exec("USE " + mysql::quote_name(target.database), name.to_string()));
    Status created = s_.exec(sql, name.to_string());
    if (created.ok() || created.error().code() != ErrorCode::MISSING_PRIVILEGE) return finish(created, name, target);
    SLUICE_ASSIGN(sql, mysql::rewrite_view(shown, name, s_.mapping, true));
    SLUICE_TRY(s_.exec(sql, name.to_string()));
    s_.warn("view " + target.to_string() + " belongs to the migrating user: it may not name another definer");
    return finish({}, name, target);
  }

  Status finish(Status status, const TableName& name, const TableName& target) {
    if (!status.ok()) return status;
    s_.report(name, target, "VIEW");
    SLUICE_ASSIGN(auto warnings, s_.ddl->warnings());
    constexpr uint32_t kNoSuchUser = 1449;
    for (const auto& warning : warnings)
      if (warning.code == kNoSuchUser)
        s_.warn("view " + target.to_string() + " cannot be used before its definer exists: " + warning.message);
    return {};
  }

  Session& s_;
  std::vector<TableName> left_;
  std::vector<std::string> reasons_;
};

}  // namespace

Status create_views(Session& s) { return Views(s).run(); }

}  // namespace sluice::agents::struct_transfer

#include "engines/mysql/binlog/branch_search.hpp"

#include "core/log.hpp"
#include "engines/mysql/connection.hpp"

namespace sluice::mysql {

namespace {

// Notes the branches that are prepared and not ended between two places of the log.
class OpenBranches final : public BinlogHandler {
 public:
  OpenBranches(BinlogHandler& reader, Position end) : reader_(reader), end_(std::move(end)) {}
  std::map<std::string, XaBranchPtr> open;
  bool done = false;

  Status on_begin(const Begin&) override { return {}; }
  Status on_row(const SchemaPtr&, uint64_t, RowOp, uint16_t, std::span<const ValueView>,
                std::span<const ValueView>) override {
    return {};
  }
  Status on_ddl(const Ddl&) override { return {}; }
  Status on_commit(const Commit& commit) override { return on_heartbeat(commit.position()); }
  Status on_rollback() override { return {}; }
  Status on_prepared(const XaBranchPtr& branch) override {
    if (compare_in_log(branch->prepared, end_) <= 0) open[branch->xid] = branch;
    return {};
  }
  Status on_branch_end(const XaBranch& branch, const Position& end) override {
    if (compare_in_log(end, end_) <= 0) open.erase(branch.xid);
    return {};
  }
  Status on_heartbeat(const Position& position) override {
    done = compare_in_log(position, end_) >= 0;
    return done ? Status(Error(ErrorCode::CANCELLED, "looked far enough")) : Status();
  }
  Status on_idle() override { return {}; }
  bool wants(std::string_view database, std::string_view table) override { return reader_.wants(database, table); }

 private:
  BinlogHandler& reader_;
  const Position end_;
};

Result<std::vector<std::string>> log_files(const Endpoint& endpoint) {
  ConnectOptions options;
  options.purpose = Purpose::kCatalog;
  options.application = "sluice-store";
  SLUICE_ASSIGN(auto connection, Connection::open(endpoint, options));
  SLUICE_ASSIGN(ResultTable logs, connection->query("SHOW BINARY LOGS"));
  std::vector<std::string> files;
  for (const auto& row : logs.rows) {
    if (!row.empty() && row[0]) files.push_back(*row[0]);
  }
  return files;
}

}  // namespace

Result<BranchSearch::Open> BranchSearch::open_at_end(const Position& begin, const Position& end,
                                                     BinlogHandler& handler) {
  OpenBranches branches(handler, end);
  BinlogOptions options;
  options.server_id = random_server_id();
  options.heartbeat_period = std::chrono::milliseconds(100);
  options.branches_only = true;
  options.stopper = stopper_;
  SLUICE_ASSIGN(auto reader, BinlogReader::open(endpoint_, begin, options, source_));
  Status status = reader->read(branches);
  if (!branches.done) return status.error();
  return std::move(branches.open);
}

// A branch that is open at a place has no event after its XA PREPARE, so the first file that leaves it open has it.
Result<XaBranchPtr> BranchSearch::find(const std::string& xid, const Position& until, BinlogHandler& handler) {
  if (auto known = found_.find(xid); known != found_.end()) return std::exchange(known->second, nullptr);
  SLUICE_ASSIGN(std::vector<std::string> files, log_files(endpoint_));
  Position end = until;
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    Position begin{*file, 4, {}};
    if (compare_in_log(begin, end) >= 0) continue;
    log::info("mysql.binlog", "looking for an XA PREPARE", {{"file", *file}});
    SLUICE_ASSIGN(Open open, open_at_end(begin, end, handler));
    if (auto found = open.find(xid); found != open.end()) {
      found_ = std::move(open);
      return std::exchange(found_[xid], nullptr);
    }
    end = begin;
  }
  return XaBranchPtr();
}

}  // namespace sluice::mysql

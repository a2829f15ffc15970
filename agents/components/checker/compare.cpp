#include "agents/components/checker/compare.hpp"

#include <algorithm>
#include <unordered_map>

#include "engines/mysql/positions.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::agents::checker {
namespace {

// Literals never hold a zero byte, so joined keys are equal only when their parts are.
std::string joined(const RowKey& key) {
  std::string text;
  for (const auto& literal : key) {
    text += literal;
    text += '\0';
  }
  return text;
}

RowKey split(const std::string& text) {
  RowKey key;
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\0', start);
    key.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return key;
}

// Finds out which rows differ: the target's digests are kept, the source's pass by. So that what is kept is bounded,
// rows may be joined in parts, by a hash of their keys: begin(), the target's rows, the source's, and so on.
class RowJoin {
 public:
  explicit RowJoin(size_t differences_max, uint64_t parts = 1) : max_(differences_max), parts_(parts) {}

  void begin(uint64_t part) {
    note_extras();
    part_ = part;
  }
  Status add_target(const RowKey& key, std::string_view digest) {
    std::string text = joined(key);
    if (is_of_part(text)) target_[std::move(text)] = digest;
    return {};
  }
  Status add_source(const RowKey& key, std::string_view digest) {
    const std::string text = joined(key);
    if (!is_of_part(text)) return {};
    const auto found = target_.find(text);
    if (found == target_.end()) {
      note(DifferenceKind::kMissing, key);
      return {};
    }
    if (found->second != digest) note(DifferenceKind::kDifferent, key);
    target_.erase(found);
    return {};
  }
  ChunkComparison finish() {
    note_extras();
    return std::move(result_);
  }

 private:
  bool is_of_part(const std::string& text) const {
    return parts_ == 1 || std::hash<std::string>()(text) % parts_ == part_;
  }
  void note_extras() {
    for (const auto& [key, digest] : target_) note(DifferenceKind::kExtra, split(key));
    target_.clear();
  }
  void note(DifferenceKind kind, RowKey key) {
    ++result_.difference_count;
    if (result_.differences.size() < max_) result_.differences.push_back({kind, std::move(key)});
  }
  const size_t max_;
  const uint64_t parts_;
  uint64_t part_ = 0;
  std::unordered_map<std::string, std::string> target_;
  ChunkComparison result_;
};

// Digests of one part of a table, sorted.
Result<std::vector<uint64_t>> sorted_digests(mysql::Connection& connection, const TableSchema& schema,
                                             mysql::DigestMethod method, const mysql::ConvertedColumns& converted,
                                             uint64_t part, uint64_t parts) {
  std::vector<uint64_t> digests;
  SLUICE_TRY(mysql::digest_part(
      connection, schema, method, part, parts,
      [&](uint64_t digest) -> Status {
        digests.push_back(digest);
        return {};
      },
      converted));
  std::sort(digests.begin(), digests.end());
  return digests;
}

void add_surpluses(const std::vector<uint64_t>& source, const std::vector<uint64_t>& target, size_t max,
                   MultisetComparison& result) {
  for (size_t a = 0, b = 0; a < source.size() || b < target.size();) {
    const uint64_t digest = a == source.size()   ? target[b]
                            : b == target.size() ? source[a]
                                                 : std::min(source[a], target[b]);
    int64_t surplus = 0;
    for (; a < source.size() && source[a] == digest; ++a) ++surplus;
    for (; b < target.size() && target[b] == digest; ++b) --surplus;
    if (surplus == 0) continue;
    result.difference_count += static_cast<uint64_t>(std::abs(surplus));
    if (result.surpluses.size() < max) result.surpluses.push_back({digest, surplus});
  }
}

}  // namespace

Result<Sides> open_sides(const SideEndpoints& endpoints) {
  SLUICE_TRY(endpoints.lease->check());
  // A digest sends nothing until it is finished.
  const auto options = [](bool watched) {
    return mysql::ConnectOptions{.io_timeout = watched ? mysql::kWatchedIoTimeout : std::chrono::minutes(10),
                                 .application = "sluice checker"};
  };
  SLUICE_ASSIGN(auto source, mysql::Connection::open(endpoints.source, options(endpoints.source_watch != nullptr)));
  SLUICE_ASSIGN(auto target, mysql::Connection::open(endpoints.target, options(endpoints.target_watch != nullptr)));
  Sides sides;
  sides.method = mysql::choose_method(source->version(), target->version());
  sides.source = mysql::WatchedConnection(std::move(source), endpoints.source_watch);
  sides.target = mysql::WatchedConnection(std::move(target), endpoints.target_watch);
  sides.following = endpoints.following;
  return sides;
}

namespace {

// Of one part of a chunk. A chunk whose end is open may have grown far beyond what was planned.
constexpr uint64_t kRowsJoined = 100'000;

// Before the source is read, when the target has been.
Status let_source_catch_up(Sides& sides) {
  if (!sides.following) return {};
  return mysql::wait_until_visible(*sides.source, std::chrono::seconds(10));
}

}  // namespace

Result<ChunkComparison> compare_chunk(Sides& sides, const TablePair& pair, const mysql::Chunk& chunk,
                                      size_t differences_max) {
  SLUICE_ASSIGN(const auto target,
                mysql::digest_chunk(*sides.target, pair.target, chunk, sides.method, pair.target_converted));
  SLUICE_TRY(let_source_catch_up(sides));
  SLUICE_ASSIGN(const auto source,
                mysql::digest_chunk(*sides.source, pair.source, chunk, sides.method, pair.source_converted));
  ChunkComparison result;
  if (source != target) {
    const uint64_t parts = std::max(source.rows, target.rows) / kRowsJoined + 1;
    RowJoin join(differences_max, parts);
    for (uint64_t part = 0; part < parts; ++part) {
      join.begin(part);
      SLUICE_TRY(mysql::digest_rows(
          *sides.target, pair.target, chunk, sides.method,
          [&](const RowKey& key, std::string_view digest) { return join.add_target(key, digest); },
          pair.target_converted));
      SLUICE_TRY(let_source_catch_up(sides));
      SLUICE_TRY(mysql::digest_rows(
          *sides.source, pair.source, chunk, sides.method,
          [&](const RowKey& key, std::string_view digest) { return join.add_source(key, digest); },
          pair.source_converted));
    }
    result = join.finish();
  }
  result.source_rows = source.rows;
  result.target_rows = target.rows;
  return result;
}

Status add_keys_where(Sides& sides, const TablePair& pair, const std::string& condition, std::set<RowKey>& keys) {
  const auto read = [&](mysql::Connection& connection, const TableSchema& schema) {
    return mysql::scan_where(connection, schema, condition, [&](std::span<const ValueView> row) -> Status {
      RowKey key;
      for (const KeyPart& part : schema.row_key()->parts)
        mysql::append_literal(key.emplace_back(), schema.columns[part.column], row[part.column]);
      keys.insert(std::move(key));
      return {};
    });
  };
  if (!pair.by_key) return Error(ErrorCode::INTERNAL, "the table is not compared by key", pair.source_name.to_string());
  SLUICE_TRY(read(*sides.source, pair.source));
  return read(*sides.target, pair.target);
}

Result<ChunkComparison> compare_keys(Sides& sides, const TablePair& pair, const std::set<RowKey>& keys) {
  const std::vector<RowKey> list(keys.begin(), keys.end());
  RowJoin join(list.size() * 2);
  SLUICE_TRY(mysql::digest_keys(
      *sides.target, pair.target, list, sides.method,
      [&](const RowKey& key, std::string_view digest) { return join.add_target(key, digest); }, pair.target_converted));
  SLUICE_TRY(let_source_catch_up(sides));
  // Under a collation that folds case two of the keys may find the same row.
  std::set<std::string> seen;
  SLUICE_TRY(mysql::digest_keys(
      *sides.source, pair.source, list, sides.method,
      [&](const RowKey& key, std::string_view digest) {
        return seen.insert(joined(key)).second ? join.add_source(key, digest) : Status();
      },
      pair.source_converted));
  return join.finish();
}

Result<MultisetComparison> compare_multisets(Sides& sides, const TablePair& pair, uint64_t memory_bytes,
                                             size_t surpluses_max) {
  const mysql::Chunk whole;
  SLUICE_ASSIGN(const auto source,
                mysql::digest_chunk(*sides.source, pair.source, whole, sides.method, pair.source_converted));
  SLUICE_ASSIGN(const auto target,
                mysql::digest_chunk(*sides.target, pair.target, whole, sides.method, pair.target_converted));
  MultisetComparison result;
  result.source_rows = source.rows;
  result.target_rows = target.rows;
  if (source == target) return result;
  // Both sides' digests of a part, and the growth of a vector, stay within a quarter of the budget.
  const uint64_t rows_at_once = std::max<uint64_t>(100'000, memory_bytes / 4 / (4 * sizeof(uint64_t)));
  const uint64_t parts = std::max(source.rows, target.rows) / rows_at_once + 1;
  for (uint64_t part = 0; part < parts; ++part) {
    SLUICE_ASSIGN(const auto a,
                  sorted_digests(*sides.source, pair.source, sides.method, pair.source_converted, part, parts));
    SLUICE_ASSIGN(const auto b,
                  sorted_digests(*sides.target, pair.target, sides.method, pair.target_converted, part, parts));
    add_surpluses(a, b, surpluses_max, result);
  }
  return result;
}

}  // namespace sluice::agents::checker

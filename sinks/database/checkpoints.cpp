// Checkpoint rows and the text form of the applied set.
//
// The applied set is grouped by what stands before the trailing number ("0-1-" of "0-1-100", "binlog.000003:" of
// "binlog.000003:4711"), sorted, and written as first number and steps, runs of one step once:
//   0-1-|100,1x3,7;5-2-|9        is 0-1-100, 101, 102, 103, 110 and 5-2-9
// An id without a (canonical) trailing number stands alone, without '|'. '%', '|' and ';' in a prefix are written %XX.
#include <algorithm>
#include <charconv>
#include <limits>

#include "sinks/database/bookkeeping_sql.hpp"

namespace sluice::database {
namespace {

Error bad_set() { return Error(ErrorCode::CORRUPTED, "an applied set cannot be read"); }

bool read_number(std::string_view text, uint64_t& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// Splits off a trailing number that can be written back exactly.
bool split_number(std::string_view id, std::string_view& prefix, uint64_t& number) {
  size_t start = id.size();
  while (start > 0 && id[start - 1] >= '0' && id[start - 1] <= '9') --start;
  prefix = id.substr(0, start);
  const std::string_view digits = id.substr(start);
  if (digits.size() > 1 && digits[0] == '0') return false;
  return read_number(digits, number);
}

void append_escaped(std::string& text, std::string_view prefix) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : prefix) {
    if (c != '%' && c != '|' && c != ';') {
      text += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    text += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
}

Result<std::string> unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return bad_set();
    const auto [end, failure] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
    if (failure != std::errc{} || end != text.data() + i + 3) return bad_set();
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

void append_steps(std::string& text, std::vector<uint64_t>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  text += std::to_string(numbers[0]);
  for (size_t i = 1; i < numbers.size();) {
    const uint64_t step = numbers[i] - numbers[i - 1];
    size_t run = 1;
    while (i + run < numbers.size() && numbers[i + run] - numbers[i + run - 1] == step) ++run;
    text += "," + std::to_string(step);
    if (run > 1) text += "x" + std::to_string(run);
    i += run;
  }
}

// The part after '|' of one group.
Status read_steps(std::string_view text, const std::string& prefix, std::vector<std::string>& ids) {
  constexpr size_t kMaxIds = 10'000'000;  // far above any span; keeps a damaged run from filling memory
  uint64_t number = 0;
  bool first = true;
  while (true) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    uint64_t run = 1, step = 0;
    if (const size_t x = item.find('x'); !first && x != std::string_view::npos) {
      if (!read_number(item.substr(x + 1), run)) return bad_set();
      item = item.substr(0, x);
    }
    if (!read_number(item, step) || ids.size() + run > kMaxIds || (!first && step == 0)) return bad_set();
    for (; run > 0; --run) {
      if (step > std::numeric_limits<uint64_t>::max() - number) return bad_set();
      number += step;
      ids.push_back(prefix + std::to_string(number));
    }
    first = false;
    if (comma == text.size()) return {};
    text.remove_prefix(comma + 1);
  }
}

std::string values_of(const Owner& owner, const CheckpointRow& row) {
  return "(" + mysql::quoted(owner.project) + ", " + mysql::quoted(owner.component) + ", " +
         std::to_string(row.applier) + ", " + std::to_string(owner.epoch) + ", " + std::to_string(row.seq) + ", " +
         sql::position(row.low_watermark) + ", " + mysql::quoted(encode_applied(row.applied)) + ")";
}

Status replace_rows(mysql::Connection& connection, const Owner& owner, const std::vector<CheckpointRow>& rows) {
  SLUICE_ASSIGN(auto fence, connection.query("SELECT epoch FROM " + sql::table(owner, "fence") +
                                             sql::where_owner(owner) + " FOR UPDATE"));
  if (fence.rows.empty()) return sql::stale_epoch(owner);
  SLUICE_ASSIGN(const uint64_t epoch, sql::number_of(fence.rows[0][0]));
  if (epoch != owner.epoch) return sql::stale_epoch(owner);
  SLUICE_TRY(connection.exec("DELETE FROM " + sql::table(owner, "checkpoint") + sql::where_owner(owner)));
  for (const CheckpointRow& row : rows) {
    SLUICE_TRY(connection.exec("INSERT INTO " + sql::table(owner, "checkpoint") +
                               " (project, component, applier, epoch, seq, low_watermark, applied_set) VALUES " +
                               values_of(owner, row)));
  }
  return {};
}

}  // namespace

std::string encode_applied(const std::vector<std::string>& ids) {
  std::map<std::string_view, std::vector<uint64_t>> groups;
  std::vector<std::string_view> alone;
  for (const std::string& id : ids) {
    std::string_view prefix;
    uint64_t number = 0;
    if (split_number(id, prefix, number)) {
      groups[prefix].push_back(number);
    } else {
      alone.push_back(id);
    }
  }
  std::string text;
  for (auto& [prefix, numbers] : groups) {
    if (!text.empty()) text += ';';
    append_escaped(text, prefix);
    text += '|';
    append_steps(text, numbers);
  }
  std::sort(alone.begin(), alone.end());
  alone.erase(std::unique(alone.begin(), alone.end()), alone.end());
  for (const std::string_view id : alone) {
    if (!text.empty()) text += ';';
    append_escaped(text, id);
  }
  return text;
}

Result<std::vector<std::string>> decode_applied(std::string_view text) {
  std::vector<std::string> ids;
  while (!text.empty()) {
    const size_t end = std::min(text.find(';'), text.size());
    const std::string_view group = text.substr(0, end);
    const size_t bar = group.find('|');
    SLUICE_ASSIGN(std::string prefix, unescaped(group.substr(0, bar)));
    if (bar == std::string_view::npos) {
      ids.push_back(std::move(prefix));
    } else {
      SLUICE_TRY(read_steps(group.substr(bar + 1), prefix, ids));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ids;
}

Result<std::vector<CheckpointRow>> read_checkpoints(mysql::Connection& connection, const Owner& owner,
                                                    bool for_update) {
  SLUICE_ASSIGN(auto found, connection.query("SELECT applier, epoch, seq, low_watermark, applied_set FROM " +
                                             sql::table(owner, "checkpoint") + sql::where_owner(owner) +
                                             " ORDER BY applier" + (for_update ? " FOR UPDATE" : "")));
  std::vector<CheckpointRow> rows;
  for (const auto& cells : found.rows) {
    CheckpointRow row;
    SLUICE_ASSIGN(const uint64_t applier, sql::number_of(cells[0]));
    row.applier = static_cast<uint32_t>(applier);
    SLUICE_ASSIGN(row.epoch, sql::number_of(cells[1]));
    SLUICE_ASSIGN(row.seq, sql::number_of(cells[2]));
    SLUICE_ASSIGN(row.low_watermark, sql::parse_position(sql::text_of(cells[3])));
    SLUICE_ASSIGN(row.applied, decode_applied(sql::text_of(cells[4])));
    rows.push_back(std::move(row));
  }
  return rows;
}

Status rewrite_checkpoints(mysql::Connection& connection, const Owner& owner, const std::vector<CheckpointRow>& rows) {
  SLUICE_TRY(connection.exec("START TRANSACTION"));
  if (auto done = replace_rows(connection, owner, rows); !done.ok()) {
    if (connection.alive()) (void)connection.exec("ROLLBACK");
    return done;
  }
  SLUICE_TRY(connection.exec("COMMIT"));
  return {};
}

std::string checkpoint_sql(const Owner& owner, const CheckpointRow& next, uint64_t expected_seq) {
  return "UPDATE " + sql::table(owner, "checkpoint") +
         " SET seq = seq + 1, low_watermark = " + sql::position(next.low_watermark) +
         ", applied_set = " + mysql::quoted(encode_applied(next.applied)) + sql::where_owner(owner) +
         " AND applier = " + std::to_string(next.applier) + " AND epoch = " + std::to_string(owner.epoch) +
         " AND seq = " + std::to_string(expected_seq) +
         // A sub-query of two rows is an error; it is evaluated only when the count is another one. SET, because DO
         // swallows errors and SELECT would answer with a result set.
         ";SET @sluice_guard = IF(ROW_COUNT() = 1, 1, (SELECT 1 UNION SELECT 2))";
}

Error guard_failed(mysql::Connection& connection, const Owner& owner, uint32_t applier, uint64_t expected_seq) {
  auto rows = read_checkpoints(connection, owner, false);
  if (!rows.ok()) return rows.error();
  for (const CheckpointRow& row : *rows) {
    if (row.epoch > owner.epoch)
      return Error(ErrorCode::STALE_EPOCH, "the checkpoint rows belong to epoch " + std::to_string(row.epoch),
                   owner.component);
  }
  return Error(ErrorCode::TARGET_LOST_COMMITS,
               "checkpoint row " + std::to_string(applier) + " is not at sequence " + std::to_string(expected_seq),
               owner.component);
}

}  // namespace sluice::database

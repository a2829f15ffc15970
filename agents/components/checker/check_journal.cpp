#include "agents/components/checker/check_journal.hpp"

#include <filesystem>
#include <sstream>

namespace sluice::agents::checker {
namespace fs = std::filesystem;
namespace {

// Changes with every definition and with the order of the tables.
std::string header_of(const std::vector<TablePair>& pairs, const std::vector<uint64_t>& marks) {
  uint64_t mixed = 0;
  const auto mix = [&](uint64_t value) { mixed = (mixed ^ value) * 0x9E3779B97F4A7C15ULL + (mixed >> 29); };
  for (const auto& pair : pairs) {
    mix(pair.source.id());
    mix(pair.target.id());
    mix(pair.by_key ? 2 : 1);
  }
  for (size_t table = 0; table < marks.size(); ++table)
    if (marks[table] != 0) mix((static_cast<uint64_t>(table) << 32) + marks[table]);
  return "sluice-check 2 " + std::to_string(pairs.size()) + " " + std::to_string(mixed);
}

std::string key_text(const RowKey& key) {
  mysql::Chunk chunk;
  chunk.after = key;
  return chunk.encode();
}

// "table outcome time rows chunk key key … ." The full stop at the end tells a whole line from a cut one.
std::string line_of(const CheckJournal::Entry& entry) {
  std::string line = std::to_string(entry.table) + " " + static_cast<char>(entry.outcome) + " " +
                     std::to_string(entry.boot_s) + " " + std::to_string(entry.rows) + " " + entry.chunk.encode();
  for (const auto& key : entry.keys) line += " " + key_text(key);
  return line + " .\n";
}

bool read_line(const std::string& line, CheckJournal::Entry& entry) {
  std::istringstream in(line);
  char outcome = 0;
  std::string chunk, word;
  if (!(in >> entry.table >> outcome >> entry.boot_s >> entry.rows >> chunk)) return false;
  auto decoded = mysql::Chunk::decode(chunk);
  if (!decoded.ok()) return false;
  entry.chunk = std::move(*decoded);
  entry.outcome = static_cast<CheckJournal::Outcome>(outcome);
  while (in >> word) {
    if (word == ".") return true;
    auto key = mysql::Chunk::decode(word);
    if (!key.ok()) return false;
    entry.keys.push_back(key->after);
  }
  return false;
}

}  // namespace

Result<CheckJournal> CheckJournal::open(const std::string& folder, const std::vector<TablePair>& pairs,
                                        const std::vector<uint64_t>& marks, const Clock& clock) {
  CheckJournal journal;
  journal.clock_ = &clock;
  std::error_code error;
  fs::create_directories(folder, error);
  journal.path_ = (fs::path(folder) / "progress").string();
  const std::string header = header_of(pairs, marks);
  journal.load(header);
  // Written anew: without lines of another verification, or a cut one at the end.
  journal.out_.open(journal.path_, std::ios::binary | std::ios::trunc);
  journal.out_ << header << "\n";
  for (const auto& [table, chunks] : journal.entries_) {
    for (const auto& [number, entry] : chunks) journal.out_ << line_of(entry);
  }
  journal.out_.flush();
  if (!journal.out_) return Error(ErrorCode::IO_ERROR, "cannot write", journal.path_);
  return journal;
}

void CheckJournal::load(const std::string& header) {
  std::ifstream in(path_, std::ios::binary);
  std::string line;
  if (!std::getline(in, line) || line != header) return;
  while (std::getline(in, line)) {
    Entry entry;
    if (!read_line(line, entry)) continue;
    // One from the future is of an earlier life of the machine.
    const int64_t age = now_s() - entry.boot_s;
    if (age >= 0 && age <= std::chrono::seconds(kAgeMax).count())
      entries_[entry.table][entry.chunk.number] = std::move(entry);
  }
}

std::vector<CheckJournal::Entry> CheckJournal::finished(size_t table) const {
  std::vector<Entry> result;
  const auto chunks = entries_.find(table);
  if (chunks == entries_.end()) return result;
  for (const auto& [number, entry] : chunks->second) {
    if (number != result.size()) break;
    // A plan that was made anew may have put its borders elsewhere.
    if (!result.empty() && result.back().chunk.upto != entry.chunk.after) break;
    result.push_back(entry);
  }
  return result;
}

Status CheckJournal::add(Entry entry) {
  entry.boot_s = now_s();
  out_ << line_of(entry);
  out_.flush();
  return out_ ? Status() : Status(Error(ErrorCode::IO_ERROR, "cannot write", path_));
}

void CheckJournal::remove() {
  out_.close();
  std::error_code ignored;
  fs::remove(path_, ignored);
}

}  // namespace sluice::agents::checker

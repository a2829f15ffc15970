#include "store/capture/prepared_branches.hpp"

#include <algorithm>

namespace sluice::store {
namespace {

constexpr std::string_view kBranch = "branch ", kEnd = "end ";

std::string place(const Position& prepared) { return prepared.file + ":" + std::to_string(prepared.offset); }

}  // namespace

Status PreparedBranches::restore(std::string_view name, std::string_view bytes) {
  if (name.starts_with(kBranch)) {
    SLUICE_ASSIGN(auto branch, decode_branch(bytes));
    branches_[std::string(name.substr(kBranch.size()))].branch =
        std::make_shared<const mysql::XaBranch>(std::move(branch));
  } else if (name.starts_with(kEnd)) {
    SLUICE_ASSIGN(branches_[std::string(name.substr(kEnd.size()))].end, Position::parse(bytes));
  }
  return {};
}

void PreparedBranches::prepared(const mysql::XaBranchPtr& branch) {
  Branch& known = branches_[place(branch->prepared)];
  if (known.branch) return;  // read again
  known.branch = branch;
  known.new_branch = true;
}

void PreparedBranches::ended(const mysql::XaBranch& branch, const Position& end) {
  auto known = branches_.find(place(branch.prepared));
  if (known == branches_.end() || !known->second.end.empty()) return;
  known->second.end = end;
  known->second.new_end = true;
}

std::vector<mysql::XaBranchPtr> PreparedBranches::open_at(const Position& position) const {
  std::vector<mysql::XaBranchPtr> open;
  for (const auto& [key, one] : branches_) {
    if (compare_in_log(one.branch->prepared, position) > 0) continue;
    if (one.end.empty() || compare_in_log(one.end, position) > 0) open.push_back(one.branch);
  }
  std::sort(open.begin(), open.end(),
            [](const auto& a, const auto& b) { return compare_in_log(a->prepared, b->prepared) < 0; });
  return open;
}

std::vector<KeptRow> PreparedBranches::take_changes(const Position& restart) {
  std::vector<KeptRow> changes;
  for (auto it = branches_.begin(); it != branches_.end();) {
    auto& [key, one] = *it;
    std::string branch = std::string(kBranch) + key, end = std::string(kEnd) + key;
    if (!one.end.empty() && compare_in_log(one.end, restart) <= 0) {
      if (!one.new_branch) changes.push_back({branch, std::nullopt});
      if (!one.new_end) changes.push_back({end, std::nullopt});
      it = branches_.erase(it);
      continue;
    }
    if (one.new_branch) changes.push_back({branch, encode_branch(*one.branch)});
    if (one.new_end) changes.push_back({end, one.end.to_string()});
    one.new_branch = one.new_end = false;
    ++it;
  }
  return changes;
}

}  // namespace sluice::store

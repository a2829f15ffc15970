#include "cli/waits.hpp"

#include "cli/error_text.hpp"

namespace sluice::cli {
namespace {

constexpr std::chrono::seconds kShown{1};

bool same(const Wait& a, const Wait& b) {
  return a.error.code() == b.error.code() && a.error.object() == b.error.object();
}

}  // namespace

void Waits::take(const admin::v1::Project& project, BootTime now) {
  now_ = now;
  std::map<std::string, Wait> next;
  cured_.clear();
  for (const auto& component : project.components()) {
    const auto known = waits_.find(component.id());
    const std::string& state = component.state();
    const bool waits = (state == "RETRYING" || state == "WAITING") && !component.error().code().empty();
    if (state == "RUNNING" || state == "FINISHED") cured_.insert(component.id());
    if (waits)
      next[component.id()] = {component.kind(), component.error(), known == waits_.end() ? now : known->second.since};
    else if (known != waits_.end() && (state == "PLACED" || state == "STARTING"))
      next.insert(*known);  // the next try: not cured before it runs
  }
  waits_ = std::move(next);
}

std::vector<Wait> Waits::lasting() const {
  std::vector<Wait> lasting;
  for (const auto& [id, wait] : waits_)
    if (now_ - wait.since >= kShown) lasting.push_back(wait);
  return lasting;
}

void Waits::tell(const Tell& began, const Tell& ended) {
  for (const auto& [id, wait] : waits_) {
    if (now_ - wait.since < kShown) continue;
    const auto told = told_.find(id);
    if (told != told_.end() && same(told->second, wait)) continue;
    began(wait);
    told_[id] = wait;
  }
  std::erase_if(told_, [&](const auto& told) {
    if (waits_.contains(told.first)) return false;
    if (cured_.contains(told.first)) ended(told.second);  // else it failed, or was stopped
    return true;
  });
}

std::string wait_text(const Wait& wait) { return wait.kind + " waits: " + error_text(wait.error); }

}  // namespace sluice::cli

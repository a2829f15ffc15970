// ProjectBoard: the newest rendered state of every project, for readers. Project actors publish, API threads read and
// wait. Thread safe; what is handed out is immutable.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sluice/admin/v1/admin.pb.h"

namespace sluice::coordinator {

class ProjectBoard {
 public:
  using Entry = std::shared_ptr<const admin::v1::Project>;

  void publish(admin::v1::Project project) {
    std::lock_guard lock(mutex_);
    project.set_version(++version_);
    std::string id = project.id();
    projects_[id] = std::make_shared<const admin::v1::Project>(std::move(project));
    changed_.notify_all();
  }
  void remove(const std::string& id) {
    std::lock_guard lock(mutex_);
    projects_.erase(id);
    ++version_;
    changed_.notify_all();
  }
  Entry get(const std::string& id_or_name) const {
    std::lock_guard lock(mutex_);
    return find(id_or_name);
  }
  std::vector<Entry> all() const {
    std::lock_guard lock(mutex_);
    std::vector<Entry> result;
    for (const auto& [id, project] : projects_) result.push_back(project);
    return result;
  }
  // The newest, as soon as it is newer than `seen` or the patience is over; null when there is none.
  Entry wait(const std::string& id, uint64_t seen, std::chrono::milliseconds patience) const {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] {
      auto found = find(id);
      return !found || found->version() > seen;
    });
    return find(id);
  }

  // Until it is published for the first time; false when the patience is over.
  bool wait_for(const std::string& id, std::chrono::milliseconds patience) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return projects_.contains(id); });
  }

 private:
  Entry find(const std::string& id_or_name) const {
    if (auto found = projects_.find(id_or_name); found != projects_.end()) return found->second;
    for (const auto& [id, project] : projects_)
      if (project->name() == id_or_name) return project;
    return nullptr;
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  uint64_t version_ = 0;
  std::map<std::string, Entry> projects_;
};

}  // namespace sluice::coordinator

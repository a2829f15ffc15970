// ProjectDetail: turns a project's stored state and what the cluster shows into the API's Project. It remembers what
// statuses tell only once: the progress of each table. Owned by the project's actor.
#pragma once

#include <map>
#include <string>

#include "coordinator/cluster/types.hpp"
#include "sluice/admin/v1/admin.pb.h"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

class ProjectDetail {
 public:
  void restore(const v1::StoredProject& state, const v1::StoredTables& tables);
  v1::StoredTables tables() const;
  // Merges new statuses. Verification results of an earlier run vanish when a new one begins.
  void take(const ComponentViews& views);
  void forget_verification();

  // Puts what would be lost with this object into the state: the counts of those epochs of Incr-Sync that have ended.
  void keep(v1::StoredProject& state, const ComponentViews& views) const;
  admin::v1::Project render(const v1::StoredProject& state, const ComponentViews& views,
                            const admin::v1::DataSource& source, const admin::v1::DataSource& sink,
                            int64_t now_us) const;

 private:
  void take_tables(const ComponentView& view);
  void take_incremental(const ComponentView& view);
  void render_steps(const v1::StoredProject& state, const ComponentViews& views, admin::v1::Project& out) const;
  admin::v1::Totals totals() const;
  admin::v1::Incremental incremental(uint64_t up_to_epoch) const;

  struct Counts {
    uint64_t transactions = 0, rows = 0, ddl = 0;
  };
  std::map<std::string, admin::v1::TableState> tables_;  // by source name
  admin::v1::Incremental incremental_;                   // positions, lag and conflicts as last reported
  admin::v1::Incremental base_;                          // counts of the epochs up to base_epoch_
  uint64_t base_epoch_ = 0;
  std::map<uint64_t, Counts> counts_;  // by later epochs of Incr-Sync
  int64_t lag_sampled_us_ = 0;
};

// "yyyy-MM-ddTHH:mm:ss" UTC, or "" for 0.
std::string utc_text(int64_t unix_us);

}  // namespace sluice::coordinator

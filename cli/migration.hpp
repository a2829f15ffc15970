// Migration: leads the one project of `sluice migrate` from its creation, or from where it stopped, to an end; obeys
// interrupts on the way. Used by one thread.
#pragma once

#include <functional>
#include <memory>

#include "cli/admin_client.hpp"
#include "cli/local_cluster.hpp"
#include "cli/migrate_display.hpp"
#include "cli/migrate_report.hpp"
#include "cli/waits.hpp"
#include "cli/work_dir.hpp"

namespace sluice::cli {

class Migration {
 public:
  // `work`: of the work directory, which is the current one. `interrupts`: how often the user asked for an end.
  Migration(const MigrateOptions& options, WorkProject work, LocalCluster& cluster, std::function<int()> interrupts);

  Outcome run();
  const admin::v1::Project& project() const { return project_; }  // as it was seen last

 private:
  // With --follow the first interrupt asks for the end of the work, the second for an end at once.
  bool interrupted() const { return interrupts_() >= (options_.follow ? 2 : 1); }

  Status start();
  Status connect();
  Status retried(const std::function<Status()>& call);
  Status create_data_sources();
  Status create_project();
  Status decide();
  Status begin();
  Status bring_to_rest();
  Outcome follow();
  std::optional<Outcome> look();
  Status bear_silence();
  Status obey_interrupts();
  Outcome ended(bool stopped) const;

  const MigrateOptions& options_;
  LocalCluster& cluster_;
  const std::function<int()> interrupts_;
  MigrateDisplay display_;
  std::unique_ptr<AdminClient> client_;
  WorkProject work_;
  admin::v1::Project project_;
  Waits waits_;
  bool finishing_ = false, stopping_ = false;
  BootTime stop_deadline_ = BootTime::max();
  BootTime heard_{};  // when the coordinator answered last
  bool silent_ = false;
  int restarts_ = 0;  // since then
};

}  // namespace sluice::cli

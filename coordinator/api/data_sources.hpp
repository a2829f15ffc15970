// DataSources: the registered databases, in metadata, passwords sealed. Thread safe; calls block for a disk write.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/metadata/metadata.hpp"
#include "coordinator/metadata/sealer.hpp"
#include "core/clock.hpp"
#include "sluice/admin/v1/admin.pb.h"
#include "sluice/coordinator/v1/state.pb.h"

namespace sluice::coordinator {

class DataSources {
 public:
  DataSources(std::shared_ptr<Metadata> metadata, std::shared_ptr<const Sealer> sealer, Clock& clock)
      : metadata_(std::move(metadata)), sealer_(std::move(sealer)), clock_(clock) {}

  Result<std::string> create(const admin::v1::CreateDataSourceRequest& request);  // the new id
  Result<admin::v1::ListDataSourceResponse> list(const admin::v1::ListDataSourceRequest& request);
  // `used_by`: the name of a project that still needs it, or "".
  Status remove(const std::string& id_or_name, const std::function<std::string(const std::string& id)>& used_by);
  Result<v1::StoredEndpoint> find(const std::string& id_or_name);  // NOT_FOUND

 private:
  std::shared_ptr<Metadata> metadata_;
  std::shared_ptr<const Sealer> sealer_;
  Clock& clock_;
};

std::string random_id(const std::string& prefix);  // "np_" and 16 random characters

// Sorting and paging as in OMS: `from` and `count` of the page's items among `total`.
struct Page {
  int number = 1, size = 10;
  size_t from = 0, count = 0;
};
Page page_of(int number, int size, size_t total);

}  // namespace sluice::coordinator

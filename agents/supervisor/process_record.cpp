#include "agents/supervisor/process_record.hpp"

#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/file.hpp"

namespace sluice::agents {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFoldersMax = 10'000;

}  // namespace

Status write_record(const std::string& directory, const ProcessRecord& record) {
  std::ostringstream text;
  text << "component " << record.component_id << "\npid " << record.process.pid << "\nstart_time "
       << record.process.start_time << "\nepoch " << record.epoch << "\nkind " << static_cast<int>(record.kind) << "\n";
  return write_whole(directory + "/process", text.str());
}

std::optional<ProcessRecord> read_record(const std::string& directory) {
  std::ifstream in(directory + "/process");
  if (!in) return std::nullopt;
  ProcessRecord record;
  int kind = 0;
  for (std::string key; in >> key;) {
    if (key == "component") in >> record.component_id;
    if (key == "pid") in >> record.process.pid;
    if (key == "start_time") in >> record.process.start_time;
    if (key == "epoch") in >> record.epoch;
    if (key == "kind") in >> kind;
  }
  record.kind = static_cast<cluster::v1::ComponentKind>(kind);
  if (!is_valid_component_id(record.component_id) || record.epoch == 0) return std::nullopt;
  return record;
}

std::vector<ProcessRecord> read_all_records(const std::string& components_directory) {
  std::vector<ProcessRecord> records;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(components_directory, failure))
    if (auto record = read_record(entry.path().string())) records.push_back(std::move(*record));
  return records;
}

Status write_final(const std::string& directory, const cluster::v1::ComponentStatus& status) {
  return write_whole(directory + "/final", status.SerializeAsString());
}

std::optional<cluster::v1::ComponentStatus> read_final(const std::string& directory, uint64_t epoch) {
  std::ifstream in(directory + "/final", std::ios::binary);
  cluster::v1::ComponentStatus status;
  if (!in || !status.ParseFromIstream(&in) || status.epoch() != epoch) return std::nullopt;
  return status;
}

std::vector<std::string> component_folders(const std::string& components_directory) {
  std::vector<std::string> ids;
  std::error_code failure;
  for (fs::directory_iterator folder(components_directory, failure), end; !failure && folder != end;
       folder.increment(failure)) {
    std::string name = folder->path().filename().string();
    if (ids.size() < kFoldersMax && is_valid_component_id(name)) ids.push_back(std::move(name));
  }
  return ids;
}

bool is_valid_component_id(const std::string& id) {
  if (id.empty() || id.size() > 200 || id.front() == '.') return false;
  for (const char c : id)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') return false;
  return true;
}

}  // namespace sluice::agents

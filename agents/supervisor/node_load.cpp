#include "agents/supervisor/node_load.hpp"

#include <sys/statvfs.h>

#include <fstream>
#include <thread>

namespace sluice::agents {
namespace {

struct Memory {
  uint64_t total = 0, available = 0;  // bytes
};

Memory read_memory() {
  std::ifstream in("/proc/meminfo");
  Memory memory;
  uint64_t kib = 0;
  std::string key, unit;
  while (in >> key >> kib && std::getline(in, unit)) {
    if (key == "MemTotal:") memory.total = kib << 10;
    if (key == "MemAvailable:") memory.available = kib << 10;
  }
  return memory;
}

double used_part(uint64_t total, uint64_t free) {
  return total == 0 ? 0 : static_cast<double>(total - std::min(free, total)) / static_cast<double>(total);
}

}  // namespace

void NodeLoad::describe(cluster::v1::Register& message) const {
  message.set_cpus(std::max(1u, std::thread::hardware_concurrency()));
  message.set_memory_bytes(read_memory().total);
  struct statvfs disk {};
  if (::statvfs(data_dir_.c_str(), &disk) == 0) message.set_disk_bytes(disk.f_blocks * disk.f_frsize);
}

void NodeLoad::sample(cluster::v1::Heartbeat& message) {
  std::ifstream in("/proc/stat");
  std::string name;
  in >> name;
  // user nice system idle iowait irq softirq steal
  uint64_t total = 0, idle = 0, value = 0;
  for (int field = 0; field < 8 && in >> value; ++field) {
    total += value;
    if (field == 3 || field == 4) idle += value;
  }
  const uint64_t busy = total - idle;
  if (total_before_ != 0 && total > total_before_)
    message.set_cpu_load(static_cast<double>(busy - busy_before_) / static_cast<double>(total - total_before_));
  busy_before_ = busy;
  total_before_ = total;
  const Memory memory = read_memory();
  message.set_memory_used(used_part(memory.total, memory.available));
  struct statvfs disk {};
  if (::statvfs(data_dir_.c_str(), &disk) == 0) message.set_disk_used(used_part(disk.f_blocks, disk.f_bavail));
}

}  // namespace sluice::agents

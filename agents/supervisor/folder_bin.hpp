// FolderBin: removes the folders of components whose project is over. A folder is moved into the bin at once; its
// bytes, which may be a Store's log of many gigabytes, are unlinked on a thread of its own. What is left when the
// process ends is removed by the next one. take() is called by one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "core/result.hpp"

namespace sluice::agents {

class FolderBin {
 public:
  explicit FolderBin(std::string directory);  // of the bin, on the file system of the folders; made when missing
  ~FolderBin();                               // waits for one file at most
  FolderBin(const FolderBin&) = delete;

  Status take(const std::string& folder);  // IO_ERROR: it stays where it is

 private:
  void run();
  void empty();

  const std::string directory_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool full_ = true;
  std::atomic<bool> stopping_{false};
  uint64_t taken_ = 0;
  std::thread thread_;
};

}  // namespace sluice::agents

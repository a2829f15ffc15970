#include "agents/supervisor/folder_bin.hpp"

#include <unistd.h>

#include <filesystem>

#include "core/log.hpp"

namespace sluice::agents {
namespace {

namespace fs = std::filesystem;

}  // namespace

FolderBin::FolderBin(std::string directory) : directory_(std::move(directory)) {
  std::error_code failure;
  fs::create_directories(directory_, failure);
  thread_ = std::thread([this] { run(); });
}

FolderBin::~FolderBin() {
  stopping_ = true;
  {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

Status FolderBin::take(const std::string& folder) {
  // The pid keeps apart what an earlier process left.
  const std::string place = directory_ + "/" + std::to_string(::getpid()) + "." + std::to_string(++taken_);
  std::error_code failure;
  fs::rename(folder, place, failure);
  if (failure) return Error(ErrorCode::IO_ERROR, "cannot be moved away: " + failure.message(), folder);
  std::lock_guard lock(mutex_);
  full_ = true;
  changed_.notify_all();
  return {};
}

void FolderBin::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait(lock, [&] { return stopping_ || full_; });
    full_ = false;
    lock.unlock();
    empty();
    lock.lock();
  }
}

// File by file, so that the end of the process is not kept up by a large folder.
void FolderBin::empty() {
  std::error_code failure;
  for (fs::recursive_directory_iterator file(directory_, failure), end; !failure && file != end;
       file.increment(failure)) {
    if (stopping_) return;
    std::error_code kept;
    if (!file->is_directory(kept) || file->is_symlink(kept)) fs::remove(file->path(), kept);
  }
  for (fs::directory_iterator folder(directory_, failure), end; !failure && folder != end; folder.increment(failure)) {
    std::error_code kept;
    fs::remove_all(folder->path(), kept);
    if (!kept) continue;
    log::warn("agent.bin", "a folder cannot be removed",
              {{"folder", folder->path().string()}, {"cause", kept.message()}});
  }
}

}  // namespace sluice::agents

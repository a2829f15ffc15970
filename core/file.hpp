// Files that are replaced as a whole: a reader, and the next life after a crash, sees the old content or the new one.
// Any thread; two writers of one file must not run at once. Errors: IO_ERROR with the path as object.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sluice {

// Writes a new file beside `path`, syncs it and renames it. DISK_FULL or IO_ERROR names the path; the old file is kept.
Status write_whole(const std::string& path, std::string_view bytes, unsigned mode = 0644);

// NOT_FOUND when there is none, else IO_ERROR.
Result<std::string> read_whole(const std::string& path);

}  // namespace sluice

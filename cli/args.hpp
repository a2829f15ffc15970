// What the subcommands share in handling their command line. CLI11 stays in the .cpp files of the commands.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/secret.hpp"

namespace sluice::cli {

// Exit statuses that scripts rely on (docs/design.md section 7).
inline constexpr int kExitDone = 0, kExitUsage = 2, kExitDifferent = 3, kExitError = 4, kExitInterrupted = 130;

// Overwrites the passwords of all URLs (scheme://user:password@…) in argv with '*', in place, so that the process list
// shows none. Call first, after copying argv. Gives what it overwrote.
std::vector<std::string> scrub_argv(int argc, char** argv);

// Prints to stderr what `command` ("sluice project create") ended with, and what to do; gives the exit status. Of
// INVALID_ARGUMENT, the user's own mistake, only the cause is told, with where to read on: usage.
int fail(const std::string& command, const Error& error);

// A secret from a file; white space at its end is not part of it. INVALID_ARGUMENT calls the file `what`.
Result<Secret> read_secret_file(const std::string& path, const std::string& what);

// The cluster's token. A coordinator makes the file when it first starts, which may be just now: waits for it, then
// UNAUTHENTICATED.
Result<Secret> wait_for_token(const std::string& path, std::chrono::seconds patience);

}  // namespace sluice::cli

// The flags of commands that serve (coordinator, agent): each is also a key of a YAML file and of the environment.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "core/config.hpp"

namespace sluice::cli {

struct ServerFlag {
  const char* key;
  const char* value;  // what stands for it in the help: FILE, N …
  const char* help;
};

struct ServerCommand {
  std::string name, about, footer;  // the footer: examples
  std::span<const ServerFlag> flags;
};

// Reads the command line and the file of --config. The program's exit status instead when it is to end: help was
// printed, or something is wrong and was told.
struct ServerSettings {
  std::optional<Config> config;
  int exit_status = 0;
};
ServerSettings read_server_flags(const ServerCommand& command, int argc, char** argv);

// The value of a flag that must be there.
Result<std::string> required(const Config& config, const std::string& key);

}  // namespace sluice::cli

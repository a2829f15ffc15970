// What the commands that serve (coordinator, agent) share: their settings, and their life from the command line to the
// signal that ends them. Used by the main thread.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "core/config.hpp"

namespace sluice::cli {

// Each flag is also a key of the YAML file of --config and of the environment.
struct ServerFlag {
  const char* key;
  const char* value;  // what stands for it in the help: FILE, N …
  const char* help;
  bool repeated = false;
};

struct ServerCommand {
  std::string name, about, example;
  std::span<const ServerFlag> flags;
};

// What the settings make: start() is called once the data folder and the log are there, and gives what ends the server.
struct Server {
  std::string data_dir;
  std::function<Result<std::function<void()>>()> start;
};

// Reads the settings, makes the data folder (mode 0700) and opens the log NAME.log in it (or --log-file), starts the
// server and ends it on SIGTERM or SIGINT, which no other thread takes. The exit status.
int run_server(const ServerCommand& command, int argc, char** argv, Result<Server> (*prepare)(const Config&));

// The value of a flag that must be there.
Result<std::string> required(const Config& config, const std::string& key);

}  // namespace sluice::cli

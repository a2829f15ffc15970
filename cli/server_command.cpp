#include "cli/server_command.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <optional>

#include "cli/args.hpp"
#include "cli/command_line.hpp"
#include "core/log.hpp"

namespace sluice::cli {
namespace {

constexpr char kExitStatuses[] =
    "\nEvery flag is also a key of the YAML file (data-dir: …) and of the environment (SLUICE_DATA_DIR).\n"
    "Exit status: 0 ended by SIGTERM or SIGINT, 2 usage, 4 it cannot start.\n\n";

// An exit status instead when the program is to end: help was printed, or a usage error.
struct Settings {
  std::optional<Config> config;
  int exit_status = kExitDone;
};

Settings read_settings(const ServerCommand& command, int argc, char** argv) {
  CLI::App app(command.about, "sluice " + command.name);
  app.footer(command.example + kExitStatuses);
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> keys;
  for (const ServerFlag& flag : command.flags) {
    keys.emplace_back(flag.key);
    auto* option = app.add_option(std::string("--") + flag.key, values[flag.key], flag.help);
    option->allow_extra_args(false)->type_name(flag.value);
    if (!flag.repeated) option->expected(1);
  }
  std::string config_file;
  app.add_option("--config", config_file, "YAML file with these settings")->type_name("FILE");
  if (auto end = parse_arguments(app, argc, argv)) return {std::nullopt, *end};
  Config config(std::move(keys));
  for (auto& [key, given] : values)
    if (!given.empty()) config.set_flag(key, given);
  if (!config_file.empty())
    if (Status read = config.read_file(config_file); !read.ok())
      return {std::nullopt, fail(command_name(app), read.error())};
  return {std::move(config)};
}

// Nobody else may look into a folder that is made here: secrets are in it.
Status make_data_dir(const std::string& path) {
  std::error_code error;
  if (std::filesystem::create_directories(path, error))
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return error ? Status(Error(ErrorCode::IO_ERROR, error.message(), path)) : Status();
}

sigset_t end_signals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  return ends;
}

}  // namespace

int run_server(const ServerCommand& command, int argc, char** argv, Result<Server> (*prepare)(const Config&)) {
  const std::string name = "sluice " + command.name;
  Settings settings = read_settings(command, argc, argv);
  if (!settings.config) return settings.exit_status;
  auto server = prepare(*settings.config);
  if (!server.ok()) return fail(name, server.error());
  if (Status made = make_data_dir(server->data_dir); !made.ok()) return fail(name, made.error());
  log::init({.file = settings.config->text("log-file", server->data_dir + "/" + command.name + ".log")});
  const sigset_t ends = end_signals();
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before any thread exists, so that only sigwait() takes them
  ::signal(SIGHUP, SIG_IGN);
  auto end = server->start();
  if (!end.ok()) {
    log::error(command.name, "cannot start", {{"cause", end.error()}});
    return fail(name, end.error());
  }
  int signal = 0;
  ::sigwait(&ends, &signal);
  (*end)();
  return kExitDone;
}

Result<std::string> required(const Config& config, const std::string& key) {
  std::string value = config.text(key);
  if (value.empty())
    return Error(ErrorCode::INVALID_ARGUMENT, "--" + key + " is missing (or " + Config::environment_name(key) +
                                                  ", or " + key + " in the file of --config)");
  return value;
}

}  // namespace sluice::cli

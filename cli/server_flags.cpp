#include "cli/server_flags.hpp"

#include <CLI/CLI.hpp>
#include <map>

#include "cli/args.hpp"
#include "cli/command_line.hpp"

namespace sluice::cli {
namespace {

constexpr char kExitStatuses[] =
    "\nEvery flag is also a key of the YAML file (data-dir: …) and of the environment (SLUICE_DATA_DIR).\n"
    "Exit status: 0 ended by SIGTERM or SIGINT, 2 usage, 4 it cannot start.";

}  // namespace

ServerSettings read_server_flags(const ServerCommand& command, int argc, char** argv) {
  CLI::App app(command.about, "sluice " + command.name);
  app.footer(command.footer + kExitStatuses);
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> keys;
  for (const ServerFlag& flag : command.flags) {
    keys.emplace_back(flag.key);
    app.add_option(std::string("--") + flag.key, values[flag.key], flag.help)
        ->allow_extra_args(false)
        ->type_name(flag.value);
  }
  std::string config_file;
  app.add_option("--config", config_file, "YAML file with these settings")->type_name("FILE");
  if (auto end = parse_arguments(app, argc, argv)) return {std::nullopt, *end};
  Config config(std::move(keys));
  for (auto& [key, given] : values)
    if (!given.empty()) config.set_flag(key, given);
  if (!config_file.empty())
    if (Status read = config.read_file(config_file); !read.ok()) return {std::nullopt, fail(read.error())};
  return {std::move(config), kExitDone};
}

Result<std::string> required(const Config& config, const std::string& key) {
  std::string value = config.text(key);
  if (value.empty())
    return Error(ErrorCode::INVALID_ARGUMENT, "--" + key + " is missing (or " + Config::environment_name(key) +
                                                  ", or " + key + " in the file of --config); --help tells more");
  return value;
}

}  // namespace sluice::cli

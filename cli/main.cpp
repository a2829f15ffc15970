// The `sluice` executable: one table of subcommands. Each parses its own arguments (argv[0] is the subcommand) and
// gives the exit status.
#include <sys/prctl.h>

#include <cstdio>
#include <string_view>

#include "cli/agent_command.hpp"
#include "cli/args.hpp"
#include "cli/client_commands.hpp"
#include "cli/component_command.hpp"
#include "cli/coordinator_command.hpp"
#include "cli/log_command.hpp"
#include "cli/migrate_command.hpp"
#include "core/core_files.hpp"
#include "core/version.hpp"

namespace {

struct Command {
  std::string_view name;
  std::string_view help;  // empty: not for users
  int (*run)(int argc, char** argv);
};

constexpr Command kCommands[] = {
    {"migrate", "move a database: schema, rows, changes, verified", sluice::cli::run_migrate},
    {"coordinator", "run a coordinator: projects, agents, the API", sluice::cli::run_coordinator},
    {"agent", "run the agent of one node", sluice::cli::run_agent},
    {"datasource", "register databases: create, list, delete", sluice::cli::run_datasource},
    {"project", "create, lead and show projects", sluice::cli::run_project},
    {"node", "show the nodes on which agents run", sluice::cli::run_node},
    {"log", "print what a Store holds, readably", sluice::cli::run_log},
    {"component", "", sluice::cli::run_component},
};

void print_usage(std::FILE* out) {
  std::fprintf(out,
               "sluice %s - moves databases while they are in use\n\n"
               "Usage: sluice COMMAND [ARGUMENTS]     sluice COMMAND --help\n\nCommands:\n",
               sluice::kVersion);
  for (const Command& command : kCommands)
    if (!command.help.empty())
      std::fprintf(out, "  %-12.*s %.*s\n", static_cast<int>(command.name.size()), command.name.data(),
                   static_cast<int>(command.help.size()), command.help.data());
  std::fprintf(out,
               "\nMove a database with one command, no cluster needed:\n"
               "  sluice migrate mysql://user@source/shop mysql://user@target/shop\n");
}

}  // namespace

int main(int argc, char** argv) {
  sluice::forbid_core_files();
  // Started as /proc/self/exe, the process would be called "exe" in process lists.
  ::prctl(PR_SET_NAME, "sluice");
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Command& command : kCommands)
    if (command.name == name) return command.run(argc - 1, argv + 1);
  if (name == "--help" || name == "-h" || name == "help") return print_usage(stdout), sluice::cli::kExitDone;
  if (name == "--version" || name == "version")
    return std::printf("sluice %s\n", sluice::kVersion), sluice::cli::kExitDone;
  if (!name.empty())
    std::fprintf(stderr, "sluice: unknown command '%.*s'\n\n", static_cast<int>(name.size()), name.data());
  print_usage(stderr);
  return sluice::cli::kExitUsage;
}

#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <sstream>

#include "cli/args.hpp"

namespace sluice::cli {

namespace {

// A word where a subcommand should be; empty when that is not what is wrong.
std::string unknown_subcommand(const CLI::App& app, const std::string& word) {
  if (app.get_require_subcommand_min() == 0 || !app.get_subcommands().empty() || word.starts_with('-')) return {};
  std::string known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    known += (known.empty() ? "" : ", ") + command->get_name();
  return "unknown command '" + word + "': " + known;
}

}  // namespace

std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv) {
  if (argc == 1 && app.get_require_subcommand_min() > 0) {
    std::cerr << app.help();
    return kExitUsage;
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  const std::vector<std::string> secrets = scrub_argv(argc, argv);
  std::reverse(words.begin(), words.end());  // as CLI11 takes a vector
  try {
    app.parse(std::move(words));
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    if (app.exit(error, out, err) == 0) {
      std::cout << out.str();
      return kExitDone;
    }
    std::string text = unknown_subcommand(app, argc > 1 ? argv[1] : "");
    if (text.empty()) text = error.what();
    for (const std::string& secret : secrets)
      for (size_t at; (at = text.find(":" + secret + "@")) != std::string::npos && secret != "***";)
        text.replace(at + 1, secret.size(), "***");
    return fail(command_name(app), Error(ErrorCode::INVALID_ARGUMENT, text));
  }
}

std::string command_name(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return app.get_name() + (chosen.empty() ? "" : " " + chosen.front()->get_name());
}

void take_words(CLI::Option& option, std::vector<std::string> words) {
  CLI::IsMember check(std::move(words));
  check.description("");
  option.check(check);
}

void take_number(CLI::Option& option, uint32_t least, uint32_t most) {
  CLI::Range check(least, most);
  check.description("");
  option.check(check);
}

}  // namespace sluice::cli

#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <sstream>

#include "cli/args.hpp"

namespace sluice::cli {

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
    const int status = app.exit(error, out, err);
    std::string text = err.str();
    for (const std::string& secret : secrets)
      for (size_t at; (at = text.find(":" + secret + "@")) != std::string::npos && secret != "***";)
        text.replace(at + 1, secret.size(), "***");
    std::cout << out.str();
    std::cerr << text;
    return status == 0 ? kExitDone : kExitUsage;
  }
}

}  // namespace sluice::cli

// Parsing with CLI11 as all commands do it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice::cli {

// Fills the options of `app`. An exit status when the program is to end: help was printed, or a usage error. Passwords
// of URLs are overwritten in argv before anything else, and never printed.
std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv);

// "sluice project create": the command that was typed, its subcommand included.
std::string command_name(const CLI::App& app);

// The option takes one of these words, which its help names.
void take_words(CLI::Option& option, std::vector<std::string> words);
// The option takes a number within these bounds, which its help names.
void take_number(CLI::Option& option, uint32_t least, uint32_t most);

}  // namespace sluice::cli

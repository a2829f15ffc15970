// Parsing with CLI11 as all commands do it.
#pragma once

#include <optional>

namespace CLI {
class App;
}

namespace sluice::cli {

// Fills the options of `app`. An exit status when the program is to end: help was printed, or a usage error. Passwords
// of URLs are overwritten in argv before anything else, and never printed.
std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv);

}  // namespace sluice::cli

// The user guide names every check of the Precheck, and no other.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "agents/components/precheck/precheck.hpp"

namespace sluice::agents {
namespace {

std::string user_guide() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/docs/user-guide.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(PrecheckGuide, NamesEveryCheck) {
  const std::string guide = user_guide();
  const size_t begin = guide.find("### The checks"), end = guide.find("\n### ", begin + 1);
  ASSERT_NE(begin, std::string::npos);
  std::istringstream section(guide.substr(begin, end - begin));
  std::set<std::string> documented, real{"SOURCE_CONNECTIVITY", "TARGET_CONNECTIVITY"};
  const std::regex name("`([A-Z_]+)`");
  for (std::string line; std::getline(section, line);) {
    if (!line.starts_with("| `")) continue;
    const std::string cell = line.substr(0, line.find(" |", 2));
    for (auto at = std::sregex_iterator(cell.begin(), cell.end(), name); at != std::sregex_iterator(); ++at)
      EXPECT_TRUE(documented.insert((*at)[1]).second) << (*at)[1];
  }
  for (const auto check : precheck_names()) EXPECT_TRUE(real.insert(std::string(check)).second) << check;
  EXPECT_EQ(documented, real);
}

}  // namespace
}  // namespace sluice::agents

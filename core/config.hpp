// Config: the settings of a long-running command, from three places: flags win over the environment, which wins over
// the YAML file. Every setting has one key, the flag's name without dashes in front ("heartbeat-ms"): the file has it
// as it is, the environment as SLUICE_HEARTBEAT_MS. A list is repeated as a flag, a sequence in the file, and separated
// by commas in the environment. Used by one thread while a command starts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sluice {

class Config {
 public:
  explicit Config(std::vector<std::string> known_keys) : known_(std::move(known_keys)) {}

  // A flag that was given on the command line; several values make a list.
  void set_flag(const std::string& key, std::vector<std::string> values);
  // INVALID_ARGUMENT names the file and what is wrong: not readable, not YAML, not a map, a key that is not known.
  Status read_file(const std::string& path);

  bool has(const std::string& key) const;
  std::string text(const std::string& key, const std::string& otherwise = {}) const;
  std::vector<std::string> list(const std::string& key) const;
  Result<int64_t> integer(const std::string& key, int64_t otherwise, int64_t least, int64_t most) const;
  Result<bool> flag(const std::string& key, bool otherwise) const;  // true, false, yes, no, on, off, 1, 0

  static std::string environment_name(std::string_view key);

 private:
  std::vector<std::string> known_;
  std::map<std::string, std::vector<std::string>> flags_, file_;
  std::string file_name_;
};

}  // namespace sluice

// What the client commands (datasource, project, node) share: how they find the coordinator, and their run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/admin_client.hpp"
#include "cli/client_output.hpp"
#include "core/config.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

// From flags, else SLUICE_… of the environment, else ~/.config/sluice/config.yaml.
struct ClientConnection {
  std::string coordinator, token_file, output = "table";

  // `example` stands in the help before what holds for all client commands.
  void declare(CLI::App& app, const std::string& example = {});
  // "coordinator" and "token-file", from wherever they come.
  Result<Config> settings() const;
  Format format() const;
  // A coordinator that was started just now is waited for, up to ten seconds.
  Result<std::unique_ptr<AdminClient>> open() const;
};

// Parses, then does `work` with a connected client. The exit status.
int run_client(CLI::App& app, int argc, char** argv, const ClientConnection& connection,
               const std::function<Status(AdminClient&)>& work);

std::string bytes_text(uint64_t bytes);  // "1.5 MiB"

}  // namespace sluice::cli

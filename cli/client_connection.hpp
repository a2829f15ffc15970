// What the client commands (datasource, project, node) share: how they find the coordinator, and their run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/admin_client.hpp"
#include "cli/client_output.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

// From flags, else SLUICE_… of the environment, else ~/.config/sluice/config.yaml.
struct ClientConnection {
  std::string coordinator, token_file, output = "table";

  void declare(CLI::App& app);
  Format format() const;
  // A coordinator that was started just now is waited for, up to ten seconds.
  Result<std::unique_ptr<AdminClient>> open() const;
};

// Parses, then does `work` with a connected client. The exit status.
int run_client(CLI::App& app, int argc, char** argv, const ClientConnection& connection,
               const std::function<Status(AdminClient&)>& work);

std::string bytes_text(uint64_t bytes);  // "1.5 MiB"

}  // namespace sluice::cli

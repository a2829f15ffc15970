#include "cli/client_connection.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cli/args.hpp"
#include "cli/command_line.hpp"
#include "core/clock.hpp"

namespace sluice::cli {
namespace {

constexpr std::chrono::seconds kStartPatience{10};
constexpr char kFooter[] =
    "Coordinator and token may also come from SLUICE_COORDINATOR and SLUICE_TOKEN_FILE, or from the keys coordinator\n"
    "and token-file in ~/.config/sluice/config.yaml.\n"
    "Exit status: 0 success, 2 usage, 4 error.\n\n";

}  // namespace

void ClientConnection::declare(CLI::App& app, const std::string& example) {
  app.add_option("--coordinator", coordinator, "HOST:PORT or unix:PATH (default 127.0.0.1:8090)")->type_name("ADDR");
  app.add_option("--token-file", token_file, "File with the token (admin.token in the coordinator's data directory)")
      ->type_name("FILE");
  take_words(*app.add_option("-o,--output", output, "table (default), json or yaml")->type_name("FORMAT"),
             {"table", "json", "yaml"});
  app.footer((example.empty() ? "" : example + "\n") + kFooter);
}

Format ClientConnection::format() const {
  return output == "json" ? Format::kJson : output == "yaml" ? Format::kYaml : Format::kTable;
}

Result<Config> ClientConnection::settings() const {
  Config config({"coordinator", "token-file"});
  if (!coordinator.empty()) config.set_flag("coordinator", {coordinator});
  if (!token_file.empty()) config.set_flag("token-file", {token_file});
  const char* home = std::getenv("HOME");
  const std::string file = std::string(home ? home : "") + "/.config/sluice/config.yaml";
  if (std::error_code error; home && std::filesystem::exists(file, error)) SLUICE_TRY(config.read_file(file));
  return config;
}

Result<std::unique_ptr<AdminClient>> ClientConnection::open() const {
  SLUICE_ASSIGN(const Config config, settings());
  const std::string tokens = config.text("token-file");
  if (tokens.empty())
    return Error(ErrorCode::INVALID_ARGUMENT,
                 "--token-file is missing (or SLUICE_TOKEN_FILE, or token-file in ~/.config/sluice/config.yaml)");
  const BootTime deadline = system_clock().boot_time() + kStartPatience;
  SLUICE_ASSIGN(const Secret token, wait_for_token(tokens, kStartPatience));
  while (true) {
    auto client = AdminClient::open(config.text("coordinator", "127.0.0.1:8090"), token);
    if (client.ok() || client.error().code() != ErrorCode::PEER_UNREACHABLE || system_clock().boot_time() >= deadline)
      return client;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

int run_client(CLI::App& app, int argc, char** argv, const ClientConnection& connection,
               const std::function<Status(AdminClient&)>& work) {
  if (auto end = parse_arguments(app, argc, argv)) return *end;
  auto client = connection.open();
  if (!client.ok()) return fail(command_name(app), client.error());
  const Status status = work(**client);
  return status.ok() ? kExitDone : fail(command_name(app), status.error());
}

std::string bytes_text(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace sluice::cli

#include "cli/client_commands.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "cli/args.hpp"
#include "cli/client_connection.hpp"
#include "cli/requests.hpp"

namespace sluice::cli {
namespace {

Status list_data_sources(AdminClient& client, Format format) {
  admin::v1::ListDataSourceRequest request;
  request.set_page_size(150);
  admin::v1::ListDataSourceResponse all;
  for (int page = 1;; ++page) {
    request.set_page_number(page);
    SLUICE_ASSIGN(auto response, client.list_data_sources(request));
    all.mutable_data()->MergeFrom(response.data());
    all.set_total_count(response.total_count());
    if (response.data_size() == 0 || all.data_size() >= response.total_count()) break;
  }
  Table table{{"ID", "NAME", "TYPE", "ADDRESS", "USER", "DATABASE", "REGION", "CREATED"}};
  for (const auto& source : all.data())
    table.push_back({source.id(), source.name(), source.type(),
                     source.socket().empty() ? source.ip() + ":" + std::to_string(source.port()) : source.socket(),
                     source.user_name(), source.schema(), source.region(), source.gmt_create()});
  print(format, all, table);
  return {};
}

struct NewDataSource {
  std::string name, url, region, description, password_file;
  bool replace = false;
};

Status create_data_source(AdminClient& client, const NewDataSource& given, Format format) {
  SLUICE_ASSIGN(auto endpoint, Endpoint::parse_url(given.url));
  if (!given.password_file.empty()) {
    SLUICE_ASSIGN(endpoint.password, read_secret_file(given.password_file, "password file"));
  } else if (const char* password = std::getenv("SLUICE_PASSWORD"); endpoint.password.empty() && password) {
    endpoint.password = Secret(password);
  }
  auto request = data_source_request(given.name, endpoint);
  request.set_region(given.region);
  request.set_description(given.description);
  request.set_replace(given.replace);
  SLUICE_ASSIGN(auto id, client.create_data_source(request));
  admin::v1::CreateDataSourceResponse response;
  response.set_id(id);
  print(format, response, {{id}});
  return {};
}

}  // namespace

int run_datasource(int argc, char** argv) {
  CLI::App app("Registers the databases that projects read and write.", "sluice datasource");
  ClientConnection connection;
  NewDataSource given;
  app.require_subcommand(1);
  auto* create = app.add_subcommand("create", "Register a database; a password may also come from SLUICE_PASSWORD");
  create->add_option("NAME", given.name, "At most 32 characters without spaces")->required()->type_name("");
  create
      ->add_option(
          "URL", given.url,
          "mysql://user[:password]@host[:port][/database][?ssl-mode=…&ssl-ca=…&socket=…]; sluice migrate --help "
          "has all of it")
      ->required()
      ->type_name("");
  create->add_option("--region", given.region, "Where it is: Stores are placed near their source")->type_name("NAME");
  create->add_option("--description", given.description, "At most 128 characters")->type_name("WORDS");
  create->add_option("--password-file", given.password_file, "File with the password")->type_name("FILE");
  create->add_flag("--replace", given.replace, "Give an existing data source a new address or password");
  auto* list = app.add_subcommand("list", "All data sources");
  auto* remove = app.add_subcommand("delete", "Forget a data source that no project uses");
  remove->add_option("NAME", given.name, "Name or id")->required()->type_name("");
  for (auto* command : {create, list, remove}) connection.declare(*command);
  return run_client(app, argc, argv, connection, [&](AdminClient& client) {
    if (create->parsed()) return create_data_source(client, given, connection.format());
    if (list->parsed()) return list_data_sources(client, connection.format());
    return client.delete_data_source(given.name);
  });
}

int run_node(int argc, char** argv) {
  CLI::App app("Shows the nodes on which agents run.", "sluice node");
  ClientConnection connection;
  app.require_subcommand(1);
  auto* list = app.add_subcommand("list", "All nodes, their leases and load");
  connection.declare(*list);
  return run_client(app, argc, argv, connection, [&](AdminClient& client) -> Status {
    SLUICE_ASSIGN(auto nodes, client.list_nodes());
    Table table{{"NODE", "STATUS", "REGION", "ZONE", "LEASE", "CPU", "MEMORY", "DISK", "COMPONENTS", "VERSION"}};
    const auto percent = [](double part) { return std::to_string(static_cast<int>(part * 100)) + " %"; };
    for (const auto& node : nodes.data())
      table.push_back({node.id(), node.status(), node.region(), node.zone(), std::to_string(node.lease_ms()) + " ms",
                       percent(node.cpu_load()), percent(node.memory_used()), percent(node.disk_used()),
                       std::to_string(node.components_size()), node.version()});
    print(connection.format(), nodes, table);
    return {};
  });
}

}  // namespace sluice::cli

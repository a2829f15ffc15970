#include "cli/client_commands.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "cli/admin_client.hpp"
#include "cli/args.hpp"
#include "cli/client_output.hpp"
#include "core/config.hpp"
#include "core/endpoint.hpp"
#include "core/net/convert.hpp"

namespace sluice::cli {
namespace {

using admin::v1::Project;

// What every client command takes: flags, else SLUICE_… of the environment, else ~/.config/sluice/config.yaml.
struct Connection {
  std::string coordinator, token_file, output = "table";

  void declare(CLI::App& app) {
    app.add_option("--coordinator", coordinator, "HOST:PORT or unix:PATH (default 127.0.0.1:8090)");
    app.add_option("--token-file", token_file, "File with the token (admin.token of the coordinator)");
    app.add_option("-o,--output", output, "table, json or yaml")->check(CLI::IsMember({"table", "json", "yaml"}));
  }
  Format format() const { return output == "json" ? Format::kJson : output == "yaml" ? Format::kYaml : Format::kTable; }
  Result<std::unique_ptr<AdminClient>> open() const {
    Config config({"coordinator", "token-file"});
    if (!coordinator.empty()) config.set_flag("coordinator", {coordinator});
    if (!token_file.empty()) config.set_flag("token-file", {token_file});
    const char* home = std::getenv("HOME");
    const std::string file = std::string(home ? home : "") + "/.config/sluice/config.yaml";
    if (home && std::filesystem::exists(file)) SLUICE_TRY(config.read_file(file));
    const std::string tokens = config.text("token-file");
    if (tokens.empty())
      return Error(ErrorCode::INVALID_ARGUMENT,
                   "--token-file is missing (or SLUICE_TOKEN_FILE, or token-file in ~/.config/sluice/config.yaml)");
    SLUICE_ASSIGN(Secret token, read_token_file(tokens));
    return AdminClient::open(config.text("coordinator", "127.0.0.1:8090"), token);
  }
};

// Runs `work` for the subcommand that was given, with a connected client.
using Work = std::function<Status(AdminClient&)>;

int run(CLI::App& app, int argc, char** argv, const Connection& connection, const Work& work) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  scrub_argv(argc, argv);
  auto client = connection.open();
  if (!client.ok()) return fail(client.error());
  const Status status = work(**client);
  return status.ok() ? kExitDone : fail(status.error());
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

// ---- data sources ----

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
    SLUICE_ASSIGN(endpoint.password, read_token_file(given.password_file));
  } else if (const char* password = std::getenv("SLUICE_PASSWORD"); endpoint.password.empty() && password) {
    endpoint.password = Secret(password);
  }
  admin::v1::CreateDataSourceRequest request;
  request.set_name(given.name);
  request.set_type("MYSQL");
  request.set_ip(endpoint.host);
  request.set_port(endpoint.port);
  request.set_schema(endpoint.database);
  request.set_username(endpoint.user);
  request.set_password(endpoint.password.reveal());
  request.set_region(given.region);
  request.set_description(given.description);
  request.set_socket(endpoint.socket);
  request.set_ssl_mode(net::to_proto(endpoint).ssl_mode());
  request.set_ssl_ca(endpoint.ssl_ca);
  request.set_ssl_cert(endpoint.ssl_cert);
  request.set_ssl_key(endpoint.ssl_key);
  request.set_replace(given.replace);
  SLUICE_ASSIGN(auto id, client.create_data_source(request));
  admin::v1::CreateDataSourceResponse response;
  response.set_id(id);
  print(format, response, {{id}});
  return {};
}

// ---- projects ----

Table project_table(const google::protobuf::RepeatedPtrField<Project>& projects) {
  Table table{{"ID", "NAME", "STATUS", "STEP", "PROGRESS", "LAG", "SOURCE", "TARGET", "CREATED"}};
  for (const auto& project : projects) {
    const auto& extra = project.extra_info();
    std::string lag = extra.monitoring_incr() ? std::to_string(project.incremental().lag_ms()) + " ms" : "-";
    std::string progress = extra.running_step().empty() ? "-" : std::to_string(extra.running_progress()) + " %";
    table.push_back({project.id(), project.name(),
                     project.stopping() ? project.status() + " (stopping)" : project.status(),
                     extra.running_step().empty() ? "-" : extra.running_step(), progress, lag,
                     project.source_connect_info().endpoint_name(), project.sink_connect_info().endpoint_name(),
                     project.gmt_create()});
  }
  return table;
}

Table step_table(const google::protobuf::RepeatedPtrField<admin::v1::Step>& steps) {
  Table table{{"STEP", "STATUS", "PROGRESS", "STARTED", "FINISHED", "ERROR"}};
  for (const auto& step : steps)
    table.push_back({step.name(), step.status(), std::to_string(step.progress()) + " %", step.start_time(),
                     step.finish_time(), step.extra_info().error_msg()});
  return table;
}

Table component_table(const google::protobuf::RepeatedPtrField<admin::v1::Component>& components) {
  Table table{{"COMPONENT", "STATE", "NODE", "EPOCH", "RESTARTS", "MEMORY", "CHECKPOINT", "ERROR"}};
  for (const auto& component : components)
    table.push_back(
        {component.id(), component.state(), component.node(), std::to_string(component.epoch()),
         std::to_string(component.restarts()), bytes_text(component.resident_bytes()), component.checkpoint(),
         component.error().code().empty() ? "" : component.error().code() + ": " + component.error().cause()});
  return table;
}

void describe_table(const Project& project) {
  const auto line = [](const char* key, const std::string& value) {
    if (!value.empty()) std::printf("%-14s%s\n", key, value.c_str());
  };
  line("Project", project.name() + " (" + project.id() + ")");
  line("Status", project.status() + (project.stopping() ? ", components are ending" : "") +
                     (project.finishing() ? ", finishing" : ""));
  line("Source", project.source_connect_info().connection_info());
  line("Target", project.sink_connect_info().connection_info());
  line("Mode", project.run_mode());
  line("Verification", project.verification());
  const auto& totals = project.totals();
  line("Copied", std::to_string(totals.rows()) + " rows, " + bytes_text(totals.bytes()) + ", " +
                     std::to_string(totals.tables_finished()) + " of " + std::to_string(totals.tables()) + " tables");
  const auto& incr = project.incremental();
  if (!incr.start().empty()) {
    line("Position", incr.start() + " to " + incr.end());
    line("Applied", std::to_string(incr.transactions()) + " transactions, " + std::to_string(incr.rows()) + " rows, " +
                        std::to_string(incr.ddl()) + " DDL; lag " + std::to_string(incr.lag_ms()) + " ms");
  }
  line("Differences", project.difference_file());
  line("Correction", project.correction_file());
  std::printf("\n%s", table_text(step_table(project.steps())).c_str());
  if (project.components_size() > 0) std::printf("\n%s", table_text(component_table(project.components())).c_str());
  if (project.tables_size() > 0) {
    Table table{{"TABLE", "TARGET", "ROWS", "BYTES", "SECONDS", "STATE", "VERIFY", "DIFFERENCES"}};
    for (const auto& t : project.tables()) {
      char seconds[32];
      std::snprintf(seconds, sizeof seconds, "%.1f", t.seconds());
      table.push_back({t.source(), t.target(), std::to_string(t.rows()), bytes_text(t.bytes()), seconds, t.state(),
                       t.verify(), std::to_string(t.differences())});
    }
    std::printf("\n%s", table_text(table).c_str());
  }
  for (const auto& warning : project.warnings()) std::printf("\nwarning: %s\n", warning.c_str());
  for (const auto& error : project.errors()) {
    const Error e = net::from_proto(error);
    std::printf("\nerror: %s\n       %s\n", e.to_string().c_str(), std::string(e.action()).c_str());
  }
}

Status list_projects(AdminClient& client, const std::vector<std::string>& statuses, Format format) {
  admin::v1::ListProjectsRequest request;
  request.set_page_size(150);
  for (const auto& status : statuses) request.add_status(status);
  admin::v1::ListProjectsResponse all;
  for (int page = 1;; ++page) {
    request.set_page_number(page);
    SLUICE_ASSIGN(auto response, client.list_projects(request));
    all.mutable_data()->MergeFrom(response.data());
    all.set_total_count(response.total_count());
    if (response.data_size() == 0 || all.data_size() >= response.total_count()) break;
  }
  print(format, all, project_table(all.data()));
  return {};
}

// Until the project has reached `wanted`; its error when it fails on the way.
Status wait_until(AdminClient& client, const std::string& id, const std::string& wanted) {
  while (true) {
    auto project = client.describe(id);
    if (!project.ok()) {
      if (wanted == "DELETED" && project.error().code() == ErrorCode::NOT_FOUND) return {};
      if (!project.error().retryable()) return project.error();
    } else if (project->status() == wanted && !project->stopping()) {
      return {};
    } else if (!project->stopping() && project->status() == "FAILED" && wanted != "RELEASED" && wanted != "DELETED") {
      if (project->errors_size() > 0) return net::from_proto(*project->errors().rbegin());
      return Error(ErrorCode::WRONG_STATE, "the project failed", id);
    } else if (!project->stopping() && wanted == "FINISHED" &&
               (project->status() == "SUSPEND" || project->status() == "RELEASED")) {
      return Error(ErrorCode::WRONG_STATE, "the project is " + project->status(), id);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

struct ProjectArguments {
  std::string id, file, run_mode;
  std::vector<std::string> statuses;
  bool wait = false, again = false, start = false;
};

Status create_project(AdminClient& client, const ProjectArguments& given, Format format) {
  admin::v1::CreateProjectRequest request;
  SLUICE_TRY(read_yaml_message(given.file, request));
  SLUICE_ASSIGN(auto id, client.create_project(request));
  admin::v1::CreateProjectResponse response;
  response.set_id(id);
  print(format, response, {{id}});
  return given.start ? client.start_project(id) : Status();
}

Status show_project(AdminClient& client, const std::string& what, const std::string& id, Format format) {
  if (what == "describe") {
    SLUICE_ASSIGN(auto project, client.describe(id));
    if (format == Format::kTable)
      describe_table(project);
    else
      print(format, project, {});
  } else if (what == "steps") {
    SLUICE_ASSIGN(auto steps, client.steps(id));
    print(format, steps, step_table(steps.data()));
  } else {
    SLUICE_ASSIGN(auto components, client.components(id));
    print(format, components, component_table(components.components()));
  }
  return {};
}

Status act_on_project(AdminClient& client, const std::string& verb, const ProjectArguments& given) {
  std::string reached = "FINISHED";
  if (verb == "start") {
    SLUICE_TRY(client.start_project(given.id));
  } else if (verb == "resume") {
    admin::v1::ResumeProjectRequest request;
    request.set_id(given.id);
    request.set_again(given.again);
    request.set_run_mode(given.run_mode);
    SLUICE_TRY(client.resume_project(request));
  } else if (verb == "finish") {
    SLUICE_TRY(client.finish_project(given.id));
  } else if (verb == "stop") {
    SLUICE_TRY(client.stop_project(given.id));
    reached = "SUSPEND";
  } else if (verb == "release") {
    SLUICE_TRY(client.release_project(given.id));
    reached = "RELEASED";
  } else {
    SLUICE_TRY(client.delete_project(given.id));
    reached = "DELETED";
  }
  return given.wait ? wait_until(client, given.id, reached) : Status();
}

}  // namespace

int run_datasource(int argc, char** argv) {
  CLI::App app("Registers the databases that projects read and write.", "sluice datasource");
  Connection connection;
  NewDataSource given;
  app.require_subcommand(1);
  auto* create = app.add_subcommand("create", "Register a database; a password may also come from SLUICE_PASSWORD");
  create->add_option("NAME", given.name, "At most 32 characters without spaces")->required();
  create->add_option("URL", given.url, "mysql://user[:password]@host[:port][/database][?ssl-mode=…]")->required();
  create->add_option("--region", given.region, "Where it is: Stores are placed near their source");
  create->add_option("--description", given.description, "At most 128 characters");
  create->add_option("--password-file", given.password_file, "File with the password");
  create->add_flag("--replace", given.replace, "Give an existing data source a new address or password");
  auto* list = app.add_subcommand("list", "All data sources");
  auto* remove = app.add_subcommand("delete", "Forget a data source that no project uses");
  remove->add_option("NAME", given.name, "Name or id")->required();
  for (auto* command : {create, list, remove}) connection.declare(*command);
  return run(app, argc, argv, connection, [&](AdminClient& client) {
    if (create->parsed()) return create_data_source(client, given, connection.format());
    if (list->parsed()) return list_data_sources(client, connection.format());
    return client.delete_data_source(given.name);
  });
}

int run_project(int argc, char** argv) {
  CLI::App app("Creates, leads and shows projects.", "sluice project");
  Connection connection;
  ProjectArguments given;
  app.require_subcommand(1);
  auto* create = app.add_subcommand("create", "Create a project from a file");
  create->add_option("-f,--file", given.file, "YAML: the body of CreateProject; data sources by name or id")
      ->required();
  create->add_flag("--start", given.start, "Start it at once");
  auto* list = app.add_subcommand("list", "All projects");
  list->add_option("--status", given.statuses, "Only these: INIT, RUNNING, SUSPEND, FAILED, FINISHED, RELEASED");
  connection.declare(*create);
  connection.declare(*list);
  const auto named = [&](const char* verb, const char* help) {
    auto* command = app.add_subcommand(verb, help);
    command->add_option("PROJECT", given.id, "Name or id")->required();
    connection.declare(*command);
    return command;
  };
  std::vector<CLI::App*> shows = {named("describe", "Everything about a project"), named("steps", "Its steps"),
                                  named("components", "Its processes, where they run, under which epoch")};
  std::vector<CLI::App*> acts = {
      named("start", "Start a project"),
      named("stop", "Write checkpoints and end its processes; it can be resumed"),
      named("resume", "Go on after a stop or a failure"),
      named("finish", "End a project that follows: verify, drain to the source's position, end"),
      named("release", "End it and free what it holds; its record stays"),
      named("delete", "End it, free what it holds and forget it")};
  for (auto* command : acts)
    command->add_flag("--wait", given.wait, "Return when it is done (start, resume: when the project has finished)");
  acts[2]->add_flag("--again", given.again, "A finished project catches up and verifies again");
  acts[2]->add_option("--run-mode", given.run_mode, "From now on: ONCE or FOLLOW");
  return run(app, argc, argv, connection, [&](AdminClient& client) {
    if (create->parsed()) return create_project(client, given, connection.format());
    if (list->parsed()) return list_projects(client, given.statuses, connection.format());
    for (auto* command : shows)
      if (command->parsed()) return show_project(client, command->get_name(), given.id, connection.format());
    for (auto* command : acts)
      if (command->parsed()) return act_on_project(client, command->get_name(), given);
    return Status();
  });
}

int run_node(int argc, char** argv) {
  CLI::App app("Shows the nodes on which agents run.", "sluice node");
  Connection connection;
  app.require_subcommand(1);
  auto* list = app.add_subcommand("list", "All nodes, their leases and load");
  connection.declare(*list);
  return run(app, argc, argv, connection, [&](AdminClient& client) -> Status {
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

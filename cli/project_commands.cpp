// `sluice project`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <optional>
#include <thread>

#include "cli/args.hpp"
#include "cli/client_commands.hpp"
#include "cli/client_connection.hpp"
#include "cli/command_line.hpp"
#include "cli/decision.hpp"
#include "cli/error_text.hpp"
#include "cli/migrate_options.hpp"
#include "cli/waits.hpp"
#include "core/clock.hpp"
#include "core/net/convert.hpp"

namespace sluice::cli {
namespace {

using admin::v1::Project;

constexpr uint32_t kEndLimit = 120, kFinishLimit = 86'400;  // seconds; components are given half a minute to end

constexpr char kProjectExample[] = R"(FILE is the body of CreateProject as YAML, for example
  name: shop
  type: MIGRATION
  sourceEndpointId: old          # a data source, by name or id
  sinkEndpointId: new
  transferMapping:
    mode: WILDCARD
    tableAndViewWhiteList: ["shop.*"]
  enableStructTransfer: true
  enableFullTransfer: true
  enableIncrTransfer: true
  enableFullVerify: true
  runMode: FOLLOW                # until `sluice project finish`; ONCE: end when both are equal
)";

constexpr char kDecideExample[] =
    "A DDL statement (its position ends in #n): skip it; retry it; done: it has been applied; replace it by\n"
    "--statement. A transaction with conflicts: overwrite the rows, or skip its conflicts.\n\n"
    "Example\n  sluice project decide shop skip --position '0-1-42#0' && sluice project resume shop\n";

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
  if (incr.conflicts_total() > 0)
    line("Conflicts", std::to_string(incr.conflicts_total()) + " rows, " + std::to_string(incr.conflicts_skipped()) +
                          " of them left as they were on the target");
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
  if (project.decisions_size() > 0) {
    Table table{{"DECIDED AT", "DECISION", "STATEMENT"}};
    for (const auto& decision : project.decisions())
      table.push_back({decision.position(), decision.decision(), decision.statement()});
    std::printf("\n%s", table_text(table).c_str());
  }
  for (const auto& warning : project.warnings()) std::printf("\nwarning: %s\n", warning.c_str());
  for (const auto& error : project.errors()) std::printf("\nerror: %s\n", error_text(error, "\n       ").c_str());
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

// What is waited for, and for how long.
struct Goal {
  std::string status;
  std::chrono::seconds limit;
};

// Until the project has reached the goal; its error when it fails on the way.
std::optional<Status> reached(const Project& project, const std::string& wanted) {
  if (project.stopping()) return std::nullopt;
  const std::string& status = project.status();
  if (status == wanted) return Status();
  if (status == "FAILED" && wanted != "RELEASED" && wanted != "DELETED") {
    if (project.errors_size() > 0) return net::from_proto(*project.errors().rbegin());
    return Error(ErrorCode::WRONG_STATE, "the project failed", project.id());
  }
  if (wanted == "FINISHED" && (status == "SUSPEND" || status == "RELEASED"))
    return Error(ErrorCode::WRONG_STATE, "the project is " + status, project.id());
  return std::nullopt;
}

Status wait_until(AdminClient& client, const std::string& id, const Goal& goal) {
  const BootTime deadline = system_clock().boot_time() + goal.limit;
  Waits waits;
  while (true) {
    auto project = client.describe(id);
    if (project.ok()) {
      if (auto end = reached(*project, goal.status)) return *end;
      waits.take(*project, system_clock().boot_time());
      waits.tell([](const Wait& wait) { std::fprintf(stderr, "%s\n", wait_text(wait).c_str()); },
                 [](const Wait& wait) { std::fprintf(stderr, "%s goes on\n", wait.kind.c_str()); });
    } else if (goal.status == "DELETED" && project.error().code() == ErrorCode::NOT_FOUND) {
      return {};
    } else if (!project.error().retryable()) {
      return project.error();
    }
    if (system_clock().boot_time() >= deadline)
      return Error(ErrorCode::TIMED_OUT,
                   "the project is not " + goal.status + " after " + std::to_string(goal.limit.count()) + " seconds",
                   id);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

struct ProjectArguments {
  std::string id, file, memory;
  std::vector<std::string> statuses;
  bool wait = false, start = false;
  uint32_t wait_limit = 0;
  int32_t throttle_rps = -1;
  bool allow_not_empty = false, truncate_target = false;
  std::string run_mode, on_conflict, on_ddl, speed;
  std::vector<std::string> skip_checks;
  bool again = false;
  Decision decision;
};

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

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

Status resume(AdminClient& client, const ProjectArguments& given) {
  admin::v1::ResumeProjectRequest request;
  request.set_id(given.id);
  request.set_again(given.again);
  request.set_run_mode(given.run_mode);
  request.set_on_conflict(given.on_conflict);
  request.set_on_ddl(given.on_ddl);
  request.set_speed(upper(given.speed));
  if (given.throttle_rps >= 0) request.set_throttle_rps(given.throttle_rps);
  if (!given.memory.empty()) {
    SLUICE_ASSIGN(const uint64_t bytes, parse_size(given.memory));
    request.set_memory_bytes(static_cast<int64_t>(bytes));
  }
  if (given.allow_not_empty || given.truncate_target) {
    request.set_allow_dest_table_not_empty(given.allow_not_empty);
    request.set_truncate_target(given.truncate_target);
  }
  for (const auto& check : given.skip_checks) request.add_skip_check(check);
  return client.resume_project(request);
}

Status act_on_project(AdminClient& client, const std::string& verb, const ProjectArguments& given) {
  Goal goal{"FINISHED", std::chrono::seconds(kFinishLimit)};
  if (verb == "start") {
    SLUICE_TRY(client.start_project(given.id));
  } else if (verb == "resume") {
    SLUICE_TRY(resume(client, given));
  } else if (verb == "finish") {
    SLUICE_TRY(client.finish_project(given.id));
  } else if (verb == "stop") {
    SLUICE_TRY(client.stop_project(given.id));
    goal = {"SUSPEND", std::chrono::seconds(kEndLimit)};
  } else if (verb == "release") {
    SLUICE_TRY(client.release_project(given.id));
    goal = {"RELEASED", std::chrono::seconds(kEndLimit)};
  } else {
    SLUICE_TRY(client.delete_project(given.id));
    goal = {"DELETED", std::chrono::seconds(kEndLimit)};
  }
  if (given.wait_limit > 0) goal.limit = std::chrono::seconds(given.wait_limit);
  return given.wait ? wait_until(client, given.id, goal) : Status();
}

Status decide(AdminClient& client, const ProjectArguments& given) {
  SLUICE_TRY(check_decision(given.decision));
  return client.decide(decide_request(given.id, given.decision));
}

// The subcommands of `sluice project`, in groups.
class ProjectCommand {
 public:
  int run(int argc, char** argv) {
    app_.require_subcommand(1);
    declare_new();
    declare_shows();
    declare_acts();
    declare_decide();
    return run_client(app_, argc, argv, connection_, [&](AdminClient& client) { return work(client); });
  }

 private:
  CLI::App* command(const char* verb, const char* help, const char* example = "") {
    auto* command = app_.add_subcommand(verb, help);
    connection_.declare(*command, example);
    return command;
  }
  CLI::App* named(const char* verb, const char* help, const char* example = "") {
    auto* named = command(verb, help, example);
    named->add_option("PROJECT", given_.id, "Name or id")->required()->type_name("");
    return named;
  }

  void declare_new() {
    create_ = command("create", "Create a project from a file", kProjectExample);
    create_->add_option("-f,--file", given_.file, "YAML; data sources by name or id")->required()->type_name("FILE");
    create_->add_flag("--start", given_.start, "Start it at once");
    list_ = command("list", "All projects");
    list_
        ->add_option("--status", given_.statuses,
                     "Only these: INIT, RUNNING, SUSPEND, FAILED, FINISHED, RELEASED; may be repeated")
        ->allow_extra_args(false)
        ->type_name("STATUS");
  }

  void declare_shows() {
    shows_ = {named("describe", "Everything about a project"), named("steps", "Its steps"),
              named("components", "Its processes, where they run, under which epoch")};
  }

  CLI::App* act(const char* verb, const char* help, const char* wait_help, uint32_t limit) {
    auto* act = named(verb, help);
    act->add_flag("--wait", given_.wait, wait_help);
    auto* patience = act->add_option("--wait-limit", given_.wait_limit,
                                     "Give up waiting after so many seconds (default " + std::to_string(limit) + ")");
    take_number(*patience->type_name("SECONDS"), 1, 31'536'000);
    acts_.push_back(act);
    return act;
  }

  void declare_acts() {
    const char* finished = "Return when it has finished, or failed";
    act("start", "Start a project", finished, kFinishLimit);
    act("stop", "Write checkpoints and end its processes; it can be resumed", "Return when its processes have ended",
        kEndLimit);
    declare_resume(act("resume", "Go on after a stop or a failure", finished, kFinishLimit));
    act("finish", "End a project that follows: verify, drain to the source's position, end", finished, kFinishLimit);
    act("release", "End it and free what it holds; its record stays", "Return when it is released", kEndLimit);
    act("delete", "End it, free what it holds and forget it", "Return when it is gone", kEndLimit);
  }

  void declare_resume(CLI::App* resume) {
    resume->add_flag("--again", given_.again, "A finished project catches up and verifies again");
    const auto option = [&](const char* name, std::string& value, const char* help, std::vector<std::string> allowed) {
      auto* added = resume->add_option(name, value, help)->type_name("VALUE");
      if (!allowed.empty()) take_words(*added, std::move(allowed));
    };
    option("--run-mode", given_.run_mode, "From now on: ONCE or FOLLOW", {"ONCE", "FOLLOW"});
    option("--on-conflict", given_.on_conflict, "From now on: stop, overwrite or skip", {"stop", "overwrite", "skip"});
    option("--on-ddl", given_.on_ddl, "From now on: apply, stop or skip", {"apply", "stop", "skip"});
    option("--speed", given_.speed, "From now on: steady, normal or fast", {"steady", "normal", "fast"});
    option("--memory", given_.memory, "From now on: memory of each component process, with K, M or G", {});
    auto* throttle =
        resume->add_option("--throttle-rps", given_.throttle_rps, "From now on: rows per second at most; 0: no limit");
    take_number(*throttle->type_name("N"), 0, INT32_MAX);
    auto* allow =
        resume->add_flag("--allow-not-empty", given_.allow_not_empty, "Target tables may exist and have rows");
    resume->add_flag("--truncate-target", given_.truncate_target, "Existing target tables are dropped first")
        ->excludes(allow);
    resume
        ->add_option("--skip-check", given_.skip_checks,
                     "A check that is left out, instead of those before; may be repeated")
        ->allow_extra_args(false)
        ->type_name("NAME");
  }

  void declare_decide() {
    decide_ = named("decide", "Say what is to be done about what stopped it; then resume it", kDecideExample);
    auto* word = decide_->add_option("DECISION", given_.decision.word, "skip, retry, done, replace or overwrite");
    take_words(*word->required()->type_name(""), {"skip", "retry", "done", "replace", "overwrite"});
    decide_->add_option("--position", given_.decision.position, "Where, as the error names it")
        ->required()
        ->type_name("POS");
    decide_->add_option("--statement", given_.decision.statement, "replace: what is run on the target instead")
        ->type_name("SQL");
  }

  Status work(AdminClient& client) {
    const Format format = connection_.format();
    if (create_->parsed()) return create_project(client, given_, format);
    if (list_->parsed()) return list_projects(client, given_.statuses, format);
    if (decide_->parsed()) return decide(client, given_);
    for (auto* show : shows_)
      if (show->parsed()) return show_project(client, show->get_name(), given_.id, format);
    for (auto* act : acts_)
      if (act->parsed()) return act_on_project(client, act->get_name(), given_);
    return {};
  }

  CLI::App app_{"Creates, leads and shows projects.", "sluice project"};
  ClientConnection connection_;
  ProjectArguments given_;
  CLI::App *create_ = nullptr, *list_ = nullptr, *decide_ = nullptr;
  std::vector<CLI::App*> shows_, acts_;
};

}  // namespace

int run_project(int argc, char** argv) { return ProjectCommand().run(argc, argv); }

}  // namespace sluice::cli

// `sluice datasource`, `sluice project`, `sluice node`: the public API on the command line.
// Exit status 0 only on success.
#pragma once

namespace sluice::cli {

int run_datasource(int argc, char** argv);
int run_project(int argc, char** argv);
int run_node(int argc, char** argv);

}  // namespace sluice::cli

// `sluice migrate`: the whole job in one command. Returns the process's exit status.
#pragma once

namespace sluice::cli {

int run_migrate(int argc, char** argv);

}  // namespace sluice::cli

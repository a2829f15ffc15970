// `sluice agent`: runs the agent of one node until SIGTERM or SIGINT.
#pragma once

namespace sluice::cli {

int run_agent(int argc, char** argv);

}  // namespace sluice::cli

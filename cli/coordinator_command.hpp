// `sluice coordinator`: runs a coordinator until SIGTERM or SIGINT.
#pragma once

namespace sluice::cli {

int run_coordinator(int argc, char** argv);

}  // namespace sluice::cli

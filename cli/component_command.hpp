// `sluice component KIND`: the body of a component process, started by an agent only (fd 3 holds the boot message).
#pragma once

namespace sluice::cli {

int run_component(int argc, char** argv);

}  // namespace sluice::cli

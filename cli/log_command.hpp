// `sluice log`: prints what a Store's log holds, from its folder or from a running Store.
#pragma once

namespace sluice::cli {

int run_log(int argc, char** argv);

}  // namespace sluice::cli

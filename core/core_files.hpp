// Nothing of a process through which secrets pass may reach a core file.
#pragma once

namespace sluice {

void forbid_core_files();

}  // namespace sluice

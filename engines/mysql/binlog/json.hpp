// MySQL's binary JSON, as text in the form that the server itself prints.
// Pure; any thread. Damaged bytes are an error, never read beyond their end.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sluice::mysql {

// Appends to `out`. BINLOG_EVENT_INVALID when the bytes are not a document; never reads outside of them and never does
// more work than a valid document of that size needs.
Status append_json_text(std::string& out, std::string_view binary);

}  // namespace sluice::mysql

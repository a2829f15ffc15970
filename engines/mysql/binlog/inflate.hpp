// Compressed parts of the log. Buffers are the caller's and are used again.
// Any thread. Damaged bytes, and more or less than a header promises, are an error.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sluice::mysql {

// MariaDB's log_bin_compress: method byte, length, zlib stream. Replaces `out`.
Status inflate_mariadb(std::string_view compressed, std::string* out);

// MySQL's TRANSACTION_PAYLOAD: calls `visit` with each whole event inside, one after the other, in memory for no more
// than the greatest event and a piece of the stream.
Status for_each_payload_event(std::string_view body, const std::function<Status(std::string_view event)>& visit);

}  // namespace sluice::mysql

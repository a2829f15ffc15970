// What a server's or client library's error number means, in terms of the error catalogue. Pure.
#pragma once

#include <string_view>

#include "core/error.hpp"

namespace sluice::mysql {

// `number` is mysql_errno(): 1000..1999 and 3000.. from the server, 2000..2999 from the client library, 4000.. from
// MariaDB. `text` tells apart what one number is used for twice.
ErrorCode classify(unsigned number, std::string_view text);

// Whether the session is over after this error, so that the Connection is dead.
bool ends_session(unsigned number);

}  // namespace sluice::mysql

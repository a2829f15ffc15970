#include "engines/mysql/error_codes.hpp"

#include <algorithm>
#include <array>

namespace sluice::mysql {
namespace {

struct Entry {
  unsigned number;
  ErrorCode code;
};

using enum ErrorCode;

// Sorted by number. Names as in the servers' sources, in comments where the number is not well known.
constexpr std::array kEntries = std::to_array<Entry>({
    {1021, DATABASE_DISK_FULL},
    {1022, DUPLICATE_KEY},
    {1040, TOO_MANY_CONNECTIONS},
    {1044, MISSING_PRIVILEGE},  // ER_DBACCESS_DENIED_ERROR
    {1045, ACCESS_DENIED},
    {1046, STATEMENT_FAILED},
    {1048, VALUE_REJECTED},  // column cannot be NULL
    {1049, NOT_FOUND},
    {1050, ALREADY_EXISTS},
    {1053, CONNECTION_LOST},  // server shutdown in progress
    {1062, DUPLICATE_KEY},
    {1077, CONNECTION_LOST},
    {1079, CONNECTION_LOST},
    {1080, CONNECTION_LOST},
    {1114, DATABASE_DISK_FULL},  // ER_RECORD_FILE_FULL
    {1129, CONNECT_FAILED},      // host is blocked
    {1130, ACCESS_DENIED},       // host is not allowed
    {1142, MISSING_PRIVILEGE},
    {1143, MISSING_PRIVILEGE},
    {1146, NOT_FOUND},
    {1152, CONNECTION_LOST},
    {1153, PACKET_TOO_LARGE},
    {1154, CONNECTION_LOST},
    {1155, CONNECTION_LOST},
    {1156, CONNECTION_LOST},
    {1157, CONNECTION_LOST},
    {1158, CONNECTION_LOST},
    {1159, CONNECTION_LOST},
    {1160, CONNECTION_LOST},
    {1161, CONNECTION_LOST},
    {1184, CONNECTION_LOST},
    {1203, TOO_MANY_CONNECTIONS},
    {1205, DEADLOCK},
    {1213, DEADLOCK},
    {1226, TOO_MANY_CONNECTIONS},
    {1227, MISSING_PRIVILEGE},
    {1264, VALUE_REJECTED},
    {1265, VALUE_REJECTED},
    {1290, SERVER_READ_ONLY},
    {1292, VALUE_REJECTED},
    {1301, PACKET_TOO_LARGE},  // a function's result is above max_allowed_packet
    {1317, CANCELLED},         // query was killed
    {1364, VALUE_REJECTED},    // no default
    {1366, VALUE_REJECTED},
    {1367, VALUE_REJECTED},
    {1370, MISSING_PRIVILEGE},
    {1406, VALUE_REJECTED},
    {1411, VALUE_REJECTED},
    {1412, DEADLOCK},        // ER_TABLE_DEF_CHANGED: a table was rebuilt after the snapshot, "please retry transaction"
    {1416, VALUE_REJECTED},  // geometry
    {1526, VALUE_REJECTED},  // no partition for the value
    {1557, DUPLICATE_KEY},
    {1569, DUPLICATE_KEY},
    {1586, DUPLICATE_KEY},
    {1614, DEADLOCK},
    {1690, VALUE_REJECTED},
    {1698, ACCESS_DENIED},
    {1705, TRANSACTION_TOO_LARGE},
    {1748, VALUE_REJECTED},
    {1786, STATEMENT_FAILED},
    {1792, SERVER_READ_ONLY},
    {1836, SERVER_READ_ONLY},
    {1927, CONNECTION_LOST},  // connection was killed (MariaDB)
    {1969, TIMED_OUT},        // max_statement_time (MariaDB)
    {2002, CONNECT_FAILED},
    {2003, CONNECT_FAILED},
    {2005, UNKNOWN_HOST},
    {2006, CONNECTION_LOST},
    {2012, CONNECT_FAILED},
    {2013, CONNECTION_LOST},
    {2020, PACKET_TOO_LARGE},
    {2026, TLS_FAILED},
    {2027, CONNECTION_LOST},
    {2048, CONNECTION_LOST},
    {2055, CONNECTION_LOST},
    {2058, UNSUPPORTED},
    {2059, UNSUPPORTED},  // authentication plugin
    {3024, TIMED_OUT},
    {3058, DEADLOCK},
    {3100, TRANSACTION_TOO_LARGE},
    {3118, ACCESS_DENIED},  // account is locked
    {3140, VALUE_REJECTED},
    {3159, TLS_FAILED},      // the server requires TLS
    {3572, DEADLOCK},        // NOWAIT
    {3819, VALUE_REJECTED},  // CHECK constraint (MySQL)
    {4025, VALUE_REJECTED},  // CHECK constraint (MariaDB)
    {4031, CONNECTION_LOST},
    {4151, ACCESS_DENIED},  // account is locked (MariaDB)
});
static_assert(std::is_sorted(kEntries.begin(), kEntries.end(),
                             [](const Entry& a, const Entry& b) { return a.number < b.number; }));

}  // namespace

ErrorCode classify(unsigned number, std::string_view text) {
  // 1290 is "not possible with the option --read-only", but also with --secure-file-priv, --skip-grant-tables and more.
  if (number == 1290 && text.find("read-only") == text.npos && text.find("read_only") == text.npos) {
    return STATEMENT_FAILED;
  }
  // MySQL reports a failed name look-up within 2005 and, newer, within 2002 and 2003.
  if (number == 2002 && text.find("resolve") != text.npos) return UNKNOWN_HOST;
  const auto at = std::lower_bound(kEntries.begin(), kEntries.end(), number,
                                   [](const Entry& e, unsigned wanted) { return e.number < wanted; });
  return at != kEntries.end() && at->number == number ? at->code : STATEMENT_FAILED;
}

bool ends_session(unsigned number) {
  const ErrorCode code = classify(number, {});
  return code == CONNECTION_LOST || number == 2020 || number == 1153;
}

}  // namespace sluice::mysql

// Digest: the checksum of a chunk computed inside the server (exactness.md section 7). The digest expression covers
// every column's length and a NULL map; values over 64 KiB enter as their own hash; 64 bits, not linear.
// Each function runs on the given connection and its thread. Errors: those of the connection, and whatever `visit`
// answers, which ends the reading.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/scan.hpp"

namespace sluice::mysql {

struct ChunkDigest {
  uint64_t rows = 0;
  std::string digest;  // text of the aggregate; comparable between servers that used the same method
  bool operator==(const ChunkDigest&) const = default;
};

enum class DigestMethod : uint8_t { kSha1Sum, kSha2Sum };  // SHA1 halves (MariaDB, MySQL < 9), SHA2 (all)
// The strongest method both servers have.
DigestMethod choose_method(const ServerVersion& source, const ServerVersion& target);

// Columns whose character set, or whose ENUM or SET labels, differ between the two servers: their characters are
// compared, not their bytes or numbers.
using ConvertedColumns = std::set<std::string>;

// The expression of one row's digest: 64 bits as an unsigned number; NULL only when the server failed to compute it.
std::string row_digest_expression(const TableSchema&, DigestMethod, const ConvertedColumns& converted = {});

// Fails with an error when count(digest) != count(*) or the server warned.
Result<ChunkDigest> digest_chunk(Connection&, const TableSchema&, const Chunk&, DigestMethod,
                                 const ConvertedColumns& converted = {});
// Digest per row, for drilling down: visit(key literals, digest of the row) in key order. Tables without a key: no
// literals, any order.
Status digest_rows(Connection&, const TableSchema&, const Chunk&, DigestMethod,
                   const std::function<Status(const std::vector<std::string>& key, std::string_view digest)>& visit,
                   const ConvertedColumns& converted = {});

// The same for the rows with these keys, in any order. Keys without a row give nothing.
Status digest_keys(Connection&, const TableSchema&, std::span<const std::vector<std::string>> keys, DigestMethod,
                   const std::function<Status(const std::vector<std::string>& key, std::string_view digest)>& visit,
                   const ConvertedColumns& converted = {});
// Digests of all rows whose digest leaves `part` when divided by `parts`, in any order: for tables without a key.
Status digest_part(Connection&, const TableSchema&, DigestMethod, uint64_t part, uint64_t parts,
                   const std::function<Status(uint64_t digest)>& visit, const ConvertedColumns& converted = {});
// The rows that have one of these digests, with it.
Status scan_digests(Connection&, const TableSchema&, DigestMethod, std::span<const uint64_t> digests,
                    const std::function<Status(uint64_t digest, std::span<const ValueView>)>& visit,
                    const ConvertedColumns& converted = {});

}  // namespace sluice::mysql

#include "store/capture/transaction_digest.hpp"

#include <xxhash.h>

namespace sluice::store {

TransactionDigest::TransactionDigest() : state_(XXH3_createState()) { XXH3_64bits_reset(state_); }
TransactionDigest::~TransactionDigest() { XXH3_freeState(state_); }

void TransactionDigest::add_text(std::string_view text) {
  uint64_t size = text.size();
  XXH3_64bits_update(state_, &size, sizeof size);
  XXH3_64bits_update(state_, text.data(), text.size());
}

void TransactionDigest::add(const RecordView& record) {
  if (auto* begin = std::get_if<Begin>(&record)) {
    XXH3_64bits_reset(state_);
    shape_ = 0;
    add_text(begin->gtid);
    XXH3_64bits_update(state_, &begin->commit_time_us, sizeof begin->commit_time_us);
  } else if (auto* rows = std::get_if<Rows>(&record)) {
    // One record or several for rows of one kind is a matter of batches, and by which definition the images were read
    // may change (a catalog tells more than the log).
    uint64_t shape = static_cast<uint64_t>(rows->op) << 16 | rows->flags;
    if (shape != shape_) XXH3_64bits_update(state_, &shape, sizeof shape);
    shape_ = shape;
    XXH3_64bits_update(state_, rows->images.data(), rows->images.size());
  } else if (auto* ddl = std::get_if<Ddl>(&record)) {
    shape_ = 0;
    add_text(ddl->database);
    add_text(ddl->sql);
  } else if (auto* commit = std::get_if<Commit>(&record)) {
    add_text(commit->file);
    XXH3_64bits_update(state_, &commit->offset, sizeof commit->offset);
    value_ = XXH3_64bits_digest(state_);
  }
}

}  // namespace sluice::store

// One chunk: a reading thread fills pieces, the calling thread sends them, checks, and commits.
#include "sinks/database/loader.hpp"

#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "engines/mysql/sql_text.hpp"

namespace sluice::database {
namespace {

constexpr uint32_t kDuplicateKey = 1062;
constexpr size_t kConflictsShown = 100, kConflictsOfTransaction = 1000;
constexpr uint32_t kConflictSlots = 16;
constexpr uint64_t kEmptyEnumsAtOnce = 10'000;  // in a statement, so that the server can show their warnings
constexpr std::chrono::milliseconds kBudgetPatience{100};

// Whole rows as text. For INSERT, `starts` holds where each row begins, so that one row can be sent again alone.
struct Piece {
  std::string text;
  std::vector<uint32_t> starts;
  uint64_t rows = 0;
  uint64_t empty_enums = 0;
  std::optional<ByteBudget::Grant> grant;
};

// The bounded queue between the two threads. The reader ends it with a status; the writer may cancel it.
class PieceQueue {
 public:
  explicit PieceQueue(size_t limit) : limit_(limit) {}

  bool push(Piece piece) {  // false: cancelled
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return cancelled_ || pieces_.size() < limit_; });
    if (cancelled_) return false;
    pieces_.push_back(std::move(piece));
    changed_.notify_all();
    return true;
  }
  void end(Status status) {
    std::lock_guard lock(mutex_);
    ended_ = std::move(status);
    changed_.notify_all();
  }
  void cancel() {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    pieces_.clear();
    changed_.notify_all();
  }
  bool cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }
  // The next piece; empty at the end; the reader's error.
  Result<std::optional<Piece>> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !pieces_.empty() || ended_.has_value(); });
    if (pieces_.empty()) return ended_->ok() ? Result<std::optional<Piece>>(std::nullopt) : ended_->error();
    std::optional<Piece> piece(std::move(pieces_.front()));
    pieces_.pop_front();
    changed_.notify_all();
    return piece;
  }

 private:
  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  std::optional<Status> ended_;
  bool cancelled_ = false;
};

// The reading side: rows in canonical form become pieces.
class Reader {
 public:
  Reader(const LoadPlan& plan, const LoadLimits& limits, PieceQueue& queue)
      : plan_(plan), limits_(limits), queue_(queue) {}

  Status run(mysql::Connection& source, const mysql::Chunk& chunk) {
    SLUICE_TRY(
        mysql::scan_chunk(source, plan_.source(), chunk, [this](std::span<const ValueView> row) { return add(row); }));
    return piece_.rows > 0 ? hand_on() : Status{};
  }

 private:
  Status add(std::span<const ValueView> row) {
    if (limits_.use_load_data) {
      plan_.append_load_row(piece_.text, row);
    } else {
      if (piece_.rows > 0) piece_.text += ',';
      piece_.starts.push_back(static_cast<uint32_t>(piece_.text.size()));
      plan_.append_insert_row(piece_.text, row);
    }
    ++piece_.rows;
    piece_.empty_enums += plan_.empty_enums(row);
    const bool full = piece_.text.size() >= limits_.piece_bytes || piece_.rows == plan_.statement_rows() ||
                      piece_.empty_enums >= kEmptyEnumsAtOnce;
    return full ? hand_on() : Status{};
  }

  Status hand_on() {
    if (limits_.pace) SLUICE_TRY(limits_.pace(piece_.rows, piece_.text.size()));
    while (limits_.budget && !piece_.grant) {
      if (queue_.cancelled()) return cancelled();
      auto grant = limits_.budget->acquire(piece_.text.size(), kBudgetPatience);
      if (grant) piece_.grant.emplace(std::move(*grant));
    }
    const size_t usual = piece_.text.size();
    if (!queue_.push(std::move(piece_))) return cancelled();
    piece_ = Piece{};
    piece_.text.reserve(std::min(usual, 2 * limits_.piece_bytes) + 4096);
    return {};
  }

  static Error cancelled() { return Error(ErrorCode::CANCELLED, "the target side of the load ended"); }

  const LoadPlan& plan_;
  const LoadLimits& limits_;
  PieceQueue& queue_;
  Piece piece_;
};

// A number after `name` in "Records: 3  Deleted: 0  Skipped: 0  Warnings: 0".
std::optional<uint64_t> info_number(std::string_view info, std::string_view name) {
  const size_t at = info.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  info.remove_prefix(at + name.size());
  while (!info.empty() && (info[0] == ':' || info[0] == ' ')) info.remove_prefix(1);
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(info.data(), info.data() + info.size(), value);
  return failure == std::errc{} ? std::optional(value) : std::nullopt;
}

// The writing side of one chunk.
class Writer {
 public:
  Writer(mysql::Connection& target, const LoadPlan& plan, ChunkRow row, const Owner& owner, const Lease& lease,
         const LoadLimits& limits, PieceQueue& queue)
      : target_(target),
        plan_(plan),
        row_(std::move(row)),
        owner_(owner),
        lease_(lease),
        limits_(limits),
        queue_(queue) {}

  Result<LoadResult> run() {
    SLUICE_TRY(set_strictness());
    do {
      if (auto done = one_transaction(); !done.ok()) {
        if (target_.alive()) (void)target_.exec("ROLLBACK");
        return done.error().with_object(plan_.target().qualified_name());
      }
    } while (!ended_);
    return std::move(result_);
  }

 private:
  // In a strict session the server refuses a row when a generated column cannot be computed without loss, which a
  // source that is not strict took. The others need no strictness: each of their warnings is an error here.
  Status set_strictness() {
    const std::string others = "REPLACE(@@SESSION.sql_mode, 'STRICT_ALL_TABLES', '')";
    const std::string mode = plan_.has_computed_columns() ? others : "CONCAT('STRICT_ALL_TABLES,', " + others + ")";
    SLUICE_TRY(target_.exec("SET SESSION sql_mode = " + mode));
    return {};
  }

  Status one_transaction() {
    rows_ = bytes_ = duplicates_ = 0;
    conflicts_.clear();
    SLUICE_TRY(lease_.check());
    SLUICE_TRY(target_.exec("START TRANSACTION"));
    SLUICE_TRY(limits_.use_load_data ? load() : insert());
    SLUICE_TRY(record_conflicts(target_, owner_, static_cast<uint32_t>(row_.number % kConflictSlots), conflicts_,
                                duplicates_, duplicates_));
    row_.rows = rows_;
    row_.bytes = bytes_;
    SLUICE_ASSIGN(const auto chunk, target_.exec(chunk_sql(owner_, row_)));
    if (chunk.matched_rows != 1)
      return Error(ErrorCode::STALE_EPOCH, "the fence no longer holds epoch " + std::to_string(owner_.epoch));
    SLUICE_TRY(lease_.check());
    SLUICE_TRY(target_.exec("COMMIT"));
    ++row_.number;
    ++result_.transactions;
    result_.rows += rows_;
    result_.bytes += bytes_;
    result_.duplicates += duplicates_;
    if (limits_.committed) limits_.committed(rows_, bytes_);
    return {};
  }

  bool transaction_complete() const { return ended_ || (limits_.commit_bytes > 0 && bytes_ >= limits_.commit_bytes); }

  // The next piece of this transaction; false when the transaction or the chunk is complete.
  Result<bool> next() {
    piece_.reset();
    if (transaction_complete()) return false;
    SLUICE_ASSIGN(piece_, queue_.pop());
    if (!piece_) {
      ended_ = true;
      return false;
    }
    rows_ += piece_->rows;
    empty_enums_ += piece_->empty_enums;
    bytes_ += piece_->text.size();
    return true;
  }

  Status load() {
    do {
      SLUICE_TRY(load_statement());
    } while (!transaction_complete());
    return {};
  }

  // A strict session refuses the empty value of an ENUM. Without it the same warnings come, and all are looked at.
  Status load_statement() {
    if (!plan_.has_enums()) return load_rows();
    SLUICE_TRY(set_mode(mysql::kLenientMode));
    auto loaded = load_rows();
    if (target_.alive()) SLUICE_TRY(set_mode(mysql::kDataMode));
    return loaded;
  }

  Status load_rows() {
    const uint64_t rows_before = rows_;
    empty_enums_ = cut_enums_ = 0;
    auto loaded = target_.load_data(plan_.load_statement(), [&]() -> Result<std::string_view> {
      SLUICE_TRY(lease_.check());
      if (plan_.statement_rows() > 0 && rows_ - rows_before >= plan_.statement_rows()) return std::string_view();
      if (empty_enums_ >= kEmptyEnumsAtOnce) return std::string_view();
      SLUICE_ASSIGN(const bool more, next());
      return more ? std::string_view(piece_->text) : std::string_view();
    });
    piece_.reset();
    if (!loaded.ok()) return loaded.error().prefixed(where());
    uint64_t duplicates = 0;
    if (loaded->warnings > 0) SLUICE_TRY(check_warnings(&duplicates));
    SLUICE_TRY(check_enums());
    const auto records = info_number(loaded->info, "Records");
    const auto skipped = info_number(loaded->info, "Skipped");
    // The last guard against an implied IGNORE: what the server counted must be what was read.
    if (records != rows_ - rows_before || skipped.value_or(0) != duplicates)
      return Error(ErrorCode::VALUE_REJECTED, where() + ": " + std::to_string(rows_ - rows_before) +
                                                  " rows were sent, the server says '" + loaded->info + "' with " +
                                                  std::to_string(duplicates) + " duplicates shown");
    return {};
  }

  Status insert() {
    while (true) {
      empty_enums_ = cut_enums_ = 0;
      SLUICE_ASSIGN(const bool more, next());
      if (!more) return {};
      SLUICE_TRY(lease_.check());
      if (empty_enums_ > 0) SLUICE_TRY(set_mode(mysql::kLenientMode));
      auto inserted = insert_piece();
      if (empty_enums_ > 0 && target_.alive()) SLUICE_TRY(set_mode(mysql::kDataMode));
      SLUICE_TRY(std::move(inserted));
      SLUICE_TRY(check_enums());
    }
  }

  Status insert_piece() {
    auto sent = target_.exec(plan_.insert_prefix() + piece_->text);
    if (!sent.ok() && sent.error().code() == ErrorCode::DUPLICATE_KEY && plan_.on_duplicate() == OnDuplicate::kKeep)
      return insert_row_by_row();
    if (!sent.ok()) return sent.error().prefixed(where());
    return sent->warnings > 0 ? check_warnings(nullptr) : Status{};
  }

  Status set_mode(std::string_view mode) {
    SLUICE_TRY(target_.exec("SET SESSION sql_mode='" + std::string(mode) + "'"));
    return {};
  }

  // Each empty value of an ENUM must have been warned of, and no other value of such a column.
  Status check_enums() {
    if (cut_enums_ == empty_enums_) return {};
    return Error(ErrorCode::VALUE_REJECTED, where() + ": " + std::to_string(empty_enums_) +
                                                " empty ENUM values were sent, the server warned of " +
                                                std::to_string(cut_enums_));
  }

  Status insert_row_by_row() {
    const std::string_view text = piece_->text;
    for (size_t i = 0; i < piece_->starts.size(); ++i) {
      const size_t start = piece_->starts[i];
      const size_t end = i + 1 < piece_->starts.size() ? piece_->starts[i + 1] - 1 : text.size();
      const auto sent = target_.exec(plan_.insert_prefix() + std::string(text.substr(start, end - start)));
      if (sent.ok()) {
        if (sent->warnings > 0) SLUICE_TRY(check_warnings(nullptr));
      } else if (sent.error().code() == ErrorCode::DUPLICATE_KEY) {
        add_conflict(sent.error().cause());
      } else {
        return sent.error().prefixed(where());
      }
    }
    return {};
  }

  // `duplicates` is null where a duplicate key is no warning but an error.
  Status check_warnings(uint64_t* duplicates) {
    SLUICE_ASSIGN(const auto warnings, target_.warnings());
    if (warnings.empty())
      return Error(ErrorCode::VALUE_REJECTED, where() + ": the server warned and does not show the warnings");
    if (warnings.size() >= kWarningsShown)
      return Error(ErrorCode::VALUE_REJECTED, where() + ": there are more warnings than the server shows");
    for (const auto& warning : warnings) {
      if (plan_.is_about_computed_value(warning)) continue;
      if (empty_enums_ > 0 && plan_.is_about_enum(warning)) {
        ++cut_enums_;
        continue;
      }
      if (duplicates && warning.code == kDuplicateKey && plan_.on_duplicate() == OnDuplicate::kKeep) {
        ++*duplicates;
        add_conflict(warning.message);
        continue;
      }
      return Error(ErrorCode::VALUE_REJECTED,
                   where() + ": " + warning.level + " " + std::to_string(warning.code) + ": " + warning.message);
    }
    return {};
  }

  void add_conflict(std::string text) {
    ++duplicates_;
    if (result_.conflicts.size() < kConflictsShown) result_.conflicts.push_back(text);
    if (conflicts_.size() < kConflictsOfTransaction)
      conflicts_.push_back({row_.table, {}, "COPY", ConflictPolicy::kSkip, {}, std::move(text)});
  }

  std::string where() const { return "chunk " + std::to_string(row_.number); }

  mysql::Connection& target_;
  const LoadPlan& plan_;
  ChunkRow row_;
  const Owner& owner_;
  const Lease& lease_;
  const LoadLimits& limits_;
  PieceQueue& queue_;
  std::optional<Piece> piece_;
  uint64_t rows_ = 0, bytes_ = 0, duplicates_ = 0;  // of the present transaction
  std::vector<ConflictRow> conflicts_;              // the first of its duplicates
  uint64_t empty_enums_ = 0, cut_enums_ = 0;        // of the present statement: sent, warned of
  bool ended_ = false;
  LoadResult result_;
};

}  // namespace

Result<bool> prepare_for_loading(mysql::Connection& target) {
  // max_error_count: all warnings must be visible, or a cut value could hide behind duplicates.
  SLUICE_TRY(target.exec("SET SESSION foreign_key_checks = 0, unique_checks = 1, max_error_count = " +
                         std::to_string(kWarningsShown)));
  SLUICE_TRY(switch_off_check_constraints(target));
  if (target.version().text.find("OceanBase") != std::string::npos) return false;  // no warnings after LOAD DATA
  auto allowed = target.query_value("SELECT @@GLOBAL.local_infile");
  if (!allowed.ok()) return target.alive() ? Result<bool>(false) : allowed.error();
  return *allowed == "1" || *allowed == "ON";
}

Result<LoadResult> load_chunk(mysql::Connection& source, mysql::Connection& target, const LoadPlan& plan,
                              const mysql::Chunk& chunk, ChunkRow row, const Owner& owner, const Lease& lease,
                              const LoadLimits& limits) {
  row.range = chunk.encode();
  PieceQueue queue(limits.queue_pieces);
  std::thread reading([&] {
    Reader reader(plan, limits, queue);
    queue.end(reader.run(source, chunk));
  });
  Writer writer(target, plan, std::move(row), owner, lease, limits, queue);
  auto result = writer.run();
  queue.cancel();  // after a success there is nothing left in it
  reading.join();
  return result;
}

}  // namespace sluice::database

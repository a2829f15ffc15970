// Fencing, take-over and checkpoints on a real server, with two real sessions that play owner and zombie.
#include "sinks/database/bookkeeping.hpp"

#include <gtest/gtest.h>

#include <future>

#include "engines/mysql/sql_text.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/mariadb.hpp"
#include "tests/support/ok.hpp"
#include "tests/support/server_pair.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/wait.hpp"

namespace sluice::database {
namespace {

using testing::MariaDbServer;
using testing::wait_until;

MariaDbServer& server() { return testing::target_server(); }

class Bookkeeping : public ::testing::Test {
 protected:
  void SetUp() override {
    owner_.project = "np_" + std::to_string(++counter_);
    owner_.component = owner_.project + ".incr_sync";
    owner_.epoch = 1;
    mysql::ConnectOptions options;
    auto connection = mysql::Connection::open(server().endpoint(), options);
    ASSERT_OK(connection);
    ASSERT_OK(create_bookkeeping(**connection, "sluice"));
    ASSERT_OK(create_bookkeeping(**connection, "sluice"));  // idempotent
    server().sql("CREATE DATABASE IF NOT EXISTS t; CREATE TABLE IF NOT EXISTS t.r (p VARCHAR(64), v INT)");
    ASSERT_OK(take_over(server().endpoint(), owner_));
  }

  static mysql::ConnectOptions options() {
    mysql::ConnectOptions options;
    options.multi_statements = true;
    return options;
  }
  Result<std::unique_ptr<mysql::Connection>> open(const Owner& owner) {
    return open_registered(server().endpoint(), options(), owner, *Lease::unlimited());
  }
  Owner newer(uint64_t by = 1) const {
    Owner owner = owner_;
    owner.epoch += by;
    return owner;
  }
  std::string insert(int value) const {
    return "INSERT INTO t.r VALUES (" + mysql::quoted(owner_.project) + ", " + std::to_string(value) + ")";
  }
  std::string rows() const {
    return server().query_value("SELECT COUNT(*) FROM t.r WHERE p = '" + owner_.project + "'");
  }
  std::string seq() const {
    return server().query_value("SELECT seq FROM sluice.checkpoint WHERE project = '" + owner_.project + "'");
  }
  static CheckpointRow checkpoint(uint64_t seq) {
    CheckpointRow row;
    row.applier = 0;
    row.seq = seq;
    row.low_watermark = {"binlog.000001", 100 + seq, "0-1-" + std::to_string(seq)};
    row.applied = {"0-1-9", "0-1-11"};
    return row;
  }

  Owner owner_;
  static inline int counter_ = 0;
};

TEST_F(Bookkeeping, OnlyTheFencesEpochRegisters) {
  auto first = open(owner_);
  ASSERT_OK(first);
  EXPECT_EQ(open(newer()).error().code(), ErrorCode::STALE_EPOCH);
  ASSERT_OK(take_over(server().endpoint(), newer()));
  EXPECT_EQ(open(owner_).error().code(), ErrorCode::STALE_EPOCH);
  ASSERT_OK(open(newer()));
  EXPECT_EQ(take_over(server().endpoint(), owner_).error().code(), ErrorCode::STALE_EPOCH);
}

TEST_F(Bookkeeping, ExpiredLeaseDoesNotConnect) {
  testing::ManualClock clock;
  Lease lease(clock);
  EXPECT_EQ(open_registered(server().endpoint(), options(), owner_, lease).error().code(), ErrorCode::LEASE_EXPIRED);
}

TEST_F(Bookkeeping, TakeOverEndsOlderSessionsAndOnlyThose) {
  auto zombie = open(owner_);
  ASSERT_OK(zombie);
  Owner other = owner_;
  other.component = owner_.project + ".full_import";
  ASSERT_OK(take_over(server().endpoint(), other));
  auto neighbour = open(other);
  ASSERT_OK(neighbour);
  ASSERT_OK(take_over(server().endpoint(), newer()));
  // DDL cannot be guarded by a row: the session must be dead before the new owner writes.
  EXPECT_EQ((*zombie)->exec("TRUNCATE TABLE t.r").error().code(), ErrorCode::CONNECTION_LOST);
  EXPECT_TRUE((*neighbour)->exec("DO 1").ok());
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM sluice.connection WHERE component = '" + owner_.component + "'"),
            "0");
  // The same epoch again ends nothing of its own.
  auto mine = open(newer());
  ASSERT_OK(mine);
  ASSERT_OK(take_over(server().endpoint(), newer()));
  EXPECT_TRUE((*mine)->exec("DO 1").ok());
}

TEST_F(Bookkeeping, AnIdThatWasUsedAgainIsLeftAlone) {
  auto stranger = mysql::Connection::open(server().endpoint(), options());
  ASSERT_OK(stranger);
  server().sql("INSERT INTO sluice.connection (project, component, epoch, id, user, client) VALUES ('" +
               owner_.project + "', '" + owner_.component + "', 1, " + std::to_string((*stranger)->id()) +
               ", 'sluice', '10.9.8.7:4711')");
  ASSERT_OK(take_over(server().endpoint(), newer()));
  EXPECT_TRUE((*stranger)->exec("DO 1").ok());
}

// After the server started again the new owner's own connection may have a registered id; through a socket the address
// does not tell them apart.
TEST_F(Bookkeeping, NobodyEndsTheOwnConnection) {
  Endpoint local = server().endpoint();
  local.socket = server().socket();
  auto last = mysql::Connection::open(local, options());
  ASSERT_OK(last);
  std::string rows;
  for (uint64_t id = (*last)->id() + 1; id < (*last)->id() + 10; ++id)
    rows += std::string(rows.empty() ? "" : ", ") + "('" + owner_.project + "', '" + owner_.component + "', 1, " +
            std::to_string(id) + ", 'sluice', 'localhost')";
  last->reset();
  server().sql("INSERT INTO sluice.connection (project, component, epoch, id, user, client) VALUES " + rows);
  ASSERT_OK(take_over(local, newer()));
  auto mine = open_registered(local, options(), newer(), *Lease::unlimited());
  ASSERT_OK(mine);
  ASSERT_OK(end_lost_connection(**mine, newer(), (*mine)->id()));
  EXPECT_TRUE((*mine)->exec("DO 1").ok());
  ASSERT_OK(take_over(local, newer(2)));  // it was still registered
  EXPECT_FALSE((*mine)->exec("DO 1").ok());
}

TEST_F(Bookkeeping, TakeOverKillsTheHolderOfTheFenceRow) {
  auto zombie = open(owner_);
  ASSERT_OK(zombie);
  ASSERT_OK((*zombie)->exec("START TRANSACTION"));
  ASSERT_OK((*zombie)->exec(insert(1)));
  ChunkRow chunk{{"a", "b"}, 1, 0, "x", 1, 1};
  auto inserted = (*zombie)->exec(chunk_sql(owner_, chunk));
  ASSERT_OK(inserted);
  EXPECT_EQ(inserted->matched_rows, 1U);
  ASSERT_OK(take_over(server().endpoint(), newer()));
  EXPECT_FALSE((*zombie)->exec("COMMIT").ok());
  EXPECT_EQ(rows(), "0");
  auto mine = open(newer());
  ASSERT_OK(mine);
  auto chunks = read_chunks(**mine, newer(), {"a", "b"}, 1);
  ASSERT_OK(chunks);
  EXPECT_TRUE(chunks->empty());
}

// Undoing a large transaction takes time: the take-over must not end before it is done.
TEST_F(Bookkeeping, TakeOverWaitsForTheRollbackOfALargeTransaction) {
  auto zombie = open(owner_);
  ASSERT_OK(zombie);
  ASSERT_OK((*zombie)->exec("START TRANSACTION"));
  ASSERT_OK(
      (*zombie)->exec("INSERT INTO t.r SELECT " + mysql::quoted(owner_.project) + ", seq FROM t.seq_1_to_300000"));
  ASSERT_OK(take_over(server().endpoint(), newer()));
  server().sql("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED");
  EXPECT_EQ(rows(), "0");
  server().sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
}

TEST_F(Bookkeeping, CheckpointsGoOnlyFromTheKnownSeq) {
  auto opened = open(owner_);
  ASSERT_OK(opened);
  auto& connection = **opened;
  ASSERT_OK(rewrite_checkpoints(connection, owner_, {checkpoint(1)}));
  ASSERT_OK(connection.exec_multi("START TRANSACTION;" + insert(1) + ";" + checkpoint_sql(owner_, checkpoint(2), 1) +
                                  ";COMMIT"));
  auto read = read_checkpoints(connection, owner_, true);
  ASSERT_OK(read);
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ((*read)[0].seq, 2U);
  EXPECT_EQ((*read)[0].low_watermark, checkpoint(2).low_watermark);
  EXPECT_EQ((*read)[0].applied, checkpoint(2).applied);

  // A wrong seq: the guard stops the packet before COMMIT.
  size_t done = 0;
  const auto again = connection.exec_multi(
      "START TRANSACTION;" + insert(2) + ";" + checkpoint_sql(owner_, checkpoint(2), 1) + ";COMMIT", &done);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(connection.last_errno(), kGuardFailed);
  EXPECT_EQ(done, 3U);
  ASSERT_OK(connection.exec("ROLLBACK"));
  EXPECT_EQ(rows(), "1");
  EXPECT_EQ(seq(), "2");
}

// The zombie sleeps before its checkpoint update and wakes after the take-over, on a session that nobody could end.
TEST_F(Bookkeeping, ZombieBeforeItsCheckpointWritesNothing) {
  auto zombie = open(owner_);
  ASSERT_OK(zombie);
  ASSERT_OK(rewrite_checkpoints(**zombie, owner_, {checkpoint(1)}));
  ASSERT_OK((*zombie)->exec("START TRANSACTION"));
  ASSERT_OK((*zombie)->exec(insert(1)));
  // As behind a proxy that hides ids: the row names another client, so that the session survives.
  server().sql("UPDATE sluice.connection SET client = 'hidden' WHERE project = '" + owner_.project + "'");
  ASSERT_OK(take_over(server().endpoint(), newer()));
  auto mine = open(newer());
  ASSERT_OK(mine);
  ASSERT_OK(rewrite_checkpoints(**mine, newer(), {checkpoint(1)}));
  const auto woken = (*zombie)->exec_multi(checkpoint_sql(owner_, checkpoint(2), 1) + ";COMMIT");
  ASSERT_FALSE(woken.ok());
  EXPECT_EQ((*zombie)->last_errno(), kGuardFailed);
  ASSERT_OK((*zombie)->exec("ROLLBACK"));
  EXPECT_EQ(rows(), "0");
  EXPECT_EQ(seq(), "1");
}

// The zombie sleeps after its checkpoint update: it holds the row's lock, and the take-over must end it.
TEST_F(Bookkeeping, ZombieAfterItsCheckpointIsRolledBack) {
  auto zombie = open(owner_);
  ASSERT_OK(zombie);
  ASSERT_OK(rewrite_checkpoints(**zombie, owner_, {checkpoint(1)}));
  ASSERT_OK((*zombie)->exec_multi("START TRANSACTION;" + insert(1) + ";" + checkpoint_sql(owner_, checkpoint(2), 1)));
  ASSERT_OK(take_over(server().endpoint(), newer()));
  auto mine = open(newer());
  ASSERT_OK(mine);
  auto read = read_checkpoints(**mine, newer(), true);
  ASSERT_OK(read);
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ((*read)[0].seq, 1U);
  ASSERT_OK(rewrite_checkpoints(**mine, newer(), *read));
  EXPECT_FALSE((*zombie)->exec("COMMIT").ok());
  EXPECT_EQ(rows(), "0");
}

// The answer of COMMIT is lost. The new session cannot know; the seq of the checkpoint row tells.
TEST_F(Bookkeeping, LostCommitAnswerIsDecidedBySeq) {
  testing::TcpProxy proxy(server().port());
  Endpoint through = server().endpoint();
  through.port = proxy.port();
  through.ssl_mode = SslMode::kDisabled;
  auto first = open_registered(through, options(), owner_, *Lease::unlimited());
  ASSERT_OK(first);
  const uint64_t id = (*first)->id();
  ASSERT_OK(rewrite_checkpoints(**first, owner_, {checkpoint(1)}));
  proxy.when(testing::Direction::kToServer, "COMMIT /*now*/", testing::OnPattern::kLoseAnswer);
  EXPECT_FALSE((*first)
                   ->exec_multi("START TRANSACTION;" + insert(1) + ";" + checkpoint_sql(owner_, checkpoint(2), 1) +
                                ";COMMIT /*now*/")
                   .ok());
  auto second = open(owner_);
  ASSERT_OK(second);
  ASSERT_OK(end_lost_connection(**second, owner_, id));
  auto read = read_checkpoints(**second, owner_, true);
  ASSERT_OK(read);
  EXPECT_EQ((*read)[0].seq, 2U);
  EXPECT_EQ(rows(), "1");
}

// The packet before COMMIT is lost and the first session stays open with its locks: it is ended, then the seq is equal.
TEST_F(Bookkeeping, LostSessionWithAnOpenTransactionIsEnded) {
  auto first = open(owner_);
  ASSERT_OK(first);
  ASSERT_OK(rewrite_checkpoints(**first, owner_, {checkpoint(1)}));
  ASSERT_OK((*first)->exec_multi("START TRANSACTION;" + insert(1) + ";" + checkpoint_sql(owner_, checkpoint(2), 1)));
  auto second = open(owner_);
  ASSERT_OK(second);
  ASSERT_OK(end_lost_connection(**second, owner_, (*first)->id()));
  auto read = read_checkpoints(**second, owner_, true);
  ASSERT_OK(read);
  EXPECT_EQ((*read)[0].seq, 1U);
  ASSERT_OK((*second)->exec_multi("START TRANSACTION;" + insert(1) + ";" + checkpoint_sql(owner_, checkpoint(2), 1) +
                                  ";COMMIT"));
  EXPECT_FALSE((*first)->exec("COMMIT").ok());
  EXPECT_EQ(rows(), "1");
}

// A COMMIT that is still running on the first session: FOR UPDATE waits for it.
TEST_F(Bookkeeping, ReadingForUpdateWaitsForATransactionInFlight) {
  auto first = open(owner_);
  auto second = open(owner_);
  ASSERT_OK(first);
  ASSERT_OK(second);
  ASSERT_OK(rewrite_checkpoints(**first, owner_, {checkpoint(1)}));
  ASSERT_OK((*first)->exec_multi("START TRANSACTION;" + insert(1) + ";" + checkpoint_sql(owner_, checkpoint(2), 1)));
  auto reading = std::async(std::launch::async, [&] { return read_checkpoints(**second, owner_, true); });
  // The server renews this view only when nobody has read it for 100 ms.
  ASSERT_TRUE(wait_until(
      [] { return server().query_value("SELECT COUNT(*) FROM information_schema.INNODB_LOCK_WAITS") != "0"; },
      std::chrono::seconds(20), std::chrono::milliseconds(250)));
  ASSERT_OK((*first)->exec("COMMIT"));
  auto read = reading.get();
  ASSERT_OK(read);
  EXPECT_EQ((*read)[0].seq, 2U);
}

TEST_F(Bookkeeping, RewriteUnderAnOldEpochIsRefused) {
  auto first = open(owner_);
  ASSERT_OK(first);
  ASSERT_OK(rewrite_checkpoints(**first, owner_, {checkpoint(1)}));
  server().sql("UPDATE sluice.fence SET epoch = 9 WHERE project = '" + owner_.project + "'");
  EXPECT_EQ(rewrite_checkpoints(**first, owner_, {checkpoint(5)}).error().code(), ErrorCode::STALE_EPOCH);
  EXPECT_EQ(seq(), "1");
  TableRow table;
  table.source = table.target = {"a", "b"};
  EXPECT_EQ(write_table(**first, owner_, table).error().code(), ErrorCode::STALE_EPOCH);
  auto chunk = (*first)->exec(chunk_sql(owner_, {{"a", "b"}, 1, 0, "", 0, 0}));
  ASSERT_OK(chunk);
  EXPECT_EQ(chunk->matched_rows, 0U);
}

TEST_F(Bookkeeping, RowsOfTablesChunksRechecksAndJournal) {
  auto opened = open(owner_);
  ASSERT_OK(opened);
  auto& connection = **opened;
  TableRow table;
  table.source = {"Datenb\xc3\xa4nk", "it's"};
  table.target = {"z", "y"};
  table.state = TableState::kCopying;
  table.round = 2;
  table.window_start = {"b.000001", 7, "0-1-2"};
  table.definition = std::string("\0\x01'\\\xff", 5);
  ASSERT_OK(write_table(connection, owner_, table));
  ASSERT_OK(write_table(connection, owner_, table));
  table.state = TableState::kCopied;
  table.window_end = {"b.000002", 8, "0-1-3"};
  table.rows = 5;
  table.seconds = 1.5;
  ASSERT_OK(write_table(connection, owner_, table));
  auto tables = read_tables(connection, owner_);
  ASSERT_OK(tables);
  ASSERT_EQ(tables->size(), 1U);
  const TableRow& back = (*tables)[0];
  EXPECT_EQ(back.source, table.source);
  EXPECT_EQ(back.state, TableState::kCopied);
  EXPECT_EQ(back.window_start, table.window_start);
  EXPECT_EQ(back.window_end, table.window_end);
  EXPECT_EQ(back.definition, table.definition);
  EXPECT_EQ(back.seconds, 1.5);

  const std::vector<RecheckRow> again{{0, table.source, {"1", "'a:b'"}}, {0, table.source, {"2", "''"}}};
  ASSERT_OK(write_rechecks(connection, owner_, again, *Lease::unlimited()));
  auto rechecks = read_rechecks(connection, owner_, 10);
  ASSERT_OK(rechecks);
  ASSERT_EQ(rechecks->size(), 2U);
  EXPECT_EQ((*rechecks)[0].key, (std::vector<std::string>{"1", "'a:b'"}));

  DdlRow ddl{"b.000001:99", "ALTER TABLE `a` ADD b INT", "{}", DdlState::kExecuting, ""};
  ASSERT_OK(write_ddl(connection, owner_, ddl));
  EXPECT_EQ(read_ddl(connection, owner_, true)->size(), 1U);
  ddl.state = DdlState::kDone;
  ASSERT_OK(write_ddl(connection, owner_, ddl));
  EXPECT_EQ(read_ddl(connection, owner_, true)->size(), 0U);
  EXPECT_EQ(read_ddl(connection, owner_, false)->at(0).state, DdlState::kDone);
}

// A row in every table of a meta database, whatever its columns.
void fill(const std::string& database, const std::string& project) {
  std::string statements = "SET SESSION sql_mode = ''; ";
  for (const auto& row :
       server().query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '" + database + "'"))
    statements +=
        "INSERT IGNORE INTO " + database + "." + row[0].value_or("") + " (project) VALUES ('" + project + "'); ";
  server().sql(statements);
}

uint64_t rows_of(const std::string& database, const std::string& project) {
  uint64_t count = 0;
  for (const auto& row :
       server().query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '" + database + "'"))
    count += std::stoull(server().query_value("SELECT COUNT(*) FROM " + database + "." + row[0].value_or("") +
                                              " WHERE project = '" + project + "'"));
  return count;
}

bool exists(const std::string& database) { return !server().query("SHOW DATABASES LIKE '" + database + "'").empty(); }

TEST_F(Bookkeeping, AReleasedProjectLeavesNothing) {
  const std::string meta = "released";
  Owner late = owner_, releaser = owner_, neighbour = owner_;
  for (Owner* owner : {&late, &releaser, &neighbour}) owner->meta_database = meta;
  releaser.component = owner_.project + ".struct.release";
  neighbour.project = owner_.project + "_other";
  auto plain = mysql::Connection::open(server().endpoint(), options());
  ASSERT_OK(plain);
  ASSERT_OK(create_bookkeeping(**plain, meta));
  for (const Owner& owner : {late, neighbour}) ASSERT_OK(take_over(server().endpoint(), owner));
  auto zombie = open(late);
  ASSERT_OK(zombie);
  fill(meta, owner_.project);
  fill(meta, neighbour.project);
  EXPECT_GE(rows_of(meta, owner_.project), 7U);
  const uint64_t others = rows_of(meta, neighbour.project);

  ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
  EXPECT_EQ(rows_of(meta, owner_.project), 0U);
  EXPECT_EQ(rows_of(meta, neighbour.project), others);
  // A component that was late wrote nothing after that, and cannot come back.
  EXPECT_EQ((*zombie)->exec("DO 1").error().code(), ErrorCode::CONNECTION_LOST);
  EXPECT_EQ(open(late).error().code(), ErrorCode::STALE_EPOCH);

  // The last project takes the database with it, but not what somebody else keeps there.
  server().sql("CREATE VIEW released.mine AS SELECT 1");
  releaser.project = neighbour.project;
  ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
  EXPECT_TRUE(exists(meta));
  server().sql("DROP VIEW released.mine");
  ++releaser.epoch;
  ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
  EXPECT_FALSE(exists(meta));
  ++releaser.epoch;
  ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
  EXPECT_FALSE(exists(meta));
}

// Lets a lease run out at the n-th look at it: the release ends there as if it had been killed.
class CountingClock final : public Clock {
 public:
  explicit CountingClock(int looks) : left_(looks) {}
  BootTime boot_time() const override { return BootTime(left_-- > 0 ? 1 : 1000); }
  int64_t unix_time_us() const override { return 0; }

 private:
  mutable std::atomic<int> left_;
};

TEST_F(Bookkeeping, AReleaseThatDiesIsFinishedByTheNext) {
  Owner late = owner_, releaser = owner_;
  late.meta_database = releaser.meta_database = "dying";
  releaser.component = owner_.project + ".struct.release";
  int died = 0;
  for (int looks = 0;; ++looks) {
    auto plain = mysql::Connection::open(server().endpoint(), options());
    ASSERT_OK(plain);
    ASSERT_OK(create_bookkeeping(**plain, "dying"));
    ++late.epoch;
    ASSERT_OK(take_over(server().endpoint(), late));
    fill("dying", owner_.project);
    CountingClock clock(looks);
    Lease lease(clock);
    lease.extend(BootTime(500));
    ++releaser.epoch;
    const Status ended = release_project(server().endpoint(), releaser, lease);
    if (ended.ok()) break;
    ASSERT_EQ(ended.error().code(), ErrorCode::LEASE_EXPIRED);
    ++died;
    ++releaser.epoch;
    ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
    ASSERT_FALSE(exists("dying")) << looks;
  }
  EXPECT_GT(died, 10);
  // A DROP DATABASE that was interrupted has left some of the tables.
  auto plain = mysql::Connection::open(server().endpoint(), options());
  ASSERT_OK(create_bookkeeping(**plain, "dying"));
  server().sql("DROP TABLE dying.checkpoint, dying.connection");
  ++releaser.epoch;
  ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
  EXPECT_FALSE(exists("dying"));
}

TEST_F(Bookkeeping, ConflictsAreKeptToALimitAndCountedExactly) {
  auto opened = open(owner_);
  ASSERT_OK(opened);
  auto& connection = **opened;
  const ConflictRow row{{"a", "t'1"}, "`id`=5", "INSERT", ConflictPolicy::kSkip, "0-1-7", "Duplicate entry '5'"};
  ASSERT_OK(connection.exec("START TRANSACTION"));
  ASSERT_OK(record_conflicts(connection, owner_, 0, {row}, 1, 1));
  ASSERT_OK(connection.exec("ROLLBACK"));
  EXPECT_EQ(read_conflict_totals(connection, owner_)->total, 0U) << "they are part of the rows' transaction";

  ASSERT_OK(record_conflicts(connection, owner_, 0, {row}, 1, 1));
  std::vector<ConflictRow> many(kConflictsKept - 2, row);
  for (ConflictRow& one : many) one.policy = ConflictPolicy::kOverwrite;
  Owner import = owner_;
  import.component = owner_.project + ".full_import";
  ASSERT_OK(record_conflicts(connection, import, 3, many, many.size(), 0));
  ASSERT_OK(record_conflicts(connection, owner_, 0, {row, row, row}, 3, 2));
  const auto totals = read_conflict_totals(connection, owner_);
  ASSERT_OK(totals);
  EXPECT_EQ(totals->total, kConflictsKept + 2);
  EXPECT_EQ(totals->skipped, 3U);
  EXPECT_EQ(totals->kept, kConflictsKept);
  const auto rows = read_conflicts(connection, owner_, 2);
  ASSERT_OK(rows);
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].table, row.table);
  EXPECT_EQ((*rows)[0].key, row.key);
  EXPECT_EQ((*rows)[0].kind, row.kind);
  EXPECT_EQ((*rows)[0].position, row.position);
  EXPECT_EQ((*rows)[0].cause, row.cause);
  EXPECT_EQ((*rows)[0].policy, ConflictPolicy::kSkip);
  EXPECT_EQ((*rows)[1].policy, ConflictPolicy::kOverwrite);

  // Another writer of the project does not wait for one that has not committed yet.
  auto second = open(owner_);
  ASSERT_OK(second);
  ASSERT_OK((*second)->exec("SET SESSION innodb_lock_wait_timeout=1"));
  ASSERT_OK(connection.exec("START TRANSACTION"));
  ASSERT_OK(record_conflicts(connection, owner_, 0, {row}, 1, 1));
  ASSERT_OK(record_conflicts(**second, owner_, 1, {row}, 1, 1));
  ASSERT_OK(connection.exec("COMMIT"));
  EXPECT_EQ(read_conflict_totals(connection, owner_)->total, kConflictsKept + 4);

  const Owner releaser{owner_.project, owner_.project + ".release", 1, "sluice"};
  ASSERT_OK(release_project(server().endpoint(), releaser, *Lease::unlimited()));
  EXPECT_EQ(rows_of("sluice", owner_.project), 0U);
}

}  // namespace
}  // namespace sluice::database

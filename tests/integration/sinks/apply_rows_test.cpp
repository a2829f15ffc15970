// Rows applied to a real server: order inside and between transactions, merging, conflicts, tables without a key.
#include <cstdlib>
#include <map>
#include <random>

#include "tests/integration/sinks/apply_fixture.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace sluice::database {
namespace {

testing::MariaDbServer& server() {
  static testing::MariaDbServer instance({.server_id = 7, .binlog = false, .args = {}});
  return instance;
}

struct ApplyRows : ::testing::Test {
  void SetUp() override {
    server().sql(
        "DROP DATABASE IF EXISTS d; DROP DATABASE IF EXISTS sluice; CREATE DATABASE d CHARACTER SET utf8mb4;"
        "CREATE TABLE d.t (id BIGINT PRIMARY KEY, u BIGINT NULL, v VARCHAR(100), UNIQUE KEY u1 (u));"
        "CREATE TABLE d.s (name VARCHAR(100) NOT NULL PRIMARY KEY, v BIGINT);"
        "CREATE TABLE d.k (a BIGINT NULL, b VARCHAR(100) NULL);");
    t = plan_of(schema_of("t", {int_column("id"), int_column("u", true), text_column("v")}, {{0}, {1}}));
    s = plan_of(schema_of("s", {text_column("name"), int_column("v", true)}, {{0}}));
    k = plan_of(schema_of("k", {int_column("a", true), text_column("b")}, {}));
  }
  TransactionMaker next() { return TransactionMaker(++number); }
  void open(Target& target, uint32_t appliers = 2) {
    auto opened = target.open(appliers);
    ASSERT_TRUE(opened.ok()) << opened.error().to_string();
  }
  void expect_ok(const Status& status) { ASSERT_TRUE(status.ok()) << status.error().to_string(); }

  TablePlanPtr t, s, k;
  uint64_t number = 0;
};

TEST_F(ApplyRows, ValuesMoveBetweenRowsInOneTransaction) {
  Target target(server());
  open(target);
  std::vector<TransactionPtr> all;
  all.push_back(next().insert(t, {1, 10, "a"}).insert(t, {2, 20, "b"}).insert(t, {3, {}, "c"}).done());
  // A unique value is swapped by way of a third one.
  all.push_back(next()
                    .update(t, {1, 10, "a"}, {1, 99, "a"})
                    .update(t, {2, 20, "b"}, {2, 10, "b"})
                    .update(t, {1, 99, "a"}, {1, 20, "a"})
                    .done());
  // A chain of keys a -> b -> c, and the freed key is used again.
  all.push_back(next()
                    .update(t, {3, {}, "c"}, {4, {}, "c"})
                    .update(t, {2, 10, "b"}, {3, 10, "b"})
                    .update(t, {1, 20, "a"}, {2, 20, "a"})
                    .insert(t, {1, 5, "new"})
                    .done());
  all.push_back(next().remove(t, {1, 5, "new"}).insert(t, {1, 6, "again"}).done());
  expect_ok(target.apply_all(all));
  EXPECT_EQ(target.rows("SELECT id, u, v FROM d.t ORDER BY id"), "1,6,again;2,20,a;3,10,b;4,NULL,c;");
  EXPECT_EQ(target.watermark.low().offset, 400U);
}

TEST_F(ApplyRows, AHotRowIsWrittenOncePerGroup) {
  Target target(server());
  open(target, 1);
  std::vector<TransactionPtr> all;
  all.push_back(next().insert(t, {1, 10, "0"}).insert(t, {2, 11, "x"}).done());
  for (int i = 1; i <= 100; ++i)
    all.push_back(next().update(t, {1, 10, std::to_string(i - 1)}, {1, 10, std::to_string(i)}).done());
  auto merged = merge(TransactionGroup(all.begin(), all.end()), false);
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->size(), 1U);
  expect_ok(target.apply_all(all));
  EXPECT_EQ(target.rows("SELECT id, u, v FROM d.t ORDER BY id"), "1,10,100;2,11,x;");
}

TEST_F(ApplyRows, BulkUpdateAndDelete) {
  Target target(server());
  open(target, 1);
  auto inserts = next(), updates = next(), deletes = next();
  for (int i = 0; i < 100; ++i) {
    inserts.insert(t, {i, 1000 + i, "a'\\" + std::to_string(i)});
    updates.update(t, {i, 1000 + i, "a'\\" + std::to_string(i)},
                   {i, 1000 + i, i % 3 == 0 ? Datum() : Datum("b\xc3\xa4" + std::to_string(i))});
    if (i % 2 == 0) deletes.remove(t, {i, 1000 + i, "b"});
  }
  expect_ok(target.apply_all({inserts.done(), updates.done(), deletes.done()}));
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM d.t WHERE id % 2 = 1 AND "
                                 "v <=> IF(id % 3 = 0, NULL, CONCAT('b', _utf8mb4 X'C3A4', id))"),
            "50");
  EXPECT_EQ(server().query_value("SELECT COUNT(*) FROM d.t"), "50");
}

TEST_F(ApplyRows, CaseInsensitiveKeys) {
  Target target(server());
  open(target);
  expect_ok(target.apply_all({next().insert(s, {"Abc", 1}).insert(s, {"\xc3\xa9t\xc3\xa9", 2}).done(),
                              next().update(s, {"Abc", 1}, {"aBC ", 3}).done(),
                              next().remove(s, {"\xc3\xa9t\xc3\xa9", 2}).insert(s, {"ETE", 5}).done(),
                              next().remove(s, {"aBC ", 3}).insert(s, {"ABC", 4}).done()}));
  EXPECT_EQ(target.rows("SELECT name, v FROM d.s ORDER BY v"), "ABC,4;ETE,5;");
}

TEST_F(ApplyRows, TablesWithoutAKeyKeepTheirDuplicates) {
  Target target(server());
  open(target);
  expect_ok(target.apply_all({next()
                                  .insert(k, {1, "x"})
                                  .insert(k, {1, "x"})
                                  .insert(k, {1, "X"})
                                  .insert(k, {{}, {}})
                                  .insert(k, {{}, {}})
                                  .done(),
                              next().remove(k, {1, "x"}).done(), next().update(k, {{}, {}}, {2, "y"}).done(),
                              next().remove(k, {1, "X"}).done()}));
  EXPECT_EQ(target.rows("SELECT a, b FROM d.k ORDER BY a, b"), "NULL,NULL;1,x;2,y;");
}

TEST_F(ApplyRows, OnUpdateTimestampsKeepTheSourcesValue) {
  server().sql(
      "CREATE TABLE d.o (id BIGINT PRIMARY KEY, v BIGINT, "
      "ts DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)");
  Column ts;
  ts.name = "ts";
  ts.type = ColumnType::kDatetime;
  ts.on_update_now = true;
  auto o = plan_of(schema_of("o", {int_column("id"), int_column("v"), ts}, {{0}}));
  Target target(server());
  open(target);
  const char* when = "2001-02-03 04:05:06";
  expect_ok(
      target.apply_all({next().insert(o, {1, 1, when}).insert(o, {2, 1, when}).done(),
                        next().update(o, {1, 1, when}, {1, 2, when}).update(o, {2, 1, when}, {2, 2, when}).done()}));
  expect_ok(target.apply_all({next().update(o, {1, 2, when}, {1, 3, when}).done()}));
  EXPECT_EQ(target.rows("SELECT id, v, ts FROM d.o ORDER BY id"), "1,3,2001-02-03 04:05:06;2,2,2001-02-03 04:05:06;");
}

TEST_F(ApplyRows, ConflictsStopAndNameTheRow) {
  Target target(server());
  open(target);
  server().sql("INSERT INTO d.t VALUES (1, 10, 'foreign')");
  auto status = target.apply_all({next().insert(t, {5, 50, "good"}).done(), next().insert(t, {1, 11, "a"}).done()});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::ROW_CONFLICT);
  EXPECT_EQ(status.error().object(), "d.t (id=1)");
  EXPECT_EQ(status.error().position(), "0-1-2");
  EXPECT_EQ(target.rows("SELECT id, u, v FROM d.t ORDER BY id"), "1,10,foreign;");

  Target other(server());
  number = 0;
  open(other);
  status = other.apply_all(
      {next().update(t, {1, 10, "foreign"}, {1, 10, "b"}).update(t, {2, 20, "x"}, {2, 20, "y"}).done()});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().object(), "d.t (id=2)");
}

TEST_F(ApplyRows, APolicyForOneGroupIsForThatGroupOnly) {
  server().sql("INSERT INTO d.t VALUES (1, 10, 'foreign'), (2, 20, 'foreign')");
  Target target(server());
  open(target);
  Group group = target.group_of({next().insert(t, {1, 10, "a"}).done()}, 0);
  group.on_conflict = ConflictPolicy::kOverwrite;
  auto done = target.appliers[0]->apply(group);
  ASSERT_TRUE(done.ok()) << done.error().to_string();
  auto stopped = target.apply({next().insert(t, {2, 20, "b"}).done()});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code(), ErrorCode::ROW_CONFLICT);
  EXPECT_EQ(target.rows("SELECT v FROM d.t ORDER BY id"), "a;foreign;");
  // What was rolled back was not recorded either.
  EXPECT_EQ(target.rows("SELECT total FROM sluice.conflict_count"), "1;");
}

TEST_F(ApplyRows, ConflictsAreOverwrittenOrSkipped) {
  for (const auto policy : {ConflictPolicy::kOverwrite, ConflictPolicy::kSkip}) {
    server().sql(
        "DROP DATABASE IF EXISTS sluice; DELETE FROM d.t; INSERT INTO d.t VALUES (1, 10, 'foreign'), (9, 90, 'in the "
        "way')");
    Target target(server());
    target.options.on_conflict = policy;
    number = 0;
    open(target);
    expect_ok(target.apply_all({next()
                                    .insert(t, {1, 11, "a"})
                                    .insert(t, {2, 90, "b"})
                                    .update(t, {3, 30, "x"}, {3, 30, "y"})
                                    .remove(t, {4, 40, "z"})
                                    .insert(t, {5, 50, "good"})
                                    .done()}));
    EXPECT_EQ(target.conflicts.size(), 4U);
    // What was resolved is kept beside the rows: the row that is to be deleted and is not there does not differ.
    EXPECT_EQ(target.rows("SELECT total, skipped FROM sluice.conflict_count"),
              policy == ConflictPolicy::kSkip ? "4,3;" : "4,0;");
    EXPECT_EQ(target.rows("SELECT source_database, source_table, row_key, kind FROM sluice.conflict ORDER BY id"),
              "d,t,`id`=1,INSERT;d,t,`id`=2,INSERT;d,t,`id`=3,UPDATE;d,t,`id`=4,DELETE;");
    EXPECT_EQ(target.rows("SELECT DISTINCT policy, position FROM sluice.conflict"),
              policy == ConflictPolicy::kSkip ? "SKIP,0-1-1;" : "OVERWRITE,0-1-1;");
    EXPECT_EQ(target.rows("SELECT id, u, v FROM d.t ORDER BY id"), policy == ConflictPolicy::kSkip
                                                                       ? "1,10,foreign;5,50,good;9,90,in the way;"
                                                                       : "1,11,a;2,90,b;3,30,y;5,50,good;");
  }
}

TEST_F(ApplyRows, InsideTheWindowTheEndStateCounts) {
  Target target(server());
  open(target);
  server().sql("INSERT INTO d.t VALUES (1, 30, 'copied late'), (2, 20, 'old'), (7, 70, 'key moves later')");
  std::vector<TransactionPtr> all;
  auto a = next();
  a.mode.make_it_so = true;
  // Row 1 had 10, row 2 takes 30 for a while, then row 1 gets it; row 4 was copied before it was deleted.
  a.insert(t, {1, 10, "first"}).update(t, {2, 20, "old"}, {2, 30, "b"}).remove(t, {4, 40, "gone"});
  auto b = next();
  b.mode.make_it_so = true;
  b.update(t, {2, 30, "b"}, {2, 31, "b"}).update(t, {1, 10, "first"}, {1, 30, "copied late"});
  b.update(t, {6, 60, "x"}, {7, 70, "key moves later"});
  expect_ok(target.apply_all({a.done(), b.done()}));
  EXPECT_EQ(target.rows("SELECT id, u, v FROM d.t ORDER BY id"), "1,30,copied late;2,31,b;7,70,key moves later;");
  expect_ok(target.apply_all({}));
}

// Random transactions against a model in memory, with crashes and changing numbers of appliers in between.
TEST_F(ApplyRows, RandomTransactionsWithRestarts) {
  const char* given = std::getenv("SLUICE_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  auto pick = [&](int64_t below) { return static_cast<int64_t>(random() % static_cast<uint64_t>(below)); };
  std::map<int64_t, Row> model;
  std::map<int64_t, int64_t> owner_of;  // unique value -> id
  std::vector<TransactionPtr> all;
  for (int i = 0; i < 600; ++i) {
    auto transaction = next();
    for (int64_t n = 1 + pick(5); n > 0; --n) {
      const int64_t id = pick(40), u = pick(60);
      const Datum unique = pick(4) == 0 || owner_of.contains(u) ? Datum() : Datum(u);
      const Row row{id, unique, "v" + std::to_string(i)};
      auto found = model.find(id);
      if (found == model.end()) {
        transaction.insert(t, row);
      } else if (pick(4) == 0) {
        transaction.remove(t, found->second);
        if (found->second[1].number) owner_of.erase(*found->second[1].number);
        model.erase(found);
        continue;
      } else if (pick(3) == 0) {
        Row plain = found->second;
        plain[2] = row[2];
        transaction.update(t, found->second, plain);
        found->second = plain;
        continue;
      } else {
        // The key moves too if the new one is free.
        const int64_t moved = pick(40);
        Row target_row = row;
        if (!model.contains(moved)) target_row[0] = moved;
        transaction.update(t, found->second, target_row);
        if (found->second[1].number) owner_of.erase(*found->second[1].number);
        model.erase(found);
        if (target_row[1].number) owner_of[*target_row[1].number] = *target_row[0].number;
        model[*target_row[0].number] = target_row;
        continue;
      }
      if (row[1].number) owner_of[*row[1].number] = id;
      model[id] = row;
    }
    all.push_back(transaction.done());
  }
  size_t upto = 0;
  while (upto < all.size()) {
    Target target(server());  // as a new process would: everything is read from the rows
    open(target, static_cast<uint32_t>(1 + pick(4)));
    // Some groups, out of order as far as the scheduler allows, then a crash.
    upto = std::min(all.size(), upto + 50 + static_cast<size_t>(pick(150)));
    std::vector<TransactionPtr> part(all.begin(), all.begin() + static_cast<long>(upto));
    const bool last = upto == all.size();
    size_t added = 0;
    std::vector<std::pair<TransactionGroup, uint32_t>> open_groups;
    for (const auto& transaction : part) {
      if (compare_in_log(transaction->end, target.recovered.start) <= 0) continue;
      if (target.watermark.is_known(transaction->id)) {
        target.watermark.add_known(transaction->id, transaction->end, 1);
        continue;
      }
      target.numbers[transaction.get()] = target.watermark.add(transaction->id, transaction->end, 1);
      target.scheduler.add(transaction);
      ++added;
    }
    uint32_t applier = 0;
    while (!target.scheduler.empty()) {
      // Take up to one group per applier before any is applied, and apply them in a random order.
      std::vector<TransactionGroup> groups;
      while (groups.size() < target.appliers.size()) {
        auto group = target.scheduler.next_group(2);
        if (group.empty()) break;
        groups.push_back(std::move(group));
      }
      ASSERT_FALSE(groups.empty());
      std::shuffle(groups.begin(), groups.end(), random);
      bool crash = false;
      for (auto& group : groups) {
        crash = !last && pick(6) == 0;
        if (crash) break;
        const uint32_t by = applier++ % static_cast<uint32_t>(target.appliers.size());
        auto done = target.apply(group, by);
        ASSERT_TRUE(done.ok()) << done.error().to_string();
        for (const auto& x : group) target.watermark.applied(target.numbers[x.get()], by);
        target.scheduler.committed(group);
      }
      if (crash) break;
    }
  }
  std::string expected;
  for (const auto& [id, row] : model) {
    expected +=
        std::to_string(id) + "," + (row[1].number ? std::to_string(*row[1].number) : "NULL") + "," + *row[2].text + ";";
  }
  Target target(server());
  EXPECT_EQ(target.rows("SELECT id, u, v FROM d.t ORDER BY id"), expected);
}

TEST_F(ApplyRows, ALostAnswerToCommitIsDecidedByTheRows) {
  for (const bool reaches_server : {true, false}) {
    server().sql("DROP DATABASE IF EXISTS sluice; DELETE FROM d.t; DELETE FROM d.k");
    testing::TcpProxy proxy(server().port());
    number = 0;
    Target target(server());
    target.options.target.port = proxy.port();
    target.options.target.host = "127.0.0.1";
    target.options.target.socket.clear();
    target.options.target.ssl_mode = SslMode::kDisabled;
    open(target);
    std::vector<TransactionPtr> all{next().insert(k, {1, "once"}).done(), next().insert(k, {2, "once"}).done()};
    expect_ok(target.apply_all({all[0]}));
    proxy.when(testing::Direction::kToServer, "COMMIT",
               reaches_server ? testing::OnPattern::kLoseAnswer : testing::OnPattern::kCutBefore);
    auto status = target.apply_all({all[1]});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::CONNECTION_LOST);
    EXPECT_TRUE(proxy.fired());
    Target again(server());
    open(again, 3);
    EXPECT_EQ(again.watermark.is_known("0-1-2"), reaches_server);
    expect_ok(again.apply_all(all));
    EXPECT_EQ(again.rows("SELECT a, b FROM d.k ORDER BY a"), "1,once;2,once;");
  }
}

TEST_F(ApplyRows, AnOlderEpochIsRefusedByTheRows) {
  Target target(server());
  open(target);
  expect_ok(target.apply_all({next().insert(t, {1, 1, "a"}).done()}));
  server().sql("UPDATE sluice.checkpoint SET epoch = 2");
  auto status = target.apply_all({next().insert(t, {2, 2, "b"}).done()});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::STALE_EPOCH);
  server().sql("UPDATE sluice.checkpoint SET epoch = 1, seq = seq - 1");
  number = 1;
  Target other(server());
  open(other);
  server().sql("UPDATE sluice.checkpoint SET seq = seq - 1");
  status = other.apply_all({next().insert(t, {2, 2, "b"}).done()});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::TARGET_LOST_COMMITS);
  EXPECT_EQ(target.rows("SELECT id FROM d.t"), "1;");
}

}  // namespace
}  // namespace sluice::database

// The scheduler and the watermark against a plain oracle, with random transactions and random completion.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "sinks/database/apply/scheduler.hpp"
#include "sinks/database/apply/table_plan.hpp"
#include "sinks/database/apply/watermark.hpp"

namespace sluice::database {
namespace {

struct Sim {
  explicit Sim(uint64_t seed) : random(seed) {}
  uint64_t pick(uint64_t below) { return random() % below; }
  std::mt19937_64 random;
};

bool conflict(const std::vector<Claim>& a, const std::vector<Claim>& b) {
  for (Claim x : a) {
    for (Claim y : b) {
      if (claim_slot(x) == claim_slot(y) && (!claim_is_shared(x) || !claim_is_shared(y))) return true;
    }
  }
  return false;
}

struct Flight {
  uint32_t applier;
  TransactionGroup group;
};

// One run: returns what was wrong, empty when nothing was.
std::string run(uint64_t seed) {
  Sim sim(seed);
  const size_t total = 1 + sim.pick(60), keys = 1 + sim.pick(20), appliers = 1 + sim.pick(5), span = 4 + sim.pick(40);
  GroupLimits limits{1 + sim.pick(8), 1 + sim.pick(12), 1 + sim.pick(800)};
  Scheduler scheduler(limits);
  Watermark watermark(Position{"b.000001", 4, ""});
  std::vector<TransactionPtr> all;
  for (size_t i = 0; i < total; ++i) {
    auto t = std::make_shared<Transaction>();
    t->id = "0-1-" + std::to_string(i);
    t->end = {"b.000001", 100 + i, ""};
    t->bytes = sim.pick(300);
    t->alone = sim.pick(10) == 0;
    t->rows.resize(1 + sim.pick(4));
    for (size_t c = 1 + sim.pick(4); c > 0; --c) {
      const Claim slot = 2 * (1 + sim.pick(keys));
      t->claims.push_back(sim.pick(3) == 0 ? shared_claim(slot) : exclusive_claim(slot));
    }
    t->number = i + 1;  // as the watermark gives them
    all.push_back(t);
  }
  std::vector<int> state(total, 0);  // 0 not sent, 1 in flight, 2 committed
  std::vector<Flight> flights;
  std::vector<bool> busy(appliers, false);
  std::vector<std::vector<std::string>> rows(appliers);  // last committed applied sets
  std::vector<Position> low_of_row(appliers, watermark.low());
  size_t added = 0, committed = 0;
  while (committed < total) {
    const size_t what = sim.pick(3);
    if (what == 0 && added < total && watermark.span() < span) {
      if (watermark.add(all[added]->id, all[added]->end, 1) != all[added]->number) return "number";
      scheduler.add(all[added]);
      ++added;
      continue;
    }
    const auto idle = static_cast<size_t>(std::count(busy.begin(), busy.end(), false));
    if (what == 1 && idle > 0) {
      const auto applier = static_cast<uint32_t>(std::find(busy.begin(), busy.end(), false) - busy.begin());
      TransactionGroup group = scheduler.next_group(idle);
      if (group.empty()) {
        if (flights.empty() && scheduler.undispatched() > 0) return "nothing can go on";
        continue;
      }
      uint64_t before = 0;
      for (const auto& t : group) {
        if (t->number <= before) return "group is not in log order";
        before = t->number;
        if (t->alone && group.size() > 1) return "not alone";
        if (state[t->number - 1] != 0) return "sent twice";
        for (size_t j = 0; j + 1 < t->number; ++j) {
          const bool in_group = std::find(group.begin(), group.end(), all[j]) != group.end();
          if (conflict(all[j]->claims, t->claims) && state[j] != 2 && !in_group) return "a predecessor is open";
        }
      }
      for (const auto& t : group) state[t->number - 1] = 1;
      flights.push_back({applier, std::move(group)});
      busy[applier] = true;
      continue;
    }
    if (what == 2 && !flights.empty()) {
      const size_t i = sim.pick(flights.size());
      Flight flight = std::move(flights[i]);
      flights.erase(flights.begin() + static_cast<long>(i));
      // What the row would hold after this commit.
      rows[flight.applier] = watermark.applied_by(flight.applier);
      low_of_row[flight.applier] = watermark.low();
      for (const auto& t : flight.group) rows[flight.applier].push_back(t->id);
      for (const auto& t : flight.group) {
        state[t->number - 1] = 2;
        watermark.applied(t->number, flight.applier);
        ++committed;
      }
      scheduler.committed(flight.group);
      busy[flight.applier] = false;
      // The oracle: the longest committed prefix.
      size_t prefix = 0;
      while (prefix < added && state[prefix] == 2) ++prefix;
      const Position low = prefix == 0 ? Position{"b.000001", 4, ""} : all[prefix - 1]->end;
      if (watermark.low() != low) return "watermark";
      // A crash now: exactly the committed ones are found again.
      std::vector<CheckpointRow> found;
      for (uint32_t a = 0; a < appliers; ++a) found.push_back({a, 1, 1, low_of_row[a], rows[a]});
      const Recovered recovered = recover(found);
      for (size_t j = 0; j < added; ++j) {
        const bool covered = compare_in_log(all[j]->end, recovered.start) <= 0 || recovered.known.contains(all[j]->id);
        if (covered != (state[j] == 2)) return covered ? "lost" : "applied twice";
      }
    }
  }
  return scheduler.empty() && watermark.span() == 0 ? "" : "something is left";
}

TEST(ApplyScheduler, RandomTransactionsAgainstAnOracle) {
  const char* given = std::getenv("SLUICE_TEST_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  const uint64_t runs = given != nullptr ? 1 : 10'000;
  for (uint64_t i = 0; i < runs; ++i) {
    const std::string wrong = run(first + i);
    ASSERT_EQ(wrong, "") << "SLUICE_TEST_SEED=" << first + i;
  }
}

TEST(ApplyScheduler, ConflictingTransactionsShareAGroup) {
  Scheduler scheduler;
  auto make = [](std::vector<Claim> claims) {
    auto t = std::make_shared<Transaction>();
    t->claims = std::move(claims);
    t->rows.resize(1);
    return t;
  };
  auto a = make({exclusive_claim(10)}), b = make({exclusive_claim(10)}), c = make({exclusive_claim(20)});
  scheduler.add(a);
  scheduler.add(b);
  auto group = scheduler.next_group();
  ASSERT_EQ(group.size(), 2U);
  scheduler.add(make({exclusive_claim(10)}));
  scheduler.add(c);
  auto other = scheduler.next_group();
  ASSERT_EQ(other.size(), 1U);
  EXPECT_EQ(other[0], c);
  EXPECT_TRUE(scheduler.next_group().empty());
  scheduler.committed(group);
  EXPECT_EQ(scheduler.next_group().size(), 1U);
}

TEST(ApplyScheduler, ReadersOfOneParentRunSideBySide) {
  Scheduler scheduler({1, 10, 1000});
  for (int i = 0; i < 3; ++i) {
    auto t = std::make_shared<Transaction>();
    t->claims = {shared_claim(10), exclusive_claim(100 + 2 * static_cast<uint64_t>(i))};
    scheduler.add(t);
  }
  auto parent = std::make_shared<Transaction>();
  parent->claims = {exclusive_claim(10)};
  scheduler.add(parent);
  std::vector<TransactionGroup> groups;
  for (int i = 0; i < 3; ++i) groups.push_back(scheduler.next_group());
  for (const auto& group : groups) EXPECT_EQ(group.size(), 1U);
  EXPECT_TRUE(scheduler.next_group().empty());
  for (const auto& group : groups) scheduler.committed(group);
  ASSERT_EQ(scheduler.next_group().size(), 1U);
}

// cust <-CASCADE- ord -RESTRICT-> prod, item -RESTRICT-> ord: what a deleted customer takes along meets the keys of its
// neighbours, which its own row says nothing of.
struct Shop {
  Shop() {
    const ForeignKey of_cust{"c", {"c"}, "d", "cust", {"id"}, ForeignKeyAction::kCascade, ForeignKeyAction::kRestrict};
    const ForeignKey of_prod{"p", {"p"}, "d", "prod", {"id"}, ForeignKeyAction::kRestrict, ForeignKeyAction::kRestrict};
    const ForeignKey of_ord{"o", {"c"}, "d", "ord", {"id"}, ForeignKeyAction::kRestrict, ForeignKeyAction::kRestrict};
    const TableName ord_name{"d", "ord"}, item_name{"d", "item"}, prod_name{"d", "prod"};
    cust = plan("cust", {}, {{ord_name, of_cust}}, {ord_name, item_name, prod_name});
    prod = plan("prod", {}, {{ord_name, of_prod}}, {});
    item = plan("item", {of_ord}, {}, {});
  }
  static TablePlanPtr plan(const std::string& name, std::vector<ForeignKey> own,
                           std::vector<std::pair<TableName, ForeignKey>> children, std::vector<TableName> barrier) {
    TableSchema schema;
    schema.database = "d";
    schema.name = name;
    for (const char* column : {"id", "c", "p"}) {
      schema.columns.emplace_back();
      schema.columns.back().name = column;
    }
    schema.columns[0].nullable = false;
    schema.keys = {{"PRIMARY", true, true, {{0, 0}}}};
    const auto shared = std::make_shared<const TableSchema>(schema);
    return *make_plan({shared, shared, std::move(own), std::move(children), std::move(barrier)});
  }
  TransactionPtr removal(const TablePlanPtr& of, int64_t id) {
    const ValueView values[] = {ValueView::of_int(id), ValueView::of_int(100 + id), ValueView::of_int(200 + id)};
    images.push_back(encode_row(*of->event, values));
    auto transaction = std::make_shared<Transaction>();
    EXPECT_TRUE(add_row(*transaction, of, RowOp::kDelete, {}, RowView(images.back()), {}).ok());
    return transaction;
  }
  TablePlanPtr cust, prod, item;
  std::deque<std::string> images;
};

TEST(ApplyScheduler, ACascadeStandsBehindTheRowsThatRestrictIt) {
  Shop shop;
  Scheduler scheduler;
  scheduler.add(shop.removal(shop.item, 1));
  scheduler.add(shop.removal(shop.cust, 1));
  const auto items = scheduler.next_group();
  ASSERT_EQ(items.size(), 1U);
  EXPECT_FALSE(items[0]->alone);
  EXPECT_TRUE(scheduler.next_group().empty());
  scheduler.committed(items);
  EXPECT_EQ(scheduler.next_group().size(), 1U);
}

TEST(ApplyScheduler, AnotherParentStandsBehindTheCascade) {
  Shop shop;
  Scheduler scheduler;
  const auto first = shop.removal(shop.item, 1), cascade = shop.removal(shop.cust, 2),
             last = shop.removal(shop.prod, 2);
  for (const auto& transaction : {first, cascade, last}) scheduler.add(transaction);
  const auto before = scheduler.next_group();  // the cascade runs alone, and is not passed by what stands behind it
  EXPECT_EQ(before, TransactionGroup{first});
  scheduler.committed(before);
  const auto alone = scheduler.next_group();
  EXPECT_EQ(alone, TransactionGroup{cascade});
  EXPECT_TRUE(scheduler.next_group().empty());
  scheduler.committed(alone);
  EXPECT_EQ(scheduler.next_group(), TransactionGroup{last});
}

// A target that keeps names in lower case tells a table by another name than the source's definitions do.
TEST(ApplyScheduler, OneTableInOtherLettersIsOne) {
  const ForeignKey key{"f", {"c"}, "d", "ÄRZTE", {"Id"}, ForeignKeyAction::kRestrict, ForeignKeyAction::kRestrict};
  Shop shop;
  const auto child = Shop::plan("termine", {key}, {}, {});
  const auto parent = Shop::plan("ärzte", {}, {{{"d", "Termine"}, key}}, {});
  Scheduler scheduler({1, 10, 1000});
  scheduler.add(shop.removal(child, 1));
  scheduler.add(shop.removal(parent, 101));  // what the child's row refers to
  const auto first = scheduler.next_group();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_TRUE(scheduler.next_group().empty());
  scheduler.committed(first);
  EXPECT_EQ(scheduler.next_group().size(), 1U);
}

TEST(ApplyWatermark, KnownIdsStayInARowUntilTheLogHasPassedThem) {
  Watermark watermark(Position{"b.000001", 4, ""}, {"0-1-7"});
  EXPECT_EQ(watermark.applied_by(0), std::vector<std::string>{"0-1-7"});
  const uint64_t six = watermark.add("0-1-6", {"b.000001", 60, ""}, 1);
  EXPECT_TRUE(watermark.is_known("0-1-7"));
  watermark.add_known("0-1-7", {"b.000001", 70, ""}, 1);
  EXPECT_EQ(watermark.applied_by(0), std::vector<std::string>{"0-1-7"});
  watermark.applied(six, 1);
  EXPECT_TRUE(watermark.applied_by(0).empty());
  EXPECT_EQ(watermark.low().offset, 70U);
  watermark.pass({"b.000001", 90, ""});
  EXPECT_EQ(watermark.low().offset, 90U);
}

}  // namespace
}  // namespace sluice::database

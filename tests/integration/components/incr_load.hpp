// Random transactions of an application on the source, over tables of all kinds.
#pragma once

#include <cstdlib>
#include <random>

#include "tests/integration/components/incr_fixture.hpp"

namespace sluice::agents {

inline const char* const kTables =
    "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, u INT NULL, v VARCHAR(100), d DECIMAL(12,3), f DOUBLE, "
    "  ts TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), UNIQUE KEY (u));"
    "CREATE TABLE app.names (name VARCHAR(50) NOT NULL PRIMARY KEY, n INT) COLLATE utf8mb4_unicode_ci;"
    "CREATE TABLE app.keyless (a INT, b VARCHAR(20), c FLOAT);"
    "CREATE TABLE app.parent (id INT PRIMARY KEY, v INT) ENGINE=InnoDB;"
    "CREATE TABLE app.child (id INT PRIMARY KEY, p INT, v INT, FOREIGN KEY (p) REFERENCES app.parent (id) "
    "  ON DELETE CASCADE ON UPDATE CASCADE);"
    "CREATE TABLE app.leaf (id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES app.child (id) ON DELETE SET NULL);"
    "CREATE TABLE app.two (a INT NOT NULL, b VARCHAR(20) NOT NULL, v INT, e ENUM('x','y','z'), s SET('p','q'), "
    "  bi BIT(9), PRIMARY KEY (a, b));";

inline uint64_t seed_of_run() {
  const char* given = std::getenv("SLUICE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

// One session of the application: random transactions; statements that fail on the source are part of it.
class AppSession {
 public:
  explicit AppSession(uint64_t seed) : random_(seed) {
    connection_ = std::move(mysql::Connection::open(source_server().endpoint(), {})).value();
    (void)connection_->exec("SET SESSION innodb_lock_wait_timeout=2");
  }
  void transaction() {
    (void)connection_->exec("START TRANSACTION");
    bool alive = true;
    for (int64_t n = 1 + pick(5); n > 0 && alive; --n) {
      auto done = connection_->exec(statement());
      alive = done.ok() || done.error().code() != ErrorCode::DEADLOCK;
    }
    (void)connection_->exec(pick(15) == 0 ? "ROLLBACK" : "COMMIT");
  }

 private:
  int64_t pick(int64_t below) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(below)); }
  std::string number(int64_t below) { return std::to_string(pick(below)); }
  std::string maybe(int64_t below) { return pick(4) == 0 ? "NULL" : number(below); }
  std::string name() {
    static const char* const kNames[] = {"anna",         "Anna ", "ANNA",           "bob",
                                         "\xc3\xa9mile", "emile", "str\xc3\xa4sse", "x y"};
    return "'" + std::string(kNames[pick(8)]) + "'";
  }
  std::string statement() {
    switch (pick(22)) {
      case 0:
      case 1:
        return "INSERT INTO app.t (id, u, v, d, f) VALUES (" + number(200) + "," + maybe(300) + ",'v" + number(9) +
               "'," + number(1000) + ".5," + number(1000) + "/7e0)";
      case 2:
        return "INSERT INTO app.t (u, v) VALUES (" + maybe(300) + ",'auto'),(" + maybe(300) + ",NULL)";
      case 3:
      case 4:
        return "UPDATE app.t SET v = CONCAT('w', " + number(100) + "), d = d + 1 WHERE id = " + number(200);
      case 5:
        return "UPDATE app.t SET u = " + maybe(300) + " WHERE id = " + number(200);
      case 6:
        return "UPDATE app.t SET id = " + number(200) + " WHERE id = " + number(200);
      case 7:
        return "DELETE FROM app.t WHERE id = " + number(200);
      case 8:
        return "UPDATE app.t SET f = f + 0.1 WHERE id BETWEEN " + number(100) + " AND " + number(200);
      case 9:
        return "REPLACE INTO app.names VALUES (" + name() + "," + number(100) + ")";
      case 10:
        return "DELETE FROM app.names WHERE name = " + name();
      case 11:
        return "UPDATE app.names SET name = " + name() + ", n = n + 1 WHERE name = " + name();
      case 12:
        return "INSERT INTO app.keyless VALUES (" + maybe(3) + ",'k" + number(2) + "'," + number(3) + "/3)";
      case 13:
        return pick(2) == 0 ? "DELETE FROM app.keyless WHERE a = " + number(3) + " LIMIT 1"
                            : "UPDATE app.keyless SET b = 'u" + number(3) + "' WHERE a = " + number(3) + " LIMIT 2";
      case 14:
        return "INSERT INTO app.parent VALUES (" + number(30) + "," + number(9) + ")";
      case 15:
        return "INSERT INTO app.child VALUES (" + number(100) + "," + maybe(30) + "," + number(9) + ")";
      case 16:
        return "INSERT INTO app.leaf VALUES (" + number(200) + "," + maybe(100) + ")";
      case 17:
        return pick(3) == 0 ? "DELETE FROM app.parent WHERE id = " + number(30)
                            : "UPDATE app.parent SET v = v + 1 WHERE id = " + number(30);
      case 18:
        return "UPDATE app.parent SET id = " + number(30) + " WHERE id = " + number(30);
      case 19:
        return pick(2) == 0 ? "DELETE FROM app.child WHERE id = " + number(100)
                            : "UPDATE app.child SET p = " + maybe(30) + " WHERE id = " + number(100);
      case 20:
        return "INSERT INTO app.two VALUES (" + number(20) + "," + name() + "," + number(9) + ",'y','p,q',b'101') " +
               "ON DUPLICATE KEY UPDATE v = v + 1, e = 'z'";
      default:
        return "DELETE FROM app.two WHERE a = " + number(20) + " LIMIT 1";
    }
  }
  std::mt19937_64 random_;
  std::unique_ptr<mysql::Connection> connection_;
};

class Load {
 public:
  // `transactions` of each session; 0 = until wait() is called.
  Load(uint64_t seed, int sessions, int transactions) {
    for (int i = 0; i < sessions; ++i) {
      threads_.emplace_back([this, seed, i, transactions] {
        AppSession session(seed + static_cast<uint64_t>(i));
        for (int n = 0; (n < transactions || transactions == 0) && !over_; ++n) {
          session.transaction();
          if (transactions == 0) std::this_thread::sleep_for(4ms);  // so that a slow machine can follow
        }
      });
    }
    if (transactions != 0) return;
    endless_ = true;
  }
  ~Load() { wait(); }
  void wait() {
    if (endless_) over_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::atomic<bool> over_{false};
  bool endless_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::agents

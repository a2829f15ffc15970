#include "tests/support/workload.hpp"

#include <mysql.h>
#include <poll.h>

#include <random>
#include <stdexcept>

namespace sluice::testing {
namespace {

class Session {
 public:
  Session(MariaDbServer& server, const std::string& database) : mysql_(mysql_init(nullptr)) {
    mysql_options(mysql_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    const Endpoint endpoint = server.endpoint();
    if (!mysql_real_connect(mysql_, "127.0.0.1", endpoint.user.c_str(), endpoint.password.reveal().c_str(),
                            database.empty() ? nullptr : database.c_str(), server.port(), nullptr, 0))
      throw std::runtime_error(mysql_error(mysql_));
  }
  ~Session() { mysql_close(mysql_); }
  Session(const Session&) = delete;

  unsigned try_run(const std::string& sql) {
    if (mysql_real_query(mysql_, sql.data(), sql.size()) != 0) return mysql_errno(mysql_);
    if (MYSQL_RES* result = mysql_store_result(mysql_)) mysql_free_result(result);
    return 0;
  }
  void run(const std::string& sql) {
    if (try_run(sql) != 0) throw std::runtime_error(std::string(mysql_error(mysql_)) + ": " + sql.substr(0, 300));
  }

 private:
  MYSQL* mysql_;
};

constexpr const char* kTables[] = {
    "CREATE TABLE items (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, code VARCHAR(30) NOT NULL, price DECIMAL(12,3), "
    "weight FLOAT, made DATETIME(6), changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE "
    "CURRENT_TIMESTAMP(3), kind ENUM('a','b','ç'), flags SET('x','y','z'), bits BIT(20), doc JSON, body LONGBLOB, "
    "note TEXT CHARACTER SET latin1, twice DECIMAL(14,3) AS (price * 2) STORED, big BIGINT UNSIGNED, UNIQUE KEY code "
    "(code))",
    "CREATE TABLE pairs (a INT NOT NULL, b VARCHAR(20) NOT NULL, n BIGINT, y YEAR, t TIME(2), d DATE, "
    "PRIMARY KEY (a, b))",
    "CREATE TABLE words (w VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL PRIMARY KEY, n INT)",
    "CREATE TABLE parents (id INT NOT NULL PRIMARY KEY, name VARCHAR(30))",
    "CREATE TABLE children (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, parent INT, friend INT, v INT, "
    "CONSTRAINT c1 FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE, "
    "CONSTRAINT c2 FOREIGN KEY (friend) REFERENCES parents (id) ON DELETE SET NULL ON UPDATE CASCADE)",
    "CREATE TABLE logs (at DATETIME, who VARCHAR(20), what INT)",
    "CREATE TABLE seats (id INT NOT NULL PRIMARY KEY, seat INT NOT NULL, UNIQUE KEY seat (seat))",
    "CREATE TABLE bank (id INT NOT NULL PRIMARY KEY, balance BIGINT NOT NULL)",
};

std::vector<std::string> first_rows(int rows) {
  const std::string n = std::to_string(rows);
  return {
      "INSERT INTO items (code, price, weight, made, kind, flags, bits, doc, body, note, big) SELECT CONCAT('c', seq), "
      "seq / 7, seq / 3, '2024-01-01' + INTERVAL seq SECOND, 1 + seq % 3, seq % 8, seq % 1000000, "
      "JSON_OBJECT('n', seq), REPEAT(CHAR(seq % 256), seq % 200), 'caf\xc3\xa9', seq * 1000000007 FROM seq_1_to_" +
          n,
      "INSERT INTO pairs SELECT seq DIV 3, CONCAT('b', seq % 3), seq, 1901 + seq % 250, SEC_TO_TIME(seq), '2020-02-29' "
      "FROM seq_1_to_" +
          n,
      "INSERT INTO words SELECT CONCAT('w\xc3\xb6rd ', seq), seq FROM seq_1_to_" + n,
      "INSERT INTO parents SELECT seq, CONCAT('p', seq) FROM seq_1_to_" + n,
      "INSERT INTO children (parent, friend, v) SELECT 1 + seq % " + n + ", 1 + (seq * 7) % " + n +
          ", seq FROM seq_1_to_" + n,
      "INSERT INTO logs SELECT '2024-01-01', CONCAT('u', seq % 5), seq % 10 FROM seq_1_to_" + n,
      "INSERT INTO seats SELECT seq, seq FROM seq_1_to_" + n,
      "INSERT INTO bank SELECT seq, 1000 FROM seq_1_to_100",
  };
}

}  // namespace

Workload::Workload(MariaDbServer& server, WorkloadOptions options) : server_(server), options_(std::move(options)) {}

Workload::~Workload() {
  ended_ = true;
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

void Workload::create() {
  Session session(server_, "");
  session.run("CREATE DATABASE " + options_.database + " CHARACTER SET utf8mb4");
  session.run("USE " + options_.database);
  for (const char* table : kTables) session.run(table);
  for (const std::string& insert : first_rows(options_.rows)) session.run(insert);
}

void Workload::guard(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    std::lock_guard lock(mutex_);
    failure_ = error.what();
  }
}

void Workload::start() {
  for (int writer = 0; writer < options_.writers; ++writer)
    threads_.emplace_back([this, seed = options_.seed * 1000 + writer] { guard([&] { write(seed); }); });
  if (options_.ddl) threads_.emplace_back([this] { guard([this] { change_definitions(); }); });
}

void Workload::stop() {
  ended_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (!failure_.empty()) throw std::runtime_error("workload: " + failure_);
}

void Workload::write(uint64_t seed) {
  Session session(server_, options_.database);
  // The server finds no cycle that goes through both a row lock and a waiting ALTER's metadata lock: it ends by time.
  session.run("SET innodb_lock_wait_timeout = 1, lock_wait_timeout = 10");
  std::mt19937_64 random(seed);
  const auto pick = [&](int limit) { return std::to_string(1 + random() % static_cast<uint64_t>(limit)); };
  const int rows = options_.rows;
  uint64_t fresh = seed * 100'000'000;
  // One statement of a transaction; a lock conflict gives the transaction up.
  const auto statement = [&]() -> std::string {
    switch (random() % (options_.cascades ? 18 : 15)) {
      case 0:
        return "INSERT INTO items (code, price, weight, kind, body) VALUES ('n" + std::to_string(++fresh) +
               "', 1.5, 0.1, 'b', 'x')";
      case 1:
        return "UPDATE items SET price = price + 0.001, weight = weight * 1.1, note = 'd\xc3\xa9j\xc3\xa0' WHERE id "
               "= " +
               pick(rows);
      case 2:
        return "UPDATE items SET body = REPEAT('z', " + pick(3000) + "), doc = JSON_SET(doc, '$.m', " + pick(9) +
               ") WHERE id = " + pick(rows);
      case 3:
        return "DELETE FROM items WHERE id = " + pick(rows * 3);
      case 4:
        return "UPDATE pairs SET n = n + 1, t = ADDTIME(t, '0:0:0.5') WHERE a = " + pick(rows / 3);
      case 5:
        return "UPDATE pairs SET b = CONCAT(b, 'x') WHERE a = " + pick(rows / 3) + " AND CHAR_LENGTH(b) < 15 LIMIT 1";
      case 6:
        return "INSERT IGNORE INTO words VALUES ('n\xc3\xa9u " + std::to_string(++fresh) + "', 1)";
      case 7:
        return "DELETE FROM words WHERE n = " + pick(rows);
      case 8:
        return "INSERT INTO logs VALUES ('2024-01-02', 'w', " + pick(5) + ")";
      case 9:
        return "DELETE FROM logs WHERE what = " + pick(10) + " LIMIT 1";
      case 10:
        return "UPDATE logs SET what = what + 1 WHERE who = 'U1' AND what = " + pick(10) + " LIMIT 2";
      case 11:
        return "UPDATE children SET v = v + 1 WHERE id = " + pick(rows);
      case 12:
        return "INSERT INTO children (parent, v) SELECT id, 1 FROM parents WHERE id = " + pick(rows);
      case 13: {
        // Unique values swap owners inside one transaction.
        const std::string a = pick(rows), b = pick(rows);
        if (a == b) return "DO 0";
        session.run("SELECT seat INTO @x FROM seats WHERE id = " + a + " FOR UPDATE");
        session.run("SELECT seat INTO @y FROM seats WHERE id = " + b + " FOR UPDATE");
        session.run("UPDATE seats SET seat = -id WHERE id = " + a);
        session.run("UPDATE seats SET seat = @x WHERE id = " + b);
        return "UPDATE seats SET seat = @y WHERE id = " + a;
      }
      case 14:
        return "REPLACE INTO parents VALUES (" + std::to_string(rows + ++fresh % 1000) + ", 'late')";
      case 15:
        return "DELETE FROM parents WHERE id = " + pick(rows * 4);
      case 16:
        return "UPDATE parents SET id = id + 1000000 WHERE id = " + pick(rows * 4);
      default:
        return "UPDATE children SET parent = NULL WHERE id = " + pick(rows * 2);
    }
  };
  while (!ended_) {
    bool given_up = session.try_run("BEGIN") != 0;
    try {
      const std::string from = pick(100), to = pick(100);
      session.run("UPDATE bank SET balance = balance - 1 WHERE id = " + from);
      session.run("UPDATE bank SET balance = balance + 1 WHERE id = " + to);
      for (uint64_t count = 1 + random() % 4; count > 0; --count) session.run(statement());
      if (options_.large && random() % 400 == 0)
        session.run("INSERT INTO logs SELECT '2025-01-01', 'bulk', seq % 7 FROM seq_1_to_50000");
    } catch (const std::runtime_error& error) {
      const std::string text = error.what();
      given_up = true;
      if (text.find("Deadlock") == std::string::npos && text.find("Lock wait") == std::string::npos &&
          text.find("Duplicate entry") == std::string::npos && text.find("has changed since") == std::string::npos &&
          text.find("foreign key constraint fails") == std::string::npos &&
          text.find("Failed to read auto-increment") == std::string::npos)
        throw;
    }
    session.run(given_up || random() % 50 == 0 ? "ROLLBACK" : "COMMIT");
    ++transactions_;
    poll(nullptr, 0, options_.pause_us / 1000);
  }
}

void Workload::change_definitions() {
  Session session(server_, options_.database);
  session.run("SET lock_wait_timeout = 60");
  for (int number = 1; !ended_; ++number) {
    const std::string n = std::to_string(number);
    for (const std::string& sql :
         {"CREATE TABLE made_" + n + " (id INT PRIMARY KEY, v VARCHAR(20) DEFAULT 'é')",
          "INSERT INTO made_" + n + " VALUES (1, 'a'), (2, 'b'), (3, DEFAULT)",
          "ALTER TABLE made_" + n + " ADD COLUMN w INT NOT NULL DEFAULT " + n + " AFTER id",
          "CREATE INDEX wi ON made_" + n + " (w)", "UPDATE made_" + n + " SET w = w + id", "DROP INDEX wi ON made_" + n,
          "RENAME TABLE made_" + n + " TO kept_" + n, "INSERT INTO kept_" + n + " VALUES (4, 5, 'c')",
          "ALTER TABLE items ADD COLUMN extra_" + n + " INT DEFAULT 7",
          number % 3 == 0 ? "TRUNCATE TABLE kept_" + n : "DELETE FROM kept_" + n + " WHERE id = 2",
          number % 3 == 1 ? "DROP TABLE kept_" + n : std::string("DO 0")}) {
      session.run(sql);
      ++ddl_;
      if (ended_) return;
      poll(nullptr, 0, 50);
    }
    if (options_.rotate) session.run("FLUSH BINARY LOGS");
  }
}

}  // namespace sluice::testing

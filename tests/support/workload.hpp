// Workload: a schema with the shapes that matter (composite and character keys, unique values that swap, cascades, a
// table without a key with duplicate rows, every common type) and writers that change it at random until stopped. Uses
// the client library directly, no code of the product. Deterministic per thread for a seed; the interleaving is the
// server's.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/mariadb.hpp"

namespace sluice::testing {

struct WorkloadOptions {
  std::string database = "app";
  uint64_t seed = 1;
  int writers = 2;
  int rows = 2000;       // per table at the beginning
  bool ddl = false;      // one more thread runs all seven kinds of DDL
  bool rotate = false;   // and rotates the binlog now and then
  int pause_us = 2000;   // between the transactions of a writer
  bool cascades = true;  // writers delete parents with cascading children
  bool large = false;    // one transaction of 50,000 rows now and then
};

class Workload {
 public:
  Workload(MariaDbServer& server, WorkloadOptions options);
  ~Workload();  // stops

  void create();  // database, tables, first rows
  void start();
  void stop();  // joins; throws std::runtime_error when a writer failed
  uint64_t transactions() const { return transactions_; }
  uint64_t statements_ddl() const { return ddl_; }

 private:
  void write(uint64_t seed);
  void change_definitions();
  void guard(const std::function<void()>& work);

  MariaDbServer& server_;
  WorkloadOptions options_;
  std::atomic<bool> ended_{false};
  std::atomic<uint64_t> transactions_{0}, ddl_{0};
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::string failure_;
};

}  // namespace sluice::testing

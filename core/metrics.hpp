// Metrics: counters and gauges with labels, in one registry per process, written as Prometheus text.
// Thread safe. A handle is found once and kept: finding costs a lock and a map lookup, using it an atomic operation.
// Handles stay valid for the life of the process, or until the gauge is removed. Names are
// `sluice_<area>_<what>_<unit>`; counters end in `_total`. Labels come from bounded sets (components, tables, nodes),
// never from data.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sluice::metrics {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void add(double amount = 1);  // never negative
  double value() const;

 private:
  friend Counter counter(const std::string&, const std::string&, const Labels&);
  explicit Counter(void* impl) : impl_(impl) {}
  void* impl_;
};

class Gauge {
 public:
  void set(double value);
  void add(double amount);
  double value() const;

 private:
  friend Gauge gauge(const std::string&, const std::string&, const Labels&);
  explicit Gauge(void* impl) : impl_(impl) {}
  void* impl_;
};

// The same name and labels give the same metric. All uses of a name give the same kind and help text.
Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});

// For what is gone, a deleted project for example. Handles of this gauge must not be used any more.
void remove_gauge(const std::string& name, const std::string& help, const Labels& labels);

struct Sample {
  std::string name;
  Labels labels;
  double value = 0;
  bool counter = false;  // else a gauge
};
std::vector<Sample> samples(size_t max);  // counters and gauges, the first `max` in the order of their registration

inline constexpr const char* kExpositionType = "text/plain; version=0.0.4; charset=utf-8";
std::string exposition();  // everything, in the text format that Prometheus reads

}  // namespace sluice::metrics

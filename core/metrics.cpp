#include "core/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <sstream>

namespace sluice::metrics {
namespace {

// Never destroyed: threads may count while the process ends. Merge: asking again for a name finds its family.
prometheus::Registry& registry() {
  static auto* instance = new prometheus::Registry(prometheus::Registry::InsertBehavior::Merge);
  return *instance;
}

}  // namespace

void Counter::add(double amount) { static_cast<prometheus::Counter*>(impl_)->Increment(amount); }
double Counter::value() const { return static_cast<prometheus::Counter*>(impl_)->Value(); }
void Gauge::set(double value) { static_cast<prometheus::Gauge*>(impl_)->Set(value); }
void Gauge::add(double amount) { static_cast<prometheus::Gauge*>(impl_)->Increment(amount); }
double Gauge::value() const { return static_cast<prometheus::Gauge*>(impl_)->Value(); }

Counter counter(const std::string& name, const std::string& help, const Labels& labels) {
  return Counter(&prometheus::BuildCounter().Name(name).Help(help).Register(registry()).Add(labels));
}

Gauge gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Gauge(&prometheus::BuildGauge().Name(name).Help(help).Register(registry()).Add(labels));
}

void remove_gauge(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(registry());
  family.Remove(&family.Add(labels));
}

std::vector<Sample> samples(size_t max) {
  std::vector<Sample> result;
  for (const auto& family : registry().Collect()) {
    const bool counter = family.type == prometheus::MetricType::Counter;
    if (!counter && family.type != prometheus::MetricType::Gauge) continue;
    for (const auto& metric : family.metric) {
      if (result.size() == max) return result;
      Sample& sample = result.emplace_back(Sample{family.name, {}, 0, counter});
      for (const auto& label : metric.label) sample.labels[label.name] = label.value;
      sample.value = counter ? metric.counter.value : metric.gauge.value;
    }
  }
  return result;
}

std::string exposition() {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, registry().Collect());
  return out.str();
}

}  // namespace sluice::metrics

#include "agents/supervisor/component_metrics.hpp"

#include <cstdio>

#include "agents/component_kind.hpp"

namespace sluice::agents {
namespace {

std::string label(const std::string& name, const std::string& value) {
  std::string text = name + "=\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c == '\n' ? ' ' : c;
  }
  return text + "\"";
}

struct Family {
  bool counter = false;
  std::string lines;

  void add(const std::string& name, const std::string& labels, double value) {
    char number[32];
    std::snprintf(number, sizeof number, "%.17g", value);
    lines += name + "{" + labels + "} " + number + "\n";
  }
};

}  // namespace

void ComponentMetrics::take(const cluster::v1::ComponentSpec& spec, const cluster::v1::ComponentStatus& status) {
  const std::string& id = spec.component_id();
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[id];
  if (entry.epoch != 0 && entry.epoch != status.epoch()) ++entry.restarts;
  entry.epoch = status.epoch();
  entry.labels = label("project", id.substr(0, id.find('.'))) + "," + label("component", id) + "," +
                 label("kind", std::string(kind_name(spec.kind())));
  entry.resident_bytes = status.resident_bytes();
  entry.samples = status.metrics();
}

void ComponentMetrics::remove(const std::string& component_id) {
  std::lock_guard lock(mutex_);
  entries_.erase(component_id);
}

std::string ComponentMetrics::exposition() const {
  std::map<std::string, Family> families;
  std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : entries_) {
    families["sluice_component_resident_bytes"].add("sluice_component_resident_bytes", entry.labels,
                                                    static_cast<double>(entry.resident_bytes));
    auto& restarts = families["sluice_component_restarts_total"];
    restarts.counter = true;
    restarts.add("sluice_component_restarts_total", entry.labels, static_cast<double>(entry.restarts));
    for (const auto& sample : entry.samples) {
      std::string labels = entry.labels;
      for (const auto& [name, value] : sample.labels()) labels += "," + label(name, value);
      Family& family = families[sample.name()];
      family.counter = sample.counter();
      family.add(sample.name(), labels, sample.value());
    }
  }
  std::string text;
  for (const auto& [name, family] : families)
    text += "# TYPE " + name + (family.counter ? " counter\n" : " gauge\n") + family.lines;
  return text;
}

}  // namespace sluice::agents

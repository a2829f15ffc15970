// StorePipeline: capture → log, running. Plain interface to the actors (pipeline_actor.cpp).
//
// Thread safe. The first failure of any part ends all of it; outcome() tells it.
#pragma once

#include <memory>
#include <optional>

#include "core/lease.hpp"
#include "store/capture/capture.hpp"

namespace sluice::store {

struct PipelineOptions {
  CaptureOptions capture;
  CaptureEvents events;              // called on capture's thread
  std::shared_ptr<Lease> lease;      // checked before every write
  uint64_t credit_bytes = 16 << 20;  // of blocks on their way from capture to the log
};

class StorePipeline {
 public:
  // `log` and `source` must outlive the pipeline.
  static std::unique_ptr<StorePipeline> start(PipelineOptions options, Log& log, const SourceState& source);
  virtual ~StorePipeline() = default;  // as stop()
  // Success: stopped. Nothing: it runs.
  virtual std::optional<Status> outcome() const = 0;
  virtual void stop() = 0;  // hands what is complete to the log, then ends
};

}  // namespace sluice::store

// Conversions between core values and their protocol messages. Pure functions: any thread.
#pragma once

#include "core/endpoint.hpp"
#include "core/position.hpp"
#include "core/table_copy.hpp"
#include "core/table_mapping.hpp"
#include "sluice/cluster/v1/cluster.pb.h"
#include "sluice/store/v1/store.pb.h"

namespace sluice::net {

store::v1::Position to_proto(const Position&);
Position from_proto(const store::v1::Position&);
cluster::v1::Error to_proto(const Error&);
Error from_proto(const cluster::v1::Error&);  // an unknown code becomes INTERNAL with the code in the cause
cluster::v1::DatabaseEndpoint to_proto(const Endpoint&);
Endpoint from_proto(const cluster::v1::DatabaseEndpoint&);
cluster::v1::TableName to_proto(const TableName&);
TableName from_proto(const cluster::v1::TableName&);
cluster::v1::TableCopy to_proto(const TableCopy&);
TableCopy from_proto(const cluster::v1::TableCopy&);
Result<TableMapping> mapping_of(const cluster::v1::ComponentSpec&);

}  // namespace sluice::net

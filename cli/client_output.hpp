// What the client commands print and read: messages as JSON, YAML or tables; a request from a YAML file. Pure functions
// but for print(), which writes to stdout.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"

namespace google::protobuf {
class Message;
}

namespace sluice::cli {

enum class Format { kTable, kJson, kYaml };

using Table = std::vector<std::vector<std::string>>;  // the first row is the head

std::string table_text(const Table& table);  // columns aligned, head in capitals
std::string json_text(const google::protobuf::Message& message);
std::string yaml_text(const google::protobuf::Message& message);
// kTable prints `table`, the others `message`.
void print(Format format, const google::protobuf::Message& message, const Table& table);

// Reads YAML (or JSON) with the message's JSON names. INVALID_ARGUMENT names the file, and the field when one is wrong.
Status read_yaml_message(const std::string& path, google::protobuf::Message& message);

}  // namespace sluice::cli

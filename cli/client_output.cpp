#include "cli/client_output.hpp"

#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;

// Scalars stay texts: the message's fields know their types, and a name like 007 keeps its zeros.
Json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& item : node) object[item.first.Scalar()] = to_json(item.second);
    return object;
  }
  if (node.IsSequence()) {
    Json array = Json::array();
    for (const auto& item : node) array.push_back(to_json(item));
    return array;
  }
  return node.IsScalar() ? Json(node.Scalar()) : Json(nullptr);
}

void emit(YAML::Emitter& out, const Json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::BeginSeq;
    for (const auto& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    out << value.get<std::string>();
  } else {
    out << YAML::Auto << value.dump();
  }
}

}  // namespace

std::string table_text(const Table& table) {
  std::vector<size_t> widths;
  for (const auto& row : table) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : table) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string json_text(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "{}\n";
  return Json::parse(text, nullptr, false).dump(2) + "\n";
}

std::string yaml_text(const google::protobuf::Message& message) {
  YAML::Emitter out;
  emit(out, Json::parse(json_text(message), nullptr, false));
  return std::string(out.c_str()) + "\n";
}

void print(Format format, const google::protobuf::Message& message, const Table& table) {
  std::string text = format == Format::kJson   ? json_text(message)
                     : format == Format::kYaml ? yaml_text(message)
                                               : table_text(table);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Status read_yaml_message(const std::string& path, google::protobuf::Message& message) {
  std::ifstream file(path);
  if (!file) return Error(ErrorCode::INVALID_ARGUMENT, "the file cannot be read", path);
  std::stringstream content;
  content << file.rdbuf();
  Json json;
  try {
    json = to_json(YAML::Load(content.str()));
  } catch (const YAML::Exception& error) {
    return Error(ErrorCode::INVALID_ARGUMENT, std::string("not valid YAML: ") + error.what(), path);
  }
  if (!json.is_object()) return Error(ErrorCode::INVALID_ARGUMENT, "the file does not hold fields", path);
  auto parsed = google::protobuf::util::JsonStringToMessage(json.dump(), &message);
  if (!parsed.ok()) return Error(ErrorCode::INVALID_ARGUMENT, std::string(parsed.message()), path);
  return {};
}

}  // namespace sluice::cli

#include "cli/decision.hpp"

#include <algorithm>
#include <cctype>

namespace sluice::cli {
namespace {

// A DDL statement's position ends in '#' and its number, a transaction's has none.
bool names_statement(const std::string& position) { return position.find('#') != std::string::npos; }

std::vector<std::string_view> words_at(const std::string& position) {
  if (names_statement(position)) return {"retry", "skip", "done", "replace"};
  return {"overwrite", "skip"};
}

Error usage(std::string cause) { return Error(ErrorCode::INVALID_ARGUMENT, std::move(cause)); }

}  // namespace

Result<Decision> parse_decision(const std::string& text, const std::string& statement) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    return usage("--decide '" + text + "' is not POSITION=WORD, with the position that the error names");
  Decision decision{text.substr(0, equals), text.substr(equals + 1), statement};
  SLUICE_TRY(check_decision(decision));
  return decision;
}

Status check_decision(const Decision& decision) {
  const auto words = words_at(decision.position);
  if (std::find(words.begin(), words.end(), decision.word) == words.end())
    return usage("'" + decision.word + "' is no decision there: " +
                 (names_statement(decision.position)
                      ? "a statement takes retry, skip, done or replace"
                      : "a transaction takes overwrite or skip; a statement's position ends in #n"));
  if ((decision.word == "replace") == decision.statement.empty())
    return usage("--statement belongs to replace, and replace needs it");
  return {};
}

std::vector<std::string_view> decision_words(const Error& error) {
  const bool statement = names_statement(error.position());
  switch (error.code()) {
    case ErrorCode::ROW_CONFLICT:
      return error.position().empty() ? std::vector<std::string_view>() : words_at(error.position());
    case ErrorCode::STATEMENT_IN_LOG:
      return statement ? std::vector<std::string_view>{"skip"} : std::vector<std::string_view>();
    case ErrorCode::DDL_FAILED:
    case ErrorCode::DDL_STOPPED:
    case ErrorCode::DDL_UNDECIDED:
    case ErrorCode::UNSUPPORTED:
      return statement ? words_at(error.position()) : std::vector<std::string_view>();
    default:
      return {};
  }
}

admin::v1::DecideRequest decide_request(const std::string& project, const Decision& decision) {
  admin::v1::DecideRequest request;
  request.set_id(project);
  auto& wire = *request.mutable_decision();
  wire.set_position(decision.position);
  std::string word = decision.word;
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::toupper(c); });
  wire.set_decision(word);
  wire.set_statement(decision.statement);
  return request;
}

}  // namespace sluice::cli

#include "cli/args.hpp"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "cli/error_text.hpp"
#include "core/clock.hpp"

namespace sluice::cli {
std::vector<std::string> scrub_argv(int argc, char** argv) {
  std::vector<std::string> passwords;
  for (int i = 1; i < argc; ++i) {
    char* scheme = std::strstr(argv[i], "://");
    if (scheme == nullptr) continue;
    char* user = scheme + 3;
    // Rather too much than too little: a password that was not encoded may hold '@', '/' or '?'.
    char* path = user + std::strcspn(user, "/?#");
    char* colon = static_cast<char*>(std::memchr(user, ':', static_cast<size_t>(path - user)));
    char* at = nullptr;
    for (char* c = user; *c != '\0'; ++c)
      if (*c == '@' && (c < path || at == nullptr)) at = c;
    if (colon == nullptr || at == nullptr || at < colon + 2) continue;
    const auto size = static_cast<size_t>(at - colon - 1);
    passwords.emplace_back(colon + 1, size);
    std::memset(colon + 1, '*', size);
  }
  return passwords;
}

int fail(const std::string& command, const Error& error) {
  if (error.code() != ErrorCode::INVALID_ARGUMENT) {
    std::fprintf(stderr, "%s: %s\n", command.c_str(), error_text(error, "\n        ").c_str());
    return kExitError;
  }
  const std::string object = error.object().empty() ? "" : error.object() + ": ";
  std::fprintf(stderr, "%s: %s%s\n%s --help tells more\n", command.c_str(), object.c_str(), error.cause().c_str(),
               command.c_str());
  return kExitUsage;
}

Result<Secret> read_secret_file(const std::string& path, const std::string& what) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  std::string secret = text.str();
  while (!secret.empty() && static_cast<unsigned char>(secret.back()) <= ' ') secret.pop_back();
  if (!in || secret.empty())
    return Error(ErrorCode::INVALID_ARGUMENT, "the " + what + " cannot be read or is empty", path);
  return Secret(std::move(secret));
}

Result<Secret> wait_for_token(const std::string& path, std::chrono::seconds patience) {
  const BootTime deadline = system_clock().boot_time() + patience;
  while (true) {
    auto token = read_secret_file(path, "token file");
    if (token.ok()) return token;
    if (system_clock().boot_time() >= deadline) return Error(ErrorCode::UNAUTHENTICATED, token.error().cause(), path);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace sluice::cli

#include "cli/args.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/clock.hpp"
#include "core/log.hpp"

namespace sluice::cli {
namespace {

sigset_t end_signals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  return ends;
}

}  // namespace

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

int fail(const Error& error) {
  std::fprintf(stderr, "sluice: %s\n", error.to_string().c_str());
  if (!error.action().empty()) std::fprintf(stderr, "        %s\n", std::string(error.action()).c_str());
  return error.code() == ErrorCode::INVALID_ARGUMENT ? kExitUsage : kExitError;
}

Status become_server(const std::string& data_dir, const std::string& log_file) {
  std::error_code failure;
  std::filesystem::create_directories(data_dir, failure);
  if (failure) return Error(ErrorCode::IO_ERROR, failure.message(), data_dir);
  log::init({.file = log_file});
  const sigset_t ends = end_signals();
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGHUP, SIG_IGN);
  return {};
}

void wait_for_end() {
  const sigset_t ends = end_signals();
  int signal = 0;
  ::sigwait(&ends, &signal);
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

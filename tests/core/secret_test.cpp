// Secret: cannot be printed by accident, and leaves nothing in memory.
#include "core/secret.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>

namespace {

constexpr std::string_view kCanary = "kanarienvogel";
size_t blocks_with_canary = 0;  // that were given back to the heap

}  // namespace

// Every block that this program frees is looked at.
void operator delete(void* block) noexcept {
  if (block != nullptr)
    blocks_with_canary +=
        std::string_view(static_cast<char*>(block), malloc_usable_size(block)).find(kCanary) != std::string_view::npos;
  std::free(block);
}
void operator delete(void* block, size_t) noexcept { operator delete(block); }
void* operator new(size_t size) {
  void* block = std::calloc(1, size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

namespace sluice {
namespace {

template <typename T>
concept Streamed = requires(std::ostream& stream, const T& value) {
  stream << value;
};
template <typename T>
concept Appended = requires(std::string& text, const T& value) {
  text += value;
};
template <typename T>
concept Json = requires(const T& value) {
  nlohmann::json(value);
};

static_assert(Streamed<std::string> && Appended<std::string> && Json<std::string> &&
              fmt::is_formattable<std::string>::value);  // the checks see what they look for
static_assert(!Streamed<Secret>);
static_assert(!Appended<Secret>);
static_assert(!Json<Secret>);
static_assert(!fmt::is_formattable<Secret>::value);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<Secret, const char*>);
static_assert(!std::is_convertible_v<Secret, bool>);
static_assert(!std::is_convertible_v<std::string, Secret>, "a text becomes a secret in plain sight only");

std::string clear_text(size_t size) {
  std::string text;
  text.reserve(size);
  while (text.size() + kCanary.size() <= size) text += kCanary;
  return text;
}

TEST(Secret, KeepsAndComparesItsText) {
  const Secret secret("abc");
  EXPECT_EQ(secret.reveal(), "abc");
  EXPECT_TRUE(secret == Secret(std::string("abc")));
  EXPECT_FALSE(secret == Secret("abd"));
  EXPECT_FALSE(secret.empty());
  EXPECT_TRUE(Secret().empty());
}

TEST(Secret, WhatIsFreedHoldsNothingOfIt) {
  {
    std::string plain = clear_text(200);
    plain.reserve(1000);
  }
  ASSERT_GT(blocks_with_canary, 0U) << "the test sees what is freed";
  blocks_with_canary = 0;
  for (const size_t size : {13, 26, 200, 5000}) {
    Secret first(clear_text(size));
    Secret copy(first), moved(std::move(first));
    copy = moved;
    copy = Secret("another");
    moved = Secret(clear_text(size));
    EXPECT_EQ(moved.reveal().size(), size / kCanary.size() * kCanary.size());
  }
  EXPECT_EQ(blocks_with_canary, 0U);
}

// A short text stands inside the object itself.
TEST(Secret, NorDoesTheObjectsOwnMemory) {
  alignas(Secret) unsigned char memory[sizeof(Secret)];
  auto* secret = new (memory) Secret(std::string(kCanary));
  secret->~Secret();
  EXPECT_EQ(std::string_view(reinterpret_cast<char*>(memory), sizeof memory).find(kCanary), std::string_view::npos);
  Secret from{std::string(kCanary)};
  const Secret to(std::move(from));
  EXPECT_EQ(std::string_view(reinterpret_cast<char*>(&from), sizeof from).find(kCanary), std::string_view::npos);
}

}  // namespace
}  // namespace sluice

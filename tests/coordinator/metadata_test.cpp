#include "coordinator/metadata/metadata.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "coordinator/cluster/term.hpp"
#include "coordinator/metadata/sealer.hpp"

namespace sluice::coordinator {
namespace {

class MetadataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sluice-metadata-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    open();
  }
  void TearDown() override {
    metadata_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open() {
    metadata_.reset();
    auto opened = open_rocksdb_metadata(directory_ + "/db");
    ASSERT_TRUE(opened.ok()) << opened.error().to_string();
    metadata_ = std::move(opened).value();
  }
  uint64_t put(const std::string& key, const std::string& value) {
    auto result = metadata_->txn({{}, {{key, value}}, {}});
    EXPECT_TRUE(result.ok() && result->committed);
    return result->revision;
  }

  std::string directory_;
  std::unique_ptr<Metadata> metadata_;
};

TEST_F(MetadataTest, RevisionsGrowWithEveryTransactionAndSurvive) {
  EXPECT_EQ(put("/a", "1"), 1u);
  EXPECT_EQ(put("/b", "2"), 2u);
  EXPECT_EQ(metadata_->txn({{{"/a", 1}}, {}, {}})->revision, 2u) << "one that writes nothing raises nothing";
  open();
  EXPECT_EQ(put("/a", "3"), 3u);
  auto value = metadata_->get("/a");
  ASSERT_TRUE(value.ok() && value->has_value());
  EXPECT_EQ((*value)->value, "3");
  EXPECT_EQ((*value)->mod_revision, 3u);
  EXPECT_FALSE(metadata_->get("/none")->has_value());
}

TEST_F(MetadataTest, ATransactionHappensWholeOrNotAtAll) {
  put("/a", "1");
  auto result = metadata_->txn({{{"/a", 1}, {"/b", 5}}, {{"/c", "x"}}, {"/a"}});
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->committed);
  EXPECT_TRUE(metadata_->get("/a")->has_value());
  EXPECT_FALSE(metadata_->get("/c")->has_value());
  result = metadata_->txn({{{"/a", 1}, {"/b", 0}}, {{"/c", "x"}}, {"/a"}});
  EXPECT_TRUE(result->committed);
  EXPECT_FALSE(metadata_->get("/a")->has_value());
  EXPECT_TRUE(metadata_->get("/c")->has_value());
}

TEST_F(MetadataTest, OfTwoThatCompareTheSameRevisionOneWins) {
  put("/epoch", "0");
  std::atomic<int> wins{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      if (metadata_->txn({{{"/epoch", 1}}, {{"/epoch", "1"}}, {}})->committed) ++wins;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wins, 1);
}

TEST_F(MetadataTest, ListsByPrefixInOrder) {
  put("/p/b", "2");
  put("/p/a", "1");
  put("/q", "3");
  auto items = metadata_->list("/p/");
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 2u);
  EXPECT_EQ((*items)[0].key, "/p/a");
  EXPECT_EQ(metadata_->list("/")->size(), 3u) << "the store's own key is not listed";
}

TEST_F(MetadataTest, ASecondProcessIsRefused) {
  auto second = open_rocksdb_metadata(directory_ + "/db");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::WORK_DIR_IN_USE);
}

TEST_F(MetadataTest, SecretsAreSealedUnderAKeyOfTheirOwn) {
  const std::string file = directory_ + "/master.key";
  auto sealer = Sealer::open(file, false);
  ASSERT_TRUE(sealer.ok()) << sealer.error().to_string();
  struct stat info {};
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::string sealed = sealer->seal(Secret("pa55word"));
  EXPECT_EQ(sealed.find("pa55"), std::string::npos);
  EXPECT_NE(sealed, sealer->seal(Secret("pa55word")));
  EXPECT_EQ(Sealer::open(file, false)->unseal(sealed)->reveal(), "pa55word");
  sealed.back() ^= 1;
  EXPECT_EQ(sealer->unseal(sealed).error().code(), ErrorCode::CORRUPTED);
  EXPECT_EQ(Sealer::open(directory_ + "/other.key", false)->unseal(sealer->seal(Secret("x"))).error().code(),
            ErrorCode::CORRUPTED);
  EXPECT_EQ(sealer->unseal("short").error().code(), ErrorCode::CORRUPTED);
}

TEST_F(MetadataTest, KeyFilesThatOthersCanReadOrThatAreNoKeysAreRefused) {
  const std::string file = directory_ + "/master.key";
  ASSERT_TRUE(Sealer::open(file, false).ok());
  ASSERT_EQ(chmod(file.c_str(), 0644), 0);
  EXPECT_EQ(Sealer::open(file, false).error().code(), ErrorCode::IO_ERROR);
  ASSERT_EQ(chmod(file.c_str(), 0600), 0);
  std::ofstream(file) << "not hexadecimal";
  EXPECT_EQ(Sealer::open(file, false).error().code(), ErrorCode::INVALID_ARGUMENT);
}

TEST_F(MetadataTest, ALostMasterKeyIsNotReplacedByANewOne) {
  const std::string file = directory_ + "/lost.key";
  auto lost = Sealer::open(file, true);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::NOT_FOUND);
  EXPECT_FALSE(std::filesystem::exists(file));
  ASSERT_TRUE(Sealer::open(file, false).ok());
  EXPECT_TRUE(Sealer::open(file, true).ok());
}

// A coordinator with long leases, then several with short ones: the long ones count until they are over.
TEST_F(MetadataTest, ALongLeaseIsRememberedOverAnyNumberOfRestarts) {
  using namespace std::chrono_literals;
  auto first = begin_term(*metadata_, 60'000ms);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->number, 1u);
  EXPECT_EQ(first->earlier_ttl, 60'000ms);
  EXPECT_EQ(first->settle, nullptr);
  Term last;
  for (uint64_t start = 2; start < 5; ++start) {
    auto next = begin_term(*metadata_, 10'000ms);
    ASSERT_TRUE(next.ok());
    last = *next;
    EXPECT_EQ(last.number, start);
    EXPECT_EQ(last.earlier_ttl, 60'000ms) << start;
  }
  ASSERT_NE(last.settle, nullptr);
  ASSERT_TRUE(metadata_->txn(*last.settle)->committed);
  auto later = begin_term(*metadata_, 10'000ms);
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(later->number, 5u) << "settling changes no term";
  EXPECT_EQ(later->earlier_ttl, 10'000ms);
}

}  // namespace
}  // namespace sluice::coordinator

// The note that a work directory keeps of its project, and what is removed with it.
#include "cli/work_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

WorkProject project() {
  WorkProject project{"np_1", "mysql://a@s:3306", "mysql://b@t:3306", "2026-11-21T07:23:15Z", {}};
  project.options.includes = {"a.*", "`b`.x"};
  project.options.verify = false;
  project.options.memory_bytes = 3ULL << 32;
  project.options.skip_checks = {"LOG_BIN"};
  project.options.truncate_target = true;
  project.options.meta_database = "meta";
  return project;
}

TEST(WorkDir, TheProjectAndItsOptionsComeBack) {
  testing::TempDir folder;
  ASSERT_TRUE(write_work_project(folder.path(), project()).ok());
  auto back = read_work_project(folder.path());
  ASSERT_TRUE(back.ok()) << back.error().to_string();
  EXPECT_EQ(back->id, "np_1");
  EXPECT_EQ(back->target, "mysql://b@t:3306");
  EXPECT_EQ(back->options, project().options);
}

TEST(WorkDir, AnythingElseIsATypedError) {
  testing::TempDir folder;
  EXPECT_EQ(read_work_project(folder.path()).error().code(), ErrorCode::NOT_FOUND);
  for (const char* text :
       {"", "[]", "7", "{\"source\":1}", "{\"project\":\"np_1\"", "{\"project\":\"np_1\"}", "null"}) {
    std::ofstream(folder.file("project.json"), std::ios::trunc) << text;
    auto read = read_work_project(folder.path());
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code(), ErrorCode::CORRUPTED) << text;
  }
}

TEST(WorkDir, ANewProjectNeedsADirectoryOfItsOwn) {
  testing::TempDir folder;
  EXPECT_TRUE(check_unused(folder.file("missing")).ok());
  EXPECT_TRUE(check_unused(folder.path()).ok());
  std::ofstream(folder.file("lock")) << "";
  EXPECT_TRUE(check_unused(folder.path()).ok()) << "a start that died at once left only this";
  std::ofstream(folder.file("letter.txt")) << "dear";
  EXPECT_EQ(check_unused(folder.path()).error().code(), ErrorCode::INVALID_ARGUMENT);
  fs::remove(folder.file("letter.txt"));
  ASSERT_TRUE(write_work_project(folder.path(), project()).ok());
  EXPECT_NE(check_unused(folder.path()).error().cause().find("--resume"), std::string::npos);
}

TEST(WorkDir, OnlyWhatIsOursIsRemoved) {
  testing::TempDir folder;
  const std::string work = folder.file("work");
  fs::create_directories(work + "/agent/components/x");
  fs::create_directories(work + "/coordinator");
  for (const char* name : {"lock", "processes", "agent.log", "agent/components/x/component.log", "mine.txt"})
    std::ofstream(work + "/" + name) << "x";
  ASSERT_TRUE(write_work_project(work, project()).ok());
  auto gone = remove_work_dir(work);
  ASSERT_TRUE(gone.ok());
  EXPECT_FALSE(*gone);
  EXPECT_TRUE(fs::exists(work + "/mine.txt"));
  EXPECT_EQ(std::distance(fs::directory_iterator(work), fs::directory_iterator()), 1);
  fs::remove(work + "/mine.txt");
  gone = remove_work_dir(work);
  ASSERT_TRUE(gone.ok());
  EXPECT_TRUE(*gone);
  EXPECT_FALSE(fs::exists(work));
}

}  // namespace
}  // namespace sluice::cli

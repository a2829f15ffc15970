// The decoder's pieces against byte examples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "engines/mysql/binlog/charset.hpp"
#include "engines/mysql/binlog/events.hpp"
#include "engines/mysql/binlog/image_decoder.hpp"
#include "engines/mysql/binlog/inflate.hpp"
#include "engines/mysql/binlog/json.hpp"
#include "engines/mysql/binlog/values.hpp"

namespace sluice::mysql {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  std::string digits;
  for (char c : hex) {
    if (c == ' ') continue;
    digits.push_back(c);
    if (digits.size() == 2) bytes.push_back(static_cast<char>(std::stoi(digits, nullptr, 16))), digits.clear();
  }
  return bytes;
}

// One NOT NULL value through the decoder.
std::string decode(const ColumnPlan& plan, std::string_view hex) {
  std::string bytes = std::string(1, '\0') + from_hex(hex);
  std::string_view image = bytes;
  ImageDecoder decoder;
  ValueView value;
  uint8_t present = 1;
  Status status = decoder.decode({&plan, 1}, &present, &image, {&value, 1});
  if (!status.ok()) return "error";
  EXPECT_TRUE(image.empty());
  if (plan.physical == Physical::kInt) return std::to_string(value.i);
  if (plan.physical == Physical::kUInt) return std::to_string(value.u);
  return std::string(value.bytes);
}

ColumnPlan plan(Packing packing, uint8_t scale = 0, Physical physical = Physical::kBytes) {
  ColumnPlan plan;
  plan.packing = packing;
  plan.scale = scale;
  plan.physical = physical;
  return plan;
}

TEST(BinlogValues, Times) {
  EXPECT_EQ("-12:34:56", decode(plan(Packing::kTime2), "7f3748"));
  EXPECT_EQ("-00:00:00.100", decode(plan(Packing::kTime2, 3), "7fffff fc18"));
  EXPECT_EQ("00:00:00", decode(plan(Packing::kTime2), "800000"));
  EXPECT_EQ("2024-05-06 07:08:09.123456", decode(plan(Packing::kDatetime2, 6), "99b34c7209 01e240"));
  EXPECT_EQ("0000-00-00 00:00:00", decode(plan(Packing::kDatetime2), "8000000000"));
  EXPECT_EQ("2024-05-06 07:08:09.123", decode(plan(Packing::kTimestamp2, 3), "663881d9 04ce"));
  EXPECT_EQ("0000-00-00 00:00:00.00", decode(plan(Packing::kTimestamp2, 2), "00000000 00"));
  EXPECT_EQ("2038-01-19 03:14:07", decode(plan(Packing::kTimestamp2), "7fffffff"));
  EXPECT_EQ("2106-02-07 06:28:15", decode(plan(Packing::kTimestamp2), "ffffffff"));
  EXPECT_EQ("1970-01-01 00:00:01", decode(plan(Packing::kTimestampOld), "01000000"));
  EXPECT_EQ("2024-05-06 07:08:09", decode(plan(Packing::kDatetimeOld), "19a72c9c68120000"));
  EXPECT_EQ("-12:34:56", decode(plan(Packing::kTimeOld), "c01dfe"));
  EXPECT_EQ("2024-02-29", decode(plan(Packing::kDate), "5dd00f"));
  EXPECT_EQ("error", decode(plan(Packing::kTime2, 3), "7fffff fc"));
}

std::string decimal(unsigned precision, unsigned scale, std::string_view hex) {
  ColumnPlan p = plan(Packing::kDecimal, static_cast<uint8_t>(scale));
  p.precision = static_cast<uint8_t>(precision);
  p.size = static_cast<uint32_t>(values::decimal_size(precision, scale));
  return decode(p, hex);
}

TEST(BinlogValues, Decimals) {
  EXPECT_EQ("1234567890.1234", decimal(14, 4, "810dfb38d204d2"));
  EXPECT_EQ("-1234567890.1234", decimal(14, 4, "7ef204c72dfb2d"));
  EXPECT_EQ("0.00", decimal(4, 2, "8000"));
  EXPECT_EQ("0.9", decimal(1, 1, "89"));
  EXPECT_EQ("-0.9", decimal(1, 1, "76"));
  EXPECT_EQ("7", decimal(1, 0, "87"));
  EXPECT_EQ("0.00", decimal(4, 2, "7fff"));  // no negative zero
  EXPECT_EQ("error", decimal(14, 4, "810dfb38d204"));
}

TEST(BinlogValues, Integers) {
  EXPECT_EQ("-1", decode(plan(Packing::kInt3, 0, Physical::kInt), "ffffff"));
  EXPECT_EQ("-8388608", decode(plan(Packing::kInt3, 0, Physical::kInt), "000080"));
  EXPECT_EQ("16777215", decode(plan(Packing::kUInt3, 0, Physical::kUInt), "ffffff"));
  EXPECT_EQ("-9223372036854775808", decode(plan(Packing::kInt8, 0, Physical::kInt), "0000000000000080"));
  EXPECT_EQ("0", decode(plan(Packing::kYear, 0, Physical::kUInt), "00"));
  EXPECT_EQ("2155", decode(plan(Packing::kYear, 0, Physical::kUInt), "ff"));
  ColumnPlan bit = plan(Packing::kBit, 0, Physical::kUInt);
  bit.length_bytes = 2;
  EXPECT_EQ("257", decode(bit, "0101"));
}

TEST(BinlogValues, BytesWhoseTailIsLeftOut) {
  ColumnPlan binary = plan(Packing::kPaddedBytes);
  binary.length_bytes = 1, binary.size = 4;
  EXPECT_EQ(from_hex("61000000"), decode(binary, "0161"));
  EXPECT_EQ("error", decode(binary, "056162636465"));
  ColumnPlan uuid = plan(Packing::kUuid);
  uuid.length_bytes = 1, uuid.size = 16;
  EXPECT_EQ("01000000-0000-0000-0000-000000000000", decode(uuid, "0101"));
  ColumnPlan inet = plan(Packing::kInet4);
  inet.length_bytes = 1, inet.size = 4;
  EXPECT_EQ("10.0.0.0", decode(inet, "010a"));
  inet = plan(Packing::kInet6);
  inet.length_bytes = 1, inet.size = 16;
  EXPECT_EQ("2001:db8::", decode(inet, "0420010db8"));
}

TEST(BinlogValues, CompressedColumns) {
  ColumnPlan column = plan(Packing::kCompressedBytes);
  column.length_bytes = 1;
  EXPECT_EQ("abc", decode(column, "04 00616263"));
  EXPECT_EQ("", decode(column, "00"));
  EXPECT_EQ("error", decode(column, "04 8100ffff"));
  EXPECT_EQ("error", decode(column, "06 84ffffffff00"));  // a length that such few bytes cannot have
}

std::string json(std::string_view hex) {
  std::string text;
  Status status = append_json_text(text, from_hex(hex));
  return status.ok() ? text : "error";
}

TEST(BinlogJson, PrintsAsTheServer) {
  EXPECT_EQ("null", json(""));
  EXPECT_EQ("null", json("0400"));
  EXPECT_EQ("true", json("0401"));
  EXPECT_EQ("-2", json("05feff"));
  EXPECT_EQ("18446744073709551615", json("0affffffffffffffff"));
  EXPECT_EQ("1.5", json("0b000000000000f83f"));
  EXPECT_EQ("1.0", json("0b000000000000f03f"));
  EXPECT_EQ("\"a\\\"b\\n\"", json("0c046122620a"));
  EXPECT_EQ("[1, \"x\"]", json("02 0200 0c00 050100 0c0a00 0178"));
  EXPECT_EQ("{\"a\": 1}", json("00 0100 0c00 0b00 0100 050100 61"));
  EXPECT_EQ("{}", json("00 0000 0400"));
  EXPECT_EQ("\"base64:type16:AQI=\"", json("0f 10 02 0102"));
  EXPECT_EQ("12.3", json("0f f6 04 0301 8c03"));
  EXPECT_EQ("\"2015-01-15 23:24:25.000000\"", json("0f 0c 08 00000019761f9519"));
}

TEST(BinlogJson, RefusesWhatIsNoDocument) {
  EXPECT_EQ("error", json("07"));
  EXPECT_EQ("error", json("0c05616263"));
  EXPECT_EQ("error", json("02 ffff ffff"));
  EXPECT_EQ("error", json("02 0100 0700 020000"));  // contains itself
  EXPECT_EQ("error", json("63"));
}

TEST(BinlogGtid, MariaDb) {
  auto ddl = parse_mariadb_gtid(from_hex("6400000000000000 00000000 29 000000000000"), 1);
  ASSERT_TRUE(ddl.ok());
  EXPECT_EQ("0-1-100", ddl->text);
  EXPECT_TRUE(ddl->standalone);
  auto xa = parse_mariadb_gtid(from_hex("0500000000000000 02000000 4c 01000000 01 01 6162"), 7);
  ASSERT_TRUE(xa.ok());
  EXPECT_EQ("2-7-5", xa->text);
  EXPECT_TRUE(xa->prepared_xa && !xa->standalone);
  auto alter = parse_mariadb_gtid(from_hex("0500000000000000 00000000 29 000000000000 04 0300000000000000"), 7);
  ASSERT_TRUE(alter.ok());
  EXPECT_EQ(kCommitAlter, alter->alter_phase);
  EXPECT_FALSE(parse_mariadb_gtid(from_hex("0500"), 7).ok());
  auto list = parse_mariadb_gtid_list(
      from_hex("02000000 00000000 01000000 0700000000000000 05000000 02000000 0900000000000000"));
  ASSERT_TRUE(list.ok());
  EXPECT_EQ("0-1-7,5-2-9", *list);
}

TEST(BinlogGtid, MySql) {
  std::string sid = "3e11fa4771ca11e19e33c80aa9429562";
  auto plain = parse_mysql_gtid(
      from_hex("00" + sid + "1700000000000000 02 0000000000000000 0100000000000000 40420f00000000"), false);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ("3e11fa47-71ca-11e1-9e33-c80aa9429562:23", plain->text);
  EXPECT_EQ(1'000'000, plain->commit_time_us);
  EXPECT_EQ("", parse_mysql_gtid(from_hex("00" + sid + "0000000000000000"), true)->text);
  auto set = parse_previous_gtids(from_hex("0100000000000000" + sid +
                                           "0200000000000000 0100000000000000 0600000000000000"
                                           "0800000000000000 0900000000000000"));
  ASSERT_TRUE(set.ok());
  EXPECT_EQ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:8", *set);
}

TEST(BinlogGtid, SetsGoThereAndBack) {
  for (const char* text : {"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:8",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:1,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-9",
                           "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1-3:7"}) {
    auto bytes = encode_gtid_set(text);
    ASSERT_TRUE(bytes.ok()) << text;
    EXPECT_EQ(text, *parse_previous_gtids(*bytes));
  }
  EXPECT_EQ(std::string(8, '\0'), *encode_gtid_set(""));
  EXPECT_FALSE(encode_gtid_set("0-1-100").ok());
  EXPECT_FALSE(encode_gtid_set("3e11fa47-71ca-11e1-9e33-c80aa9429562:5-1").ok());
}

TEST(BinlogXa, OneIdentityInEventAndText) {
  auto prepared = parse_xa_prepare(from_hex("00 01000000 02000000 01000000 6162 63"));
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->xid, xid_from_sql("XA COMMIT X'6162',X'63',1"));
  EXPECT_EQ("1:6162:", xid_from_sql("XA ROLLBACK X'6162',X'',1"));
  EXPECT_EQ("", xid_from_sql("XA COMMIT"));
}

TEST(BinlogStatements, AreToldByTheirFirstWord) {
  EXPECT_EQ(StatementKind::kDataChange, statement_kind("/* x */ -- y\n # z\n insert into a values (1)"));
  EXPECT_EQ(StatementKind::kDataChange, statement_kind("/*!40000 UPDATE a SET b=1 */"));
  EXPECT_EQ(StatementKind::kDataChange, statement_kind("/*M!100100 delete from a */"));
  EXPECT_EQ(StatementKind::kDataChange, statement_kind("WITH x AS (SELECT 1) DELETE FROM a"));
  EXPECT_EQ(StatementKind::kDataChange, statement_kind("LOAD DATA INFILE 'x' INTO TABLE a"));
  EXPECT_EQ(StatementKind::kDdl, statement_kind("CREATE TABLE a (b INT)"));
  EXPECT_EQ(StatementKind::kDdl, statement_kind("TRUNCATE a"));
  EXPECT_EQ(StatementKind::kDdl, statement_kind("updates"));
  EXPECT_EQ(StatementKind::kBegin, statement_kind("BEGIN"));
  EXPECT_EQ(StatementKind::kRollback, statement_kind("ROLLBACK"));
  EXPECT_EQ(StatementKind::kRollbackTo, statement_kind("ROLLBACK TO `s`"));
  EXPECT_EQ(StatementKind::kXaStart, statement_kind("XA START X'61',X'',1"));
  EXPECT_EQ(StatementKind::kXaRollback, statement_kind("XA ROLLBACK X'61',X'',1"));
}

TEST(BinlogCharset, TextBecomesUtf8) {
  EXPECT_EQ("äé€", *to_utf8("latin1", "\xe4\xe9\x80"));
  EXPECT_EQ("你", *to_utf8("gbk", "\xc4\xe3"));
  EXPECT_EQ("x", *to_utf8("ucs2", std::string_view("\0x", 2)));
  EXPECT_EQ("plain", *to_utf8("dec8", "plain"));
  EXPECT_EQ("UNSUPPORTED", to_utf8("dec8", "\xe9").error().id());
  EXPECT_EQ("UNSUPPORTED", to_utf8("swe7", "x").error().id());
  EXPECT_FALSE(to_utf8("gbk", "\xc4").ok());
}

// What cannot be converted swallows nothing of what stands around it.
TEST(BinlogCharset, WhatCannotBeConvertedIsReplaced) {
  EXPECT_EQ("a\ufffdb", to_utf8_leniently("dec8",
                                          "a\xe9"
                                          "b"));
  EXPECT_EQ("\ufffd`t`", to_utf8_leniently("number 999", "\xff`t`"));
  EXPECT_EQ("'\ufffd' `t`", to_utf8_leniently("sjis", "'\x87\x60' `t`"));
  EXPECT_EQ("\u30bd'", to_utf8_leniently("sjis", "\x83\x5c'"));
  EXPECT_EQ("\ufffd", to_utf8_leniently("gbk", "\xc4"));
  EXPECT_EQ("[", to_utf8_leniently("swe7", "["));
  EXPECT_EQ("", to_utf8_leniently("sjis", ""));
}

TEST(BinlogCompression, MariaDb) {
  std::string text(1000, 'x');
  uLongf size = compressBound(1000);
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(text.data()), 1000);
  packed.resize(size);
  std::string out;
  ASSERT_TRUE(inflate_mariadb(from_hex("82 03e8") + packed, &out).ok());
  EXPECT_EQ(text, out);
  EXPECT_FALSE(inflate_mariadb(from_hex("82 03e9") + packed, &out).ok());
  EXPECT_FALSE(inflate_mariadb(from_hex("84 ffffffff") + packed, &out).ok());
  EXPECT_FALSE(inflate_mariadb("", &out).ok());
}

}  // namespace
}  // namespace sluice::mysql

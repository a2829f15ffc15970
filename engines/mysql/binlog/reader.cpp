#include "engines/mysql/binlog/reader.hpp"

#include <mysql.h>
// After mysql.h, which it needs.
#include <ma_pvio.h>

#include <sys/ioctl.h>

#include <cstdio>
#include <random>
#include <utility>

#include "core/log.hpp"
#include "engines/mysql/binlog/branch_search.hpp"
#include "engines/mysql/binlog/bytes.hpp"
#include "engines/mysql/binlog/source_setup.hpp"
#include "engines/mysql/binlog/stream.hpp"
#include "engines/mysql/connection.hpp"
#include "engines/mysql/sql_text.hpp"

namespace sluice::mysql {

namespace {

constexpr std::chrono::milliseconds kSetupTimeout{300'000};  // BINLOG_GTID_POS reads a log file from its beginning
constexpr auto kDumpGtid = static_cast<enum_server_command>(0x1e);
constexpr unsigned char kEndOfStream = 0xfe;

void put(std::string& out, uint64_t value, size_t size) { out.append(reinterpret_cast<const char*>(&value), size); }

class NetworkReader final : public BinlogReader {
 public:
  NetworkReader(const Endpoint& endpoint, const BinlogOptions& options, SchemaSource& source)
      : endpoint_(endpoint),
        options_(options),
        source_(source),
        stopper_(options.stopper ? options.stopper : std::make_shared<Stopper>()),
        branch_search_(endpoint_, source_, stopper_) {}

  Status start(const Position& from);
  Status read(BinlogHandler& handler) override;
  void stop() override { stopper_->stop(); }

 private:
  Status set_session(const StartPoint& start);
  Status register_replica();
  Status send_dump(const StartPoint& start);
  Status command(enum_server_command code, const std::string& argument, bool answered);
  Status next_event(std::string_view* event);
  bool more_waiting() const;
  Error last_error();

  Endpoint endpoint_;
  BinlogOptions options_;
  SchemaSource& source_;
  std::shared_ptr<Stopper> stopper_;
  Collations collations_;
  BranchSearch branch_search_;
  std::unique_ptr<Connection> connection_;
  std::optional<Stopper::Watch> watch_;
  std::unique_ptr<EventStream> stream_;
  BinlogHandler* handler_ = nullptr;
};

Status NetworkReader::start(const Position& from) {
  if (options_.server_id == 0) return Error(ErrorCode::INVALID_ARGUMENT, "server_id 0 cannot read a binlog");
  StartPoint start;
  StreamSettings settings;
  {
    ConnectOptions options;
    options.purpose = Purpose::kCatalog;
    options.io_timeout = kSetupTimeout;
    options.application = "sluice-store";
    SLUICE_ASSIGN(auto setup, Connection::open(endpoint_, options));
    Stopper::Watch watch(*stopper_, *setup);
    SLUICE_ASSIGN(start, choose_start(*setup, from));
    SLUICE_TRY(load_collations(*setup, &collations_));
    SLUICE_ASSIGN(settings, time_zones(*setup));
    SLUICE_ASSIGN(settings.folds_names, folds_names(*setup));
  }
  ConnectOptions options;
  options.purpose = Purpose::kCatalog;
  options.io_timeout = options_.read_timeout;
  options.application = "sluice-store";
  SLUICE_ASSIGN(connection_, Connection::open(endpoint_, options));
  watch_.emplace(*stopper_, *connection_);
  SLUICE_TRY(set_session(start));
  SLUICE_TRY(register_replica());
  SLUICE_TRY(send_dump(start));
  settings.pass_unknown_branches = options_.pass_unknown_branches;
  settings.branches_only = options_.branches_only;
  settings.find_branch = [this](const std::string& xid, const Position& until) {
    return branch_search_.find(xid, until, *handler_);
  };
  stream_ = std::make_unique<EventStream>(source_, collations_, std::move(settings));
  stream_->start(start.position, start.gtids_known);
  for (XaBranchPtr& branch : options_.branches) stream_->keep(std::move(branch));
  log::info(
      "mysql.binlog", "reading",
      {{"source", endpoint_.display()}, {"from", start.position.to_string()}, {"by", start.by_gtid ? "gtid" : "file"}});
  return {};
}

Status NetworkReader::set_session(const StartPoint& start) {
  auto set = [this](const std::string& sql) -> Status {
    auto result = connection_->exec("SET " + sql);
    return result.ok() ? Status() : Status(result.error());
  };
  std::string period = std::to_string(std::chrono::nanoseconds(options_.heartbeat_period).count());
  SLUICE_TRY(set("@master_heartbeat_period=" + period));
  // The checksum that the log has is announced; the server would send it even if another one were. MySQL has none
  // before 5.6.2.
  const ServerVersion& version = connection_->version();
  if (version.mariadb || version.number >= 50'602) SLUICE_TRY(set("@master_binlog_checksum=@@global.binlog_checksum"));
  if (version.mariadb) {
    SLUICE_TRY(set("@mariadb_slave_capability=4"));
    if (start.by_gtid)
      SLUICE_TRY(set("@slave_connect_state=" + quoted(start.position.gtids) + ", @slave_gtid_strict_mode=0"));
    return {};
  }
  char uuid[40];  // of its own per server_id: the server ends an older reader with the same one
  std::snprintf(uuid, sizeof uuid, "534c5543-4500-4000-8000-%012x", options_.server_id);
  std::string own = quoted(uuid);
  return set("@source_heartbeat_period=" + period +
             ", @source_binlog_checksum=@master_binlog_checksum, @slave_uuid=" + own + ", @replica_uuid=" + own);
}

Status NetworkReader::command(enum_server_command code, const std::string& argument, bool answered) {
  MYSQL* mysql = connection_->raw();
  int failed = mysql->methods->db_command(mysql, code, argument.data(), argument.size(), answered ? 0 : 1, nullptr);
  return failed == 0 ? Status() : Status(last_error());
}

Status NetworkReader::register_replica() {
  std::string argument;
  put(argument, options_.server_id, 4);
  std::string name = "sluice";
  put(argument, name.size(), 1);
  argument += name;
  put(argument, 0, 1);  // user
  put(argument, 0, 1);  // password
  put(argument, 0, 2);  // port
  put(argument, 0, 8);  // rank, master id
  return command(COM_REGISTER_SLAVE, argument, true);
}

Status NetworkReader::send_dump(const StartPoint& start) {
  std::string argument;
  if (start.by_gtid && !connection_->version().mariadb) {
    SLUICE_ASSIGN(std::string set, encode_gtid_set(start.position.gtids));
    put(argument, 0, 2);
    put(argument, options_.server_id, 4);
    put(argument, 0, 4);  // no file name
    put(argument, 4, 8);
    put(argument, set.size(), 4);
    argument += set;
    return command(kDumpGtid, argument, false);
  }
  put(argument, start.by_gtid ? 4 : start.position.offset, 4);
  put(argument, 0, 2);
  put(argument, options_.server_id, 4);
  if (!start.by_gtid) argument += start.position.file;
  return command(COM_BINLOG_DUMP, argument, false);
}

Error NetworkReader::last_error() {
  if (stopper_->stopped()) return Error(ErrorCode::CANCELLED, "the reader was stopped");
  unsigned number = mysql_errno(connection_->raw());
  std::string text = mysql_error(connection_->raw());
  if (number >= 2000 && number < 3000) {
    text += "; the server closed the connection, or sent not even a heartbeat for " +
            std::to_string(options_.read_timeout.count()) + " ms";
  }
  return dump_error(number, text, endpoint_);
}

Status NetworkReader::next_event(std::string_view* event) {
  MYSQL* mysql = connection_->raw();
  unsigned long size = mysql_net_read_packet(mysql);
  if (size == packet_error) return last_error();
  const unsigned char* packet = mysql->net.read_pos;
  if (size == 0) return invalid_event("an empty packet");
  if (packet[0] == kEndOfStream && size < 9) {
    return Error(ErrorCode::CONNECTION_LOST, "the server ended the stream", endpoint_.display());
  }
  if (packet[0] != 0) return invalid_event("a packet that holds no event");
  *event = std::string_view(reinterpret_cast<const char*>(packet) + 1, size - 1);
  return {};
}

// Whether the next event, or its beginning, is on this machine already.
bool NetworkReader::more_waiting() const {
  const MARIADB_PVIO* io = connection_->raw()->net.pvio;
  if (io != nullptr && io->cache != nullptr && io->cache + io->cache_size > io->cache_pos) return true;
  int bytes = 0;
  return ::ioctl(mysql_get_socket(connection_->raw()), FIONREAD, &bytes) == 0 && bytes > 0;
}

Status NetworkReader::read(BinlogHandler& handler) {
  handler_ = &handler;
  stream_->set_handler(handler);
  for (;;) {
    if (stopper_->stopped()) return Error(ErrorCode::CANCELLED, "the reader was stopped");
    std::string_view event;
    if (Status status = next_event(&event); !status.ok()) {
      return status.error().with_position(stream_->position().to_string());
    }
    SLUICE_TRY(stream_->event(event));
    if (more_waiting()) continue;
    SLUICE_TRY(stream_->report_progress());
    SLUICE_TRY(handler.on_idle());
  }
}

}  // namespace

uint32_t random_server_id() {
  std::random_device random;
  return std::uniform_int_distribution<uint32_t>(1U << 30, ~0U)(random);
}

Result<std::unique_ptr<BinlogReader>> BinlogReader::open(const Endpoint& endpoint, const Position& from,
                                                         const BinlogOptions& options, SchemaSource& source) {
  auto reader = std::make_unique<NetworkReader>(endpoint, options, source);
  if (Status started = reader->start(from); !started.ok()) {
    if (options.stopper && options.stopper->stopped()) return Error(ErrorCode::CANCELLED, "the reader was stopped");
    return started.error();
  }
  return std::unique_ptr<BinlogReader>(std::move(reader));
}

}  // namespace sluice::mysql

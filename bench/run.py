#!/usr/bin/python3
"""Benchmarks beside their peers (bench/README.md)."""
import argparse
import glob
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from mariadb_server import PASSWORD, Server  # noqa: E402

ENVIRONMENT = {**os.environ, "SLUICE_SOURCE_PASSWORD": PASSWORD, "SLUICE_TARGET_PASSWORD": PASSWORD}


def query(server, *statements, database=None):
    connection = server.connect(database)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall()
    connection.close()
    return rows


def wait_until(condition, patience):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("waited too long")
        time.sleep(0.01)


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = tempfile.mkdtemp(prefix="sluice-bench-")
        os.chmod(self.folder, 0o755)
        self.servers = []
        self.peak_kib = {}
        self.watching = threading.Event()

    def server(self, name, server_id, *options):
        prepared = os.path.join(self.folder, "prepared")
        if not os.path.exists(prepared):
            Server(self.folder, "prepared", 99)
        server = Server(self.folder, name, server_id, prepared=prepared, options=options)
        server.start()
        self.servers.append(server)
        return server

    def stop(self, server):
        server.stop()
        self.servers.remove(server)
        shutil.rmtree(server.data, ignore_errors=True)

    def close(self):
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def migrate(self, source, target, work, *options):
        command = [self.arguments.sluice, "migrate", source.url(), target.url(), "--include", "bench.*", "--progress", "none",
                   "--work-dir", os.path.join(self.folder, work), *options]
        return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        _, errors = process.communicate(timeout=1800)
        if process.returncode != 0:
            raise RuntimeError(f"sluice migrate ended with {process.returncode}:\n{errors}")

    def watch_memory(self):
        """Highest resident size of each kind of Sluice process, by its command line."""
        self.watching.clear()
        while not self.watching.wait(0.2):
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    words = open(path, "rb").read().decode(errors="replace").split("\0")
                    if not words[0].endswith("sluice") and "sluice" not in words[0]:
                        continue
                    kind = " ".join(word for word in words[1:3] if not word.startswith("-") and "/" not in word)
                    status = open(path.replace("cmdline", "status")).read()
                    peak = int(status.split("VmHWM:")[1].split()[0])
                    self.peak_kib[kind] = max(self.peak_kib.get(kind, 0), peak)
                except (OSError, IndexError, ValueError):
                    continue


def sysbench_tables(server, rows, tables=4):
    query(server, "CREATE DATABASE bench")
    subprocess.run(["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={server.port}",
                    "--mysql-user=sluice", f"--mysql-password={PASSWORD}", "--mysql-db=bench", f"--tables={tables}",
                    f"--table-size={rows // tables}", "--threads=2", "prepare"], check=True, stdout=subprocess.DEVNULL)


def full_import(bench):
    rows = bench.arguments.rows
    source = bench.server("source", 1)
    sysbench_tables(source, rows)
    times = {"sluice": [], "peer": []}
    for round_number in range(bench.arguments.rounds):
        target = bench.server("target", 2)
        started = time.monotonic()
        bench.finish(bench.migrate(source, target, f"work{round_number}", "--steps", "schema,full"))
        times["sluice"].append(time.monotonic() - started)
        assert query(target, "SELECT COUNT(*) FROM bench.sbtest1")[0][0] == rows // 4
        bench.stop(target)

        target = bench.server("target", 2)
        dump = os.path.join(bench.folder, "dump")
        login = ["--host", "127.0.0.1", "--user", "sluice", "--password", PASSWORD, "--threads", "4"]
        started = time.monotonic()
        subprocess.run(["mydumper", *login, "--port", str(source.port), "--database", "bench", "--outputdir", dump, "--rows", "100000"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["myloader", *login, "--port", str(target.port), "--directory", dump, "--overwrite-tables"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times["peer"].append(time.monotonic() - started)
        assert query(target, "SELECT COUNT(*) FROM bench.sbtest1")[0][0] == rows // 4
        shutil.rmtree(dump)
        bench.stop(target)
    mine, peer = (statistics.median(times[who]) for who in ("sluice", "peer"))
    return {"rows": rows, "seconds": times, "rows_per_second": {"sluice": rows / mine, "peer": rows / peer}, "ratio": peer / mine,
            "peer": "mydumper then myloader, 4 threads"}


BACKLOG = """CREATE PROCEDURE bench.backlog(IN many INT)
BEGIN
  DECLARE n INT DEFAULT 0;
  WHILE n < many DO
    START TRANSACTION;
    UPDATE bench.sbtest1 SET k = k + 1 WHERE id = 1 + (n * 7919) % 50000;
    UPDATE bench.sbtest2 SET c = MD5(n) WHERE id = 1 + (n * 104729) % 50000;
    INSERT INTO bench.sbtest3 (k, c, pad) VALUES (n, SHA1(n), MD5(n));
    DELETE FROM bench.sbtest4 WHERE id = 1 + (n * 31) % 50000;
    COMMIT;
    SET n = n + 1;
  END WHILE;
END"""


def start_replica(source, replica):
    host = f"master_host='127.0.0.1', master_port={source.port}, master_user='sluice', master_password='{PASSWORD}'"
    query(replica, f"CHANGE MASTER TO {host}, master_use_gtid=slave_pos")


def caught_up(source, replica):
    end = query(source, "SELECT @@gtid_binlog_pos")[0][0]
    return lambda: query(replica, "SELECT @@gtid_slave_pos")[0][0] == end


def incremental(bench):
    many = bench.arguments.transactions
    times = {"sluice": [], "peer": []}
    for round_number in range(bench.arguments.rounds):
        source, target = bench.server("source", 1), bench.server("target", 2)
        replica = bench.server("replica", 3, "--skip-log-bin")
        sysbench_tables(source, 200000)
        query(source, BACKLOG)
        start_replica(source, replica)
        query(replica, "START SLAVE")
        wait_until(caught_up(source, replica), 600)
        query(replica, "STOP SLAVE")
        work = f"work{round_number}"
        process = bench.migrate(source, target, work, "--steps", "schema,full,incr", "--follow")
        wait_until(lambda: table_count(target, "sbtest4") == 50000, 300)
        process.send_signal(signal.SIGINT)
        bench.finish(process)
        query(source, f"CALL bench.backlog({many})")
        started = time.monotonic()
        bench.finish(bench.migrate(source, target, work, "--steps", "schema,full,incr", "--resume"))
        times["sluice"].append(time.monotonic() - started)
        assert checksums(source) == checksums(target), "not equal"
        started = time.monotonic()
        query(replica, "START SLAVE")
        wait_until(caught_up(source, replica), 1800)
        times["peer"].append(time.monotonic() - started)
        for server in (source, target, replica):
            bench.stop(server)
    mine, peer = (statistics.median(times[who]) for who in ("sluice", "peer"))
    return {"transactions": many, "rows_each": 4, "seconds": times,
            "transactions_per_second": {"sluice": many / mine, "peer": many / peer}, "ratio": peer / mine,
            "peer": "MariaDB replication, serial", "note": "Sluice's time includes the start of its processes and of the Store"}


def table_count(server, table):
    try:
        return query(server, f"SELECT COUNT(*) FROM bench.{table}")[0][0]
    except Exception:
        return -1


def checksums(server):
    return [row[1] for row in query(server, "CHECKSUM TABLE bench.sbtest1, bench.sbtest2, bench.sbtest3, bench.sbtest4")]


def visible_latencies(source, watched, transactions, rate):
    """Milliseconds from the answer to COMMIT on the source until a row is seen on `watched`."""
    committed, seen, ended = {}, {}, threading.Event()

    def watch():
        connection = watched.connect("bench")
        low = 0  # everything up to here was seen; above it rows may appear in any order
        with connection.cursor() as cursor:
            while not ended.is_set() or low < transactions:
                cursor.execute("SELECT id FROM ticks WHERE id > %s", (low,))
                now = time.monotonic()
                for (number,) in cursor.fetchall():
                    seen.setdefault(number, now)
                while low + 1 in seen:
                    low += 1
        connection.close()

    query(source, "TRUNCATE TABLE bench.ticks")
    wait_until(lambda: table_count(watched, "ticks") == 0, 60)
    watcher = threading.Thread(target=watch)
    watcher.start()
    connection = source.connect("bench")
    with connection.cursor() as cursor:
        begin = time.monotonic()
        for number in range(1, transactions + 1):
            time.sleep(max(0, begin + number / rate - time.monotonic()))
            cursor.execute("INSERT INTO ticks VALUES (%s, 'x')", (number,))
            committed[number] = time.monotonic()
    connection.close()
    ended.set()
    watcher.join()
    values = sorted(max(0.0, (seen[n] - committed[n]) * 1000) for n in committed)
    return {"p50_ms": values[len(values) // 2], "p99_ms": values[len(values) * 99 // 100], "max_ms": values[-1]}


def median_latencies(bench, source, watched):
    """Medians over the rounds of each figure, and the rounds themselves."""
    rounds = [visible_latencies(source, watched, bench.arguments.ticks, 200) for _ in range(bench.arguments.rounds)]
    return {**{figure: statistics.median(one[figure] for one in rounds) for figure in rounds[0]}, "rounds": rounds}


def latency(bench):
    source, target = bench.server("source", 1), bench.server("target", 2)
    replica = bench.server("replica", 3, "--skip-log-bin")
    query(source, "CREATE DATABASE bench", "CREATE TABLE bench.ticks (id INT PRIMARY KEY, v VARCHAR(10))",
          "INSERT INTO bench.ticks VALUES (1, 'x')")
    process = bench.migrate(source, target, "work", "--follow")
    wait_until(lambda: table_count(target, "ticks") == 1, 120)
    query(source, "INSERT INTO bench.ticks VALUES (2, 'x')")
    wait_until(lambda: table_count(target, "ticks") == 2, 120)
    mine = median_latencies(bench, source, target)
    process.send_signal(signal.SIGINT)
    bench.finish(process)
    start_replica(source, replica)
    query(replica, "START SLAVE")
    wait_until(caught_up(source, replica), 60)
    peer = median_latencies(bench, source, replica)
    return {"transactions_per_second": 200, "sluice": mine, "peer_figures": peer, "ratio": peer["p50_ms"] / mine["p50_ms"],
            "peer": "MariaDB replication"}


BENCHES = {"full_import": full_import, "incremental": incremental, "latency": latency}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sluice")
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="default: all")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--transactions", type=int, default=125_000)
    parser.add_argument("--ticks", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.sluice = os.path.abspath(arguments.sluice)
    results = ROOT / "build" / "bench"
    results.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or list(BENCHES):
        bench = Bench(arguments)
        watcher = threading.Thread(target=bench.watch_memory)
        watcher.start()
        try:
            result = BENCHES[name](bench)
        finally:
            bench.watching.set()
            watcher.join()
            bench.close()
        result["peak_resident_mib"] = {kind: round(kib / 1024, 1) for kind, kib in sorted(bench.peak_kib.items())}
        (results / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
        print(f"{name}: ratio to the peer {result['ratio']:.2f}")
        print(json.dumps(result, indent=2), flush=True)


if __name__ == "__main__":
    main()

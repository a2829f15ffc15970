#!/usr/bin/python3
"""The main job on real servers, as ./dev demo runs it.

Starts two MariaDB servers in a temporary folder, fills the source, lets writers change it, moves it with
`sluice migrate --follow`, ends that with SIGINT so that it drains, and compares tables, definitions and rows of both servers,
sharing no code with Sluice. Exit status 0 only when everything is equal.
"""
import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pymysql

from mariadb_server import PASSWORD, Server

DATABASES = ["shop", "archive"]

# name -> (definition, rows, SELECT that fills it from the sequence engine; `seq` is the row's number)
TABLES = {
    "customers": ("""id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(80) NOT NULL, name VARCHAR(60),
        city VARCHAR(40) CHARACTER SET latin1, balance DECIMAL(14,2) NOT NULL DEFAULT 0, joined DATE,
        changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, UNIQUE KEY email (email)""",
                  60000, "seq, CONCAT('user', seq, '@example.com'), CONCAT('Ñame ', seq, ' 😀'), CONCAT('M\u00fcnchen', seq % 50),"
                         " 1000, DATE '2001-01-01' + INTERVAL seq % 9000 DAY, NOW()"),
    "orders": ("""id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id INT UNSIGNED NOT NULL, total DECIMAL(12,2),
        state ENUM('new','paid','sent','returned') NOT NULL DEFAULT 'new', flags SET('gift','express','fragile'),
        placed DATETIME(6), note TEXT, KEY customer_id (customer_id),
        CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE""",
               150000, "seq, 1 + seq % 60000, seq % 977 / 7, 1 + seq % 4, seq % 8, NOW(6) - INTERVAL seq SECOND,"
                       " REPEAT('note ', seq % 7)"),
    "order_lines": ("""order_id BIGINT UNSIGNED NOT NULL, line SMALLINT UNSIGNED NOT NULL, product_id INT UNSIGNED NOT NULL,
        quantity INT NOT NULL, price DECIMAL(10,4) NOT NULL, amount DECIMAL(16,4) AS (quantity * price) STORED,
        PRIMARY KEY (order_id, line), KEY product_id (product_id),
        CONSTRAINT lines_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE""",
                    300000, "1 + seq DIV 2, seq % 2, 1 + seq % 5000, 1 + seq % 9, seq % 991 / 13"),
    "products": ("""id INT UNSIGNED NOT NULL PRIMARY KEY, sku CHAR(12) CHARACTER SET ascii NOT NULL, title VARCHAR(120),
        attributes JSON, price DECIMAL(10,4), photo BLOB, discontinued BIT(1) NOT NULL DEFAULT b'0',
        title_length INT AS (CHAR_LENGTH(title)) VIRTUAL, UNIQUE KEY sku (sku)""",
                 50000, "seq, CONCAT('SKU', LPAD(seq, 9, '0')), CONCAT('Product ', seq, ' — ', MD5(seq)),"
                        " JSON_OBJECT('n', seq, 'tags', JSON_ARRAY('a', 'b')), seq % 991 / 13,"
                        " UNHEX(SHA2(seq, 256)), seq % 2"),
    "stock": ("""product_id INT UNSIGNED NOT NULL, warehouse VARCHAR(10) NOT NULL, amount INT NOT NULL, PRIMARY KEY (product_id, warehouse)""",
              100000, "1 + seq DIV 2, ELT(1 + seq % 2, 'north', 'south'), seq % 500"),
    "categories": ("""code VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL PRIMARY KEY,
        parent VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, label TEXT,
        CONSTRAINT parent FOREIGN KEY (parent) REFERENCES categories (code) ON DELETE SET NULL""",
                   500, "CONCAT('cat-é', seq), NULL, CONCAT('Category ', seq)"),
    "events": ("""happened DATETIME(3) NOT NULL, kind VARCHAR(30), payload MEDIUMTEXT""",
               20000, "NOW(3) - INTERVAL seq MINUTE, ELT(1 + seq % 3, 'login', 'click', 'buy'), CONCAT('{', seq % 100, '}')"),
    "accounts": ("id INT NOT NULL PRIMARY KEY, balance BIGINT NOT NULL", 1000, "seq, 1000"),
    "numbers": ("""id BIGINT NOT NULL PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT UNSIGNED, i INT, b BIGINT,
        bu BIGINT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(65,30), y YEAR, x BIT(64)""",
                20000, "seq, CAST(seq % 256 AS INT) - 128, seq % 256, CAST(seq % 65536 AS INT) - 32768, seq, -CAST(seq AS INT), -CAST(seq AS INT) * 1000000007, seq * 1000000007,"
                       " seq / 3, seq / 7, seq / 11, 1901 + seq % 255, seq * 2654435761"),
    "texts": ("""id INT NOT NULL PRIMARY KEY, l VARCHAR(100) CHARACTER SET latin1, u VARCHAR(100) CHARACTER SET utf8mb4, g VARCHAR(50) CHARACTER SET gbk,
        b VARBINARY(40), c CHAR(20), bin BINARY(16), lb LONGBLOB, tm TIME(2), dt DATETIME, ts TIMESTAMP NULL""",
              20000, "seq, CONCAT('caf\u00e9 ', seq), CONCAT('日本 ', seq), CONCAT('中文', seq), UNHEX(MD5(seq)), CONCAT('c', seq),"
                     " UNHEX(MD5(seq + 1)), REPEAT(CHAR(seq % 256), seq % 300), SEC_TO_TIME(seq * 37 % 3020399),"
                     " '2024-02-29 12:00:00', FROM_UNIXTIME(seq * 86400 % 2000000000 + 1)"),
}
for number in range(1, 13):
    TABLES[f"log_{number:02d}"] = (
        "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, pad CHAR(60) NOT NULL, KEY k (k)",
        24000, "seq, seq * 7919 % 100003, SHA1(seq)")

BOUNDARY_ROWS = [
    "INSERT INTO numbers VALUES (-1,-128,0,-32768,0,-2147483648,-9223372036854775808,0,-3.402823e38,-1.7976931348623157e308,"
    "-99999999999999999999999999999999999.999999999999999999999999999999,1901,0)",
    "INSERT INTO numbers VALUES (-2,127,255,32767,16777215,2147483647,9223372036854775807,18446744073709551615,3.402823e38,"
    "5e-324,99999999999999999999999999999999999.999999999999999999999999999999,2155,18446744073709551615)",
    "INSERT INTO numbers (id) VALUES (-3)",
    "INSERT INTO texts (id, u, b, lb, tm, dt) VALUES (-1, '', '', '', '-838:59:59', '0000-00-00 00:00:00')",
    "INSERT INTO texts (id, u, b, c, lb) VALUES (-2, '''\"\\\\\\n\\t\\0%_😀', UNHEX('00ff0a0d5c27'), '  lead', REPEAT(UNHEX('00015cff'), 50000))",
]


def fill(server, scale):
    connection = server.connect()
    with connection.cursor() as cursor:
        for database in DATABASES:
            cursor.execute(f"CREATE DATABASE {database}")
        cursor.execute("USE shop")
        cursor.execute("SET foreign_key_checks=0")
        total = 0
        for name, (definition, rows, select) in TABLES.items():
            cursor.execute(f"CREATE TABLE {name} ({definition}) ENGINE=InnoDB")
            rows = max(1, int(rows * scale))
            columns = [row[0] for row in columns_of(cursor, "shop", name) if "GENERATED" not in row[1]]
            cursor.execute(f"INSERT INTO {name} ({', '.join(columns)}) SELECT {select} FROM seq_1_to_{rows}")
            total += rows
        for statement in BOUNDARY_ROWS:
            cursor.execute(statement)
        cursor.execute("INSERT INTO events SELECT '2024-01-01', 'twin', 'same row, no key' FROM seq_1_to_3")
        cursor.execute("CREATE TABLE archive.old_orders LIKE shop.log_01")
        cursor.execute("INSERT INTO archive.old_orders SELECT * FROM shop.log_01")
    connection.close()
    return total


def columns_of(cursor, database, table):
    cursor.execute("SELECT column_name, extra, data_type FROM information_schema.columns WHERE table_schema=%s AND table_name=%s"
                   " ORDER BY ordinal_position", (database, table))
    return cursor.fetchall()


class Writers:
    """A few hundred transactions per second, and a DDL now and then, until stop()."""

    def __init__(self, server, seed):
        self.server, self.ended, self.transactions, self.ddl, self.failures = server, threading.Event(), 0, 0, []
        self.threads = [threading.Thread(target=self.guard, args=(self.write, seed + n)) for n in range(3)]
        self.threads.append(threading.Thread(target=self.guard, args=(self.change_definitions, seed)))

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def guard(self, work, seed):
        try:
            work(random.Random(seed))
        except Exception as error:  # shown at the end: a writer that fails quietly would make the demo weaker
            self.failures.append(repr(error))

    def write(self, rng):
        connection = self.server.connect("shop")
        connection.autocommit(False)
        statements = [
            lambda: ("UPDATE customers SET balance = balance + 1, name = %s WHERE id = %s", (f"n{rng.random()}", rng.randint(1, 60000))),
            lambda: ("INSERT INTO orders (customer_id, total, state, placed, note) SELECT id, 9.5, 2, NOW(6), 'neu ☃' FROM customers WHERE id = %s", (rng.randint(1, 60000),)),
            lambda: ("UPDATE orders SET state = 1 + id %% 4, flags = %s WHERE id = %s", (rng.randint(0, 7), rng.randint(1, 150000))),
            lambda: ("UPDATE stock SET amount = amount - 1 WHERE product_id = %s", (rng.randint(1, 50000),)),
            lambda: ("INSERT INTO events VALUES (NOW(3), 'click', %s)", (f"{{{rng.randint(0, 9)}}}",)),
            lambda: ("DELETE FROM events WHERE kind = 'click' LIMIT 1", ()),
            lambda: ("UPDATE products SET attributes = JSON_SET(attributes, '$.v', %s), discontinued = 1 - discontinued WHERE id = %s", (rng.randint(0, 9), rng.randint(1, 50000))),
            lambda: ("UPDATE texts SET l = CONCAT(l, 'x'), u = %s, lb = REPEAT('z', %s) WHERE id = %s", ("日" * rng.randint(0, 20), rng.randint(0, 2000), rng.randint(1, 20000))),
            lambda: ("UPDATE numbers SET f = f + 0.1, d = d * 1.1 + 1, x = x ^ 255 WHERE id = %s", (rng.randint(1, 20000),)),
        ]
        while not self.ended.is_set():
            try:
                with connection.cursor() as cursor:
                    for _ in range(rng.randint(1, 4)):
                        cursor.execute(*rng.choice(statements)())
                    a, b = rng.randint(1, 1000), rng.randint(1, 1000)
                    cursor.execute("UPDATE accounts SET balance = balance - 1 WHERE id = %s", (min(a, b),))
                    cursor.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", (max(a, b),))
                    if rng.random() < 0.01:
                        cursor.execute("DELETE FROM customers WHERE id = %s", (rng.randint(1, 60000),))
                connection.commit()
                self.transactions += 1
            except pymysql.err.OperationalError as error:
                if error.args[0] not in (1205, 1213):
                    raise
                connection.rollback()
            time.sleep(0.006)
        connection.close()

    def change_definitions(self, rng):
        connection = self.server.connect("archive")
        number = 0
        with connection.cursor() as cursor:
            while not self.ended.wait(2.0):
                number += 1
                for statement in (f"CREATE TABLE demo_{number} (id INT PRIMARY KEY, v VARCHAR(20))",
                                  f"INSERT INTO demo_{number} VALUES (1, 'a'), (2, 'b')",
                                  f"ALTER TABLE demo_{number} ADD COLUMN w INT DEFAULT {number}",
                                  f"CREATE INDEX wi ON demo_{number} (w)",
                                  f"UPDATE demo_{number} SET w = w + 1 WHERE id = 1",
                                  f"RENAME TABLE demo_{number} TO kept_{number}",
                                  f"ALTER TABLE shop.log_{1 + number % 12:02d} ADD COLUMN extra_{number} INT NULL"):
                    cursor.execute(statement)
                    self.ddl += 1
                if number > 2:
                    cursor.execute(f"TRUNCATE TABLE kept_{number - 2}" if number % 2 else f"DROP TABLE kept_{number - 2}")
                    self.ddl += 1
        connection.close()


def tables_of(server):
    """(database, table) -> (its columns and their types, its definition)"""
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN %s AND"
                       " table_type = 'BASE TABLE' ORDER BY 1, 2", (DATABASES,))
        tables = {}
        for database, table in cursor.fetchall():
            columns = [(row[0], row[2]) for row in columns_of(cursor, database, table)]
            cursor.execute(f"SHOW CREATE TABLE `{database}`.`{table}`")
            tables[(database, table)] = columns, definition(cursor.fetchone()[1])
    connection.close()
    return tables


def definition(text):
    """The lines of a CREATE TABLE statement; what may differ is left out: the order of keys, the next AUTO_INCREMENT."""
    lines = [line.strip().rstrip(",") for line in re.sub(r" AUTO_INCREMENT=\d+", "", text).split("\n")]
    keys = [line for line in lines if re.match(r"(\w+ )?KEY |CONSTRAINT ", line)]
    return [line for line in lines if line not in keys] + sorted(keys)


def content(server, table, columns):
    """SHA-256 of all rows of a table in a fixed order, as the mariadb client prints them."""
    expressions = []
    for name, kind in columns:
        if kind in ("float", "double"):
            expressions.append(f"IFNULL(CAST(`{name}` AS DOUBLE), 'NULL')")
        elif kind == "bit":
            expressions.append(f"IFNULL(HEX(`{name}`), 'NULL')")
        else:
            expressions.append(f"IFNULL(HEX(CAST(`{name}` AS BINARY)), 'NULL')")
    order = ", ".join(str(n + 1) for n in range(len(expressions)))
    sql = f"SET SESSION time_zone='+00:00'; SELECT {', '.join(expressions)} FROM `{table[0]}`.`{table[1]}` ORDER BY {order}"
    client = subprocess.Popen(["mariadb", "--no-defaults", "--batch", "--raw", "--skip-column-names", "--quick", "-h127.0.0.1",
                               f"-P{server.port}", "-usluice", "-e", sql], stdout=subprocess.PIPE,
                              env={**os.environ, "MYSQL_PWD": PASSWORD})
    digest, rows = hashlib.sha256(), 0
    for piece in iter(lambda: client.stdout.read(1 << 20), b""):
        digest.update(piece)
        rows += piece.count(b"\n")
    if client.wait() != 0:
        raise RuntimeError(f"cannot read {table}")
    return digest.hexdigest(), rows


def compare(source, target):
    there, here = tables_of(source), tables_of(target)
    wrong, rows = [f"{a}.{b} is on one side only" for a, b in sorted(set(there) ^ set(here))], 0
    for table in sorted(set(there) & set(here)):
        (columns, wanted), (_, found) = there[table], here[table]
        if wanted != found:
            wrong.append(f"{'.'.join(table)}: definitions differ: {sorted(set(wanted) ^ set(found)) or 'order of columns'}")
            continue
        first, second = content(source, table, columns), content(target, table, columns)
        rows += first[1]
        if first != second:
            wrong.append(f"{'.'.join(table)}: rows differ ({first[1]} and {second[1]})")
    return wrong, rows, len(there)


def run(arguments):
    folder = tempfile.mkdtemp(prefix="sluice-demo-")
    if os.getuid() == 0:
        os.chmod(folder, 0o755)
    servers, migrate = [], None
    try:
        print(f"Starting two MariaDB servers in {folder} …", flush=True)
        source = Server(folder, "source", 1)
        target = Server(folder, "target", 2, prepared=source.data)
        servers = [source, target]
        for server in servers:
            server.start()
        started = time.monotonic()
        total = fill(source, arguments.scale)
        print(f"Source filled: {total:,} rows in {len(TABLES)} tables ({time.monotonic() - started:.0f} s). Writers start.", flush=True)
        writers = Writers(source, arguments.seed)
        writers.start()
        work, report = os.path.join(folder, "work"), os.path.join(folder, "report.json")
        command = [arguments.sluice, "migrate", source.url(), target.url(), "--follow", "--work-dir", work, "--report", report]
        for database in DATABASES:
            command += ["--include", f"{database}.*"]
        print("$ sluice migrate mysql://… mysql://… --follow", flush=True)
        migrate = subprocess.Popen(command, env={**os.environ, "SLUICE_SOURCE_PASSWORD": PASSWORD, "SLUICE_TARGET_PASSWORD": PASSWORD})
        started = time.monotonic()
        try:
            migrate.wait(timeout=arguments.seconds)
        except subprocess.TimeoutExpired:
            pass
        writers.stop()
        took = time.monotonic() - started
        print(f"\nWriters stopped after {took:.0f} s: {writers.transactions:,} transactions, {writers.ddl} DDL statements."
              + (f" FAILED: {writers.failures}" if writers.failures else ""), flush=True)
        if migrate.poll() is None:
            migrate.send_signal(signal.SIGINT)
        status = migrate.wait(timeout=600)
        print(f"sluice migrate ended with status {status}.", flush=True)
        if os.path.exists(report):
            with open(report) as file:
                content_of_report = json.load(file)
            print(f"Its report says: {content_of_report['status']}, {len(content_of_report['tables'])} tables, "
                  f"{sum(t['rows'] for t in content_of_report['tables']):,} rows copied, "
                  f"{content_of_report['incremental']['transactions']:,} transactions followed.")
        wrong, rows, tables = compare(source, target)
        for line in wrong:
            print("DIFFERENT:", line)
        print(f"Independent comparison of {tables} tables, {rows:,} rows: {'EQUAL' if not wrong else 'DIFFERENT'}")
        return 0 if status == 0 and not wrong and not writers.failures else 1
    finally:
        if migrate and migrate.poll() is None:
            migrate.kill()
        for server in servers:
            server.stop()
        if arguments.keep:
            print("Kept:", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sluice", help="the executable")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the one million rows")
    parser.add_argument("--seconds", type=float, default=60, help="how long the writers run beside the migration")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave servers' data, logs and work directory behind")
    sys.exit(run(parser.parse_args()))

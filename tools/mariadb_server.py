"""A real MariaDB server on a free loopback port in a folder, for the demo and the benchmarks."""
import os
import shutil
import socket
import subprocess
import time

import pymysql

PASSWORD = "demo-Pa55/word"


class Server:
    def __init__(self, folder, name, server_id, prepared=None, options=()):
        self.options = list(options)
        self.data = os.path.join(folder, name)
        self.socket = os.path.join(self.data, "s")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if prepared:
            subprocess.run(["cp", "-a", prepared, self.data], check=True)
        else:
            os.makedirs(self.data)
            shutil.chown(self.data, "mysql", "mysql") if os.getuid() == 0 else None
            subprocess.run(["mariadb-install-db", "--no-defaults", *self.user(), f"--datadir={self.data}",
                            "--auth-root-authentication-method=normal", "--skip-test-db"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.server_id = server_id
        self.process = None

    @staticmethod
    def user():
        return ["--user=mysql"] if os.getuid() == 0 else []

    def start(self):
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", *self.user(), f"--datadir={self.data}", f"--port={self.port}",
             "--bind-address=127.0.0.1", f"--socket={self.socket}", f"--pid-file={self.data}/pid",
             f"--server-id={self.server_id}", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-metadata=FULL",
             f"--log-error={self.data}/error.log", "--skip-name-resolve", "--innodb-buffer-pool-size=512M",
             "--innodb-flush-log-at-trx-commit=2", "--max-binlog-size=67108864", "--local-infile=1",
             "--character-set-server=utf8mb4", *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                root = pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)
                break
            except pymysql.err.OperationalError:
                time.sleep(0.1)
        else:
            raise RuntimeError("MariaDB did not start: see " + self.data + "/error.log")
        with root.cursor() as cursor:
            cursor.execute("SET SESSION sql_log_bin = 0")  # a replica of this server has the account already
            cursor.execute(f"CREATE USER sluice@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute("GRANT ALL ON *.* TO sluice@'127.0.0.1'")
        root.close()

    def connect(self, database=None):
        return pymysql.connect(host="127.0.0.1", port=self.port, user="sluice", password=PASSWORD, database=database,
                               autocommit=True, charset="utf8mb4")

    def url(self, database_filter=""):
        return f"mysql://sluice@127.0.0.1:{self.port}{database_filter}"

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)

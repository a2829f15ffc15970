#!/usr/bin/env bash
# mysql_root.sh DIR: makes DIR a small root of Debian's newest suite with a MySQL server and a prepared data folder, from the mirror that this machine uses.
# Debian 12 itself has no MySQL. Needs root and debootstrap; about 700 MB and a minute or two. tests/support/mysql_server.hpp starts servers from it.
set -euo pipefail
root=$(realpath -m "${1:?directory}")
[ ! -d "$root/var/prepared" ] || exit 0
mirror=$(grep -rhoE '(https?|file)://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -1 | tr -d ' ' || true)
[ -n "$mirror" ] || { echo "no Debian mirror in /etc/apt" >&2; exit 1; }
making=$root.making
rm -rf "$making"
debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg sid "$making" "$mirror"
printf '#!/bin/sh\nexit 101\n' > "$making/usr/sbin/policy-rc.d"  # nothing is started inside
chmod +x "$making/usr/sbin/policy-rc.d"
chroot "$making" apt-get -o Acquire::Check-Valid-Until=false update -q  # the mirror may be a snapshot
DEBIAN_FRONTEND=noninteractive chroot "$making" apt-get install -y -q --no-install-recommends mysql-server-core
chroot "$making" apt-get clean
chroot "$making" useradd --system --no-create-home --shell /bin/false mysqltest
mkdir "$making/var/making"
chroot "$making" chown mysqltest /var/making
cat > "$making/accounts.sql" <<'SQL'
CREATE USER sluice@'%' IDENTIFIED WITH caching_sha2_password BY 'sluice-test-pw';
GRANT ALL ON *.* TO sluice@'%' WITH GRANT OPTION;
SQL
unshare --mount sh -c "mount -t proc proc '$making/proc' && exec chroot '$making' mysqld --no-defaults --user=mysqltest --datadir=/var/making --secure-file-priv= \
  --innodb-redo-log-capacity=16M --initialize-insecure --init-file=/accounts.sql"
rm "$making/var/making/auto.cnf"  # each copy gets an id of its own
mv "$making/var/making" "$making/var/prepared"
mv "$making" "$root"

"""PostgreSQL's isolation levels, as they are: write skew at repeatable read, none at serializable.

Starts its own server in a temporary directory (Debian: apt-get install postgresql; PyPI: psycopg[binary]).
Run: python examples/postgres_isolation.py
"""

from __future__ import annotations

import glob
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from comity.checkers import Analysis, History, Recording

LEVELS = {"READ COMMITTED": "read-committed", "REPEATABLE READ": "snapshot-isolation"}
LEVELS |= {"SERIALIZABLE": "serializable"}
READ = "SELECT elements FROM lists WHERE key = %s"
APPEND = """INSERT INTO lists VALUES (%s, %s)
    ON CONFLICT (key) DO UPDATE SET elements = lists.elements || EXCLUDED.elements"""


def programs() -> str | None:
    """Where initdb and postgres are; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return os.path.dirname(found) if found else folders[-1] if folders else None


@contextmanager
def server(folder: str) -> Iterator[str]:
    """A fresh server on a socket in a temporary directory; as the user postgres where we are root."""
    user: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(directory, owner.pw_uid, owner.pw_gid)
            user = {"user": owner.pw_uid, "group": owner.pw_gid, "cwd": directory}
        data = os.path.join(directory, "data")
        initdb = [os.path.join(folder, "initdb"), "-D", data, "-U", "comity", "--auth=trust", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **user)
        command = [os.path.join(folder, "pg_ctl"), "-D", data, "-w", "-l", os.path.join(directory, "log")]
        options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
        subprocess.run([*command, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **user)
        try:
            yield f"host={directory} user=comity dbname=postgres"
        finally:
            stop = [*command, "-m", "immediate", "stop"]
            subprocess.run(stop, check=False, stdout=subprocess.DEVNULL, **user)


def work(h: Recording, address: str, level: str, threads: int = 6, transactions: int = 150) -> None:
    """Threads whose transactions read one list and append to another; every value is another."""
    import psycopg

    def run(thread: int) -> None:
        rng = random.Random(thread)
        connection = psycopg.connect(address, autocommit=True)
        for number in range(transactions):
            epoch = number // 10
            keys = rng.sample([f"{epoch}{letter}" for letter in "abc"], 2)
            value = thread * 1_000_000 + number
            steps = (("r", keys[0], None), ("append", keys[1], value))
            try:
                with h.operation("txn", None, steps) as pending:
                    connection.execute(f"BEGIN ISOLATION LEVEL {level}")
                    row = connection.execute(READ, (keys[0],)).fetchone()
                    connection.execute(APPEND, (keys[1], [value]))
                    connection.execute("COMMIT")
                    pending.ok((("r", keys[0], tuple(row[0]) if row else ()), steps[1]))
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                connection.execute("ROLLBACK")
        connection.close()

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def history_at(address: str, level: str) -> Analysis:
    """What that level turns out to be."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS lists")
        connection.execute("CREATE TABLE lists (key TEXT PRIMARY KEY, elements BIGINT[])")
    definite = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
    with History.recording(definite) as h:
        work(h, address, level)
    return h.analyse("list-append")


def main() -> int:
    """0 where every level turns out as documented."""
    folder = programs()
    if folder is None:
        print("PostgreSQL is not installed: apt-get install postgresql; nothing was checked")
        return 0
    wrong = 0
    with server(folder) as address:
        for level, promised in LEVELS.items():
            analysis = history_at(address, level)
            print(f"{level}: the strongest that holds: {', '.join(analysis.strongest) or 'undecided'}")
            print(f"  anomalies: {', '.join(analysis.anomalies) or 'none'}")
            skew = "write-skew" in analysis.anomalies
            wrong += analysis.models[promised].value == "violation"
            wrong += skew is not True if level == "REPEATABLE READ" else 0
            wrong += skew is not False if level == "SERIALIZABLE" else 0
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())

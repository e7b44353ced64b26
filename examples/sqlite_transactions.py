"""sqlite3: transactions that append to lists are strictly serializable; without transactions they are not.

Run: python examples/sqlite_transactions.py
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import tempfile
import threading
from pathlib import Path

from comity.checkers import History, Recording

Steps = tuple[tuple[str, str, object], ...]


def run_steps(connection: sqlite3.Connection, steps: Steps) -> Steps:
    """Carry the steps out, and fill the reads in."""
    told: list[tuple[str, str, object]] = []
    for f, key, value in steps:
        row = connection.execute("SELECT elements FROM lists WHERE key = ?", (key,)).fetchone()
        elements = json.loads(row[0]) if row else []
        if f == "append":
            text = json.dumps([*elements, value])
            connection.execute("INSERT OR REPLACE INTO lists VALUES (?, ?)", (key, text))
            told.append((f, key, value))
        else:
            told.append((f, key, tuple(elements)))
    return tuple(told)


def work(h: Recording, path: Path, begin: str, threads: int = 4, transactions: int = 60) -> None:
    """Threads with a connection each; every appended value is another."""

    def run(thread: int) -> None:
        rng = random.Random(thread)
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        for number in range(transactions):
            steps: list[tuple[str, str, object]] = []
            for place in range(rng.randint(1, 3)):
                key = rng.choice("xyz")
                value = (thread * transactions + number) * 10 + place
                steps.append(("r", key, None) if rng.random() < 0.5 else ("append", key, value))
            with h.operation("txn", None, tuple(steps)) as pending:
                if begin:
                    connection.execute(begin)
                told = run_steps(connection, tuple(steps))
                if begin:
                    connection.execute("COMMIT")
                pending.ok(told)
        connection.close()

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def history_with(begin: str) -> Recording:
    """What happens with transactions begun like this; "" for none."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "lists.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE lists (key TEXT PRIMARY KEY, elements TEXT)")
        connection.commit()
        connection.close()
        with History.recording() as h:
            work(h, path, begin)
        return h


def main() -> int:
    """0 where both turn out as they must."""
    sound = history_with("BEGIN IMMEDIATE")
    sound.assert_holds("list-append", "strict-serializable")
    print(f"BEGIN IMMEDIATE: {len(sound.history)} transactions, strictly serializable")
    analysis = history_with("").analyse("list-append")
    print(f"no transactions: {', '.join(analysis.anomalies) or 'no anomaly'}")
    print(f"  the strongest that holds: {', '.join(analysis.strongest) or 'nothing'}")
    return 0 if analysis.exit_status == 1 else 1


if __name__ == "__main__":
    sys.exit(main())

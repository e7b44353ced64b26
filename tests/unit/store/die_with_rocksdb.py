"""One life of a replica on RocksDB: recover, apply, flush and sync at random, end without closing anything.

    python die_with_rocksdb.py DIRECTORY LIFE DURABLE

Exits with 9 after printing what is durable, when the state was right all the time.
"""

from __future__ import annotations

import os
import random
import sys

sys.path.insert(0, os.getcwd())

from tests.unit.store.driving import SMALL, Log, Replica

from comity.store.engines.rocksdb import RocksEngine

ENTRIES_PER_LIFE = 25


def main(directory: str, life: int, durable: int) -> None:
    stream = random.Random(11)
    log = Log()
    for _ in range((life + 1) * ENTRIES_PER_LIFE):
        log.now_ms += stream.randrange(2000)
        key, other = (b"%d" % stream.randrange(300) for _ in range(2))
        log.commands(
            [b"SET", key, b"x" * stream.randrange(2000), b"PX", b"%d" % stream.randrange(1, 30_000)],
            [b"APPEND", other, b"y"],
            [b"CLIENT", b"ONCE", key, b"1", b"INCR", b"n"],
            *([[b"FLUSHALL"]] if stream.random() < 0.05 else [[b"RENAME", key, other]]),
        )
    quiet = Replica(Log(), limits=SMALL)
    busy = Replica(Log(), RocksEngine(directory, flush_bytes=20_000), SMALL)
    assert durable <= busy.machine.applied <= life * ENTRIES_PER_LIFE
    recovered = busy.machine.applied
    luck = random.Random(life)
    for index, entry in enumerate(log.entries, 1):
        quiet.log.entries.append(entry)
        busy.log.entries.append(entry)
        answers = quiet.catch_up()
        if index >= recovered:
            if index > recovered:
                assert busy.catch_up() == answers
            assert busy.machine.digest() == quiet.machine.digest()
            assert busy.machine.next_expiry_ms() == quiet.machine.next_expiry_ms()
            if luck.random() < 0.5:
                busy.flush()
            if luck.random() < 0.1:
                busy.sync()
    print(busy.machine.durable, flush=True)
    os._exit(9)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""The same log gives the same bytes in another process with another PYTHONHASHSEED."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import hashlib, random
from comity.store.batches import encode_batch, encode_proposal
from comity.store.commands.transactions import encode_exec
from comity.store.engines.memory import MemoryEngine
from comity.store.machine import StateMachine

stream = random.Random(5)
engine = MemoryEngine()
machine = StateMachine(1, engine)
trace = hashlib.sha256()
names = b"SET INCR DEL KEYS SCAN RANDOMKEY PEXPIRE MSET CLIENT EXEC FLUSHALL".split()
for index in range(1, 400):
    commands = []
    for _ in range(5):
        key = b"k%d" % stream.randrange(50)
        name = stream.choice(names if stream.random() < 0.1 else names[:-1])
        commands.append({
            b"SET": [name, key, b"1", b"PX", b"%d" % stream.randrange(1, 999)],
            b"KEYS": [name, b"*"], b"SCAN": [name, b"0"], b"RANDOMKEY": [name], b"FLUSHALL": [name],
            b"PEXPIRE": [name, key, b"%d" % stream.randrange(-5, 999)],
            b"MSET": [name, key, b"v", b"z", b"w"],
            b"CLIENT": [name, b"ONCE", key, b"1", b"INCR", b"n"],
            b"EXEC": encode_exec([(key, *machine.versions([key])[0])], [[b"KEYS", b"k*"]]),
        }.get(name, [name, key]))
    batch = encode_batch(stream.randrange(1, 4), 1, index, 0, index - 2, stream.choice([2, 3]), commands)
    for answer in machine.apply(index, 1, encode_proposal(index * 7, [batch])):
        trace.update(repr(answer).encode())
    trace.update(repr(machine.read([[b"RANDOMKEY"], [b"KEYS", b"*"]], 2)).encode())
    if index % 20 == 0:
        job = machine.begin_flush()
        job.run()
        machine.end_flush(job)
        for chunk in [machine.snapshot_chunk(b"", 0, 1 << 20)]:
            trace.update(chunk.data)
content = hashlib.sha256(repr(list(engine._data)).encode())
print(trace.hexdigest(), machine.digest().hex(), content.hexdigest())
"""


def test_two_processes_with_different_hash_seeds_agree_byte_for_byte() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1234")
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 3

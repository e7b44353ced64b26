"""Whatever happens to a replica between entries, it is what the log makes it.

One replica lives a quiet life and never flushes. The other flushes, syncs, crashes, restarts from its disk
and is replaced by a copy made through a snapshot, at any moment. A plain dict says what is right.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.store.driving import SMALL, START_MS, Log, Replica

from comity.store.batches import Answer, encode_batch
from comity.store.commands.transactions import encode_exec
from comity.store.flush import FlushJob
from comity.store.limits import StoreLimits

KEYS = [b"a", b"b", b"c", b"d", b"e"]
keys = st.sampled_from(KEYS)
values = st.sampled_from([b"", b"1", b"41", b"text", b"x" * 400])
times = st.integers(0, 3000)


def number(value: int) -> bytes:
    return b":%d\r\n" % value


def bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


class Plain:
    """Strings with a time to live, as simply as can be."""

    def __init__(self) -> None:
        self.data: dict[bytes, tuple[bytes, int]] = {}
        self.now_ms = START_MS

    def get(self, key: bytes) -> bytes | None:
        value, expires_ms = self.data.get(key, (b"", 0))
        return None if key not in self.data or 0 < expires_ms <= self.now_ms else value

    def run(self, args: list[bytes]) -> bytes:
        name, *rest = args
        key = rest[0] if rest else b""
        value = self.get(key)
        expires_ms = self.data[key][1] if value is not None else 0
        if name == b"GET":
            return bulk(value)
        if name == b"SET":
            self.data[key] = (rest[1], self.now_ms + int(rest[3]) if len(rest) > 2 else 0)
            return b"+OK\r\n"
        if name == b"APPEND":
            self.data[key] = ((value or b"") + rest[1], expires_ms)
            return number(len(self.data[key][0]))
        if name == b"INCR":
            try:
                total = int(value or b"0") if value != b"" else int("no")
            except ValueError:
                return b"-ERR value is not an integer or out of range\r\n"
            self.data[key] = (b"%d" % (total + 1), expires_ms)
            return number(total + 1)
        if name == b"DEL":
            gone = {each for each in rest if self.get(each) is not None}
            for each in rest:
                self.data.pop(each, None)
            return number(len(gone))
        if name == b"PEXPIRE":
            if value is None:
                return number(0)
            self.data[key] = (value, self.now_ms + int(rest[1]))
            return number(1)
        if name == b"PTTL":
            return number(-2 if value is None else expires_ms - self.now_ms if expires_ms else -1)
        if name == b"EXISTS":
            return number(sum(self.get(each) is not None for each in rest))
        assert name == b"FLUSHALL"
        self.data.clear()
        return b"+OK\r\n"


commands = st.one_of(
    st.tuples(st.just(b"GET"), keys),
    st.tuples(st.just(b"SET"), keys, values),
    st.tuples(st.just(b"SET"), keys, values, st.just(b"PX"), st.integers(1, 3000).map(lambda ms: b"%d" % ms)),
    st.tuples(st.just(b"APPEND"), keys, values),
    st.tuples(st.just(b"INCR"), keys),
    st.tuples(st.just(b"DEL"), keys, keys),
    st.tuples(st.just(b"PEXPIRE"), keys, st.integers(-5, 3000).map(lambda ms: b"%d" % ms)),
    st.tuples(st.just(b"PTTL"), keys),
    st.tuples(st.just(b"EXISTS"), keys, keys, keys),
    st.just((b"FLUSHALL",)),
).map(list)


class Replicas(RuleBasedStateMachine):
    limits: StoreLimits | None = None

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.plain = Plain()
        self.quiet = Replica(self.log, limits=self.limits)
        self.busy = Replica(self.log, limits=self.limits)
        self.job: FlushJob | None = None
        self.answers: list[list[Answer]] = []
        self.sent: list[bytes] = []
        self.sequences: dict[bytes, int] = {}

    def follow(self) -> list[Answer]:
        self.answers += self.quiet.catch_up()
        self.catch_up_busy()
        return self.answers[-1]

    def catch_up_busy(self) -> None:
        first = self.busy.machine.applied
        assert self.busy.catch_up() == self.answers[first:]

    @rule(run=st.lists(commands, max_size=6), passed_ms=times, protocol=st.just(2), origin=st.integers(1, 2))
    def batch(self, run: list[list[bytes]], passed_ms: int, protocol: int, origin: int) -> None:
        self.log.now_ms += passed_ms
        self.sent.append(self.log.batch(run, origin=origin, protocol=protocol))
        self.log.propose(self.sent[-1])
        (answer,) = self.follow()
        self.plain.now_ms = self.log.now_ms
        assert answer.replies == [self.plain.run(args) for args in run]

    @rule(data=st.data(), run=st.lists(commands, max_size=4))
    def transaction(self, data: st.DataObject, run: list[list[bytes]]) -> None:
        watched = data.draw(st.lists(keys, max_size=2))
        watches = [(key, *self.busy.machine.versions([key])[0]) for key in watched]
        assert watches == [(key, *self.quiet.machine.versions([key])[0]) for key in watched]
        between = data.draw(st.lists(commands, max_size=1))
        if between:
            self.batch(between, 0, 2, 1)
        self.log.commands(encode_exec(watches, run))
        (answer,) = self.follow()
        assert answer.replies is not None
        if answer.replies[0] != b"*-1\r\n":
            assert answer.replies[0] == b"*%d\r\n" % len(run) + b"".join(map(self.plain.run, run))

    @rule(
        client=st.sampled_from([b"x", b"y", b"z", b"w"]),
        step=st.sampled_from([1, 1, 1, 0, 2, -1, -3]),
        key=keys,
    )
    def once(self, client: bytes, step: int, key: bytes) -> None:
        sequence = max(1, self.sequences.get(client, 0) + step)
        self.sequences[client] = max(sequence, self.sequences.get(client, 0))
        before = self.plain.get(key)
        args = [b"CLIENT", b"ONCE", client, b"%d" % sequence, b"APPEND", key, b"+"]
        self.log.commands(args)
        self.follow()
        (after,) = self.quiet.machine.read([[b"GET", key]], 2)
        if after != bulk(before):
            assert after == bulk((before or b"") + b"+")
            self.plain.run([b"APPEND", key, b"+"])

    @rule(which=st.integers(0, 1000))
    def duplicate(self, which: int) -> None:
        if self.sent:
            self.log.propose(self.sent[which % len(self.sent)])
            self.follow()

    @rule(ahead=st.integers(1, 3), run=st.lists(commands, min_size=1, max_size=2))
    def gap(self, ahead: int, run: list[list[bytes]]) -> None:
        last = self.log.sequences.get((1, 1), 0)
        self.log.propose(encode_batch(1, 1, last + ahead + 1, last + ahead, 1, 2, run))
        assert self.follow() == []

    @rule(junk=st.binary(max_size=20))
    def junk(self, junk: bytes) -> None:
        self.log.entries.append(("command", junk))
        self.log.propose(junk)
        self.follow()

    @rule()
    def noop_and_members(self) -> None:
        self.log.noop()
        self.log.members(b"members %d" % len(self.log.entries))
        self.follow()

    # -- what happens to the busy one

    @rule()
    def begin_flush(self) -> None:
        if self.job is None:
            self.job = self.busy.machine.begin_flush()

    @rule()
    def run_flush(self) -> None:
        if self.job is not None:
            self.job.run()

    @rule()
    def end_flush(self) -> None:
        if self.job is not None:
            self.job.run()
            self.busy.machine.end_flush(self.job)
            self.job = None

    @rule()
    def sync(self) -> None:
        if self.job is None:
            self.busy.sync()

    @rule()
    def crash(self) -> None:
        durable = self.busy.machine.durable
        self.busy.crash()
        assert self.busy.machine.applied >= durable
        self.job = None
        self.catch_up_busy()

    @rule()
    def restart(self) -> None:
        self.end_flush()
        self.busy.flush()
        self.sync()
        self.crash()

    @rule(chunk_bytes=st.sampled_from([1, 50, 10_000]), flushes=st.booleans())
    def replace_by_a_copy(self, chunk_bytes: int, flushes: bool) -> None:
        self.end_flush()
        if flushes:
            self.busy.flush()
        if self.busy.machine.flushed == 0:
            return
        newcomer = Replica(self.log, limits=self.limits)
        newcomer.copy_from(self.busy, chunk_bytes)
        assert newcomer.machine.applied == newcomer.machine.durable == self.busy.machine.flushed
        assert self.busy.machine.stats()["snapshot_views"] == 0
        self.busy = newcomer
        self.busy.crash()
        self.catch_up_busy()

    @invariant()
    def same(self) -> None:
        quiet, busy = self.quiet.machine, self.busy.machine
        assert busy.applied == quiet.applied
        assert busy.members == quiet.members
        assert busy.applied_term == quiet.applied_term
        assert busy.stamp_ms == quiet.stamp_ms
        assert busy.malformed == quiet.malformed
        assert busy.digest() == quiet.digest()
        assert busy.next_expiry_ms() == quiet.next_expiry_ms()
        for name in ("keys", "expires", "clients", "client_answer_bytes", "origins"):
            assert busy.stats()[name] == quiet.stats()[name], name

    @invariant()
    def reads_are_right(self) -> None:
        asked = [[b"GET", key] for key in KEYS]
        expected = [bulk(self.plain.get(key)) for key in KEYS]
        digest = self.busy.machine.digest()
        assert self.busy.machine.read(asked, 2) == expected
        listed = [key for key in KEYS if self.plain.get(key) is not None]
        assert sorted(self.scanned()) == listed
        assert self.busy.machine.digest() == digest

    def scanned(self) -> list[bytes]:
        (reply,) = self.busy.machine.read([[b"KEYS", b"*"]], 2)
        return reply.split(b"\r\n")[2::2]


class SmallReplicas(Replicas):
    """The same with bounds so small that everything is evicted, dropped and reclaimed late."""

    limits = SMALL


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=100, stateful_step_count=40)
TestSmallReplicas = SmallReplicas.TestCase
TestSmallReplicas.settings = settings(max_examples=100, stateful_step_count=40)


def test_a_rocksdb_replica_is_what_the_log_makes_it_however_its_process_ends(tmp_path: Path) -> None:
    program = Path(__file__).with_name("die_with_rocksdb.py")
    durable = 0
    for life in range(6):
        result = subprocess.run(
            [sys.executable, str(program), str(tmp_path / "state"), str(life), str(durable)],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 9, result.stderr
        durable = int(result.stdout)
    assert durable > 0

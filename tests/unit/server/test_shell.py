"""The shell around a host that writes down what it is told: effects, the disk's answers, time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from comity.node import Bounds, Host, Job, JournalWrite, Turn
from comity.node.metrics import Metrics
from comity.server import shell as shells
from comity.server.segments import DiskFailedError, DiskFullError, SegmentFiles
from comity.server.shell import INLINE_SYNC_NS, Shell

FAR_NS = 1 << 62


class StandIn:
    """A host: hands out the turns it was given, and writes down what it was told."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(cluster="test", node=1, members=(), bounds=Bounds(), directory="")
        self.incarnation = 1
        self.metrics = Metrics()
        self.deadline_ns = FAR_NS
        self.now_ns = 0
        self.fatal: str | None = None
        self.stopped = False
        self.restless = True
        self.turns: list[Turn] = []
        self.told: list[tuple[Any, ...]] = []

    def at(self, now_ns: int, wall_ms: int) -> None:
        self.now_ns = now_ns

    def start(self) -> None:
        self.told.append(("start",))

    def wake(self) -> bool:
        self.told.append(("wake",))
        self.deadline_ns = FAR_NS
        return True

    def wants_turn(self) -> bool:
        return self.restless

    def turn(self) -> Turn:
        return self.turns.pop(0) if self.turns else Turn()

    def data(self, connection: int, data: bytes) -> None:
        self.told.append(("data", connection, data))

    def connected(self, connection: int, address: str) -> None:
        self.told.append(("connected", connection))

    def disconnected(self, connection: int) -> None:
        self.told.append(("disconnected", connection))

    def journal_written(self, sequence: int) -> None:
        self.told.append(("written", sequence))

    def journal_failed(self, sequence: int, reason: str) -> None:
        self.told.append(("failed", sequence, reason))

    def job_done(self, job: int, error: str | None) -> None:
        self.told.append(("job", job, error))


class Disk:
    """Segment files that answer as they are told; `sync_ns` says how slow the disk was."""

    wants_room = False

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.sync_ns = 1
        self.did: list[tuple[str, Any]] = []

    def append(self, order: JournalWrite) -> None:
        self.did.append(("append", order.sequence))
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    def remove(self, segments: tuple[str, ...]) -> None:
        self.did.append(("remove", segments))

    def close(self) -> None:
        self.did.append(("close", None))


async def until(probe: Callable[[], object]) -> None:
    """Let the loop run until something holds."""
    end = time.monotonic() + 10
    while not probe():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


def run(
    body: Callable[[Shell, StandIn, Disk], Awaitable[None]], disk: Disk | None = None
) -> tuple[StandIn, Disk]:
    host, files = StandIn(), disk or Disk()

    async def main() -> None:
        shell = Shell(cast("Host", host), cast("SegmentFiles", files), lambda *given, **fields: None)
        try:
            await body(shell, host, files)
        finally:
            await shell.close()

    asyncio.run(main())
    return host, files


def write(sequence: int, *, creates: bool = False, removes: tuple[str, ...] = ()) -> Turn:
    return Turn(journal=JournalWrite(sequence, "1.wal", b"x", creates, removes))


def test_everything_that_arrives_in_one_round_of_the_loop_is_one_turn() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        answers: list[bytes] = []
        client = shell.clients.loopback(answers.append)
        host.turns = [Turn(replies=[(client.number, b"+1\r\n")]), Turn(replies=[(client.number, b"+2\r\n")])]
        client.send(b"a")
        client.send(b"b")
        await until(lambda: answers)
        assert answers == [b"+1\r\n"]

    host, _ = run(body)
    assert [each for each in host.told if each[0] == "data"] == [("data", 1, b"a"), ("data", 1, b"b")]


def test_what_leads_to_nothing_costs_no_turn_and_the_deadline_it_left_is_kept() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        answers: list[bytes] = []
        client = shell.clients.loopback(answers.append)
        host.restless = False
        host.turns = [Turn(replies=[(client.number, b"+1\r\n")])]
        host.deadline_ns = time.monotonic_ns() + 2_000_000
        client.send(b"a")
        await until(lambda: ("wake",) in host.told)
        assert answers == [b"+1\r\n"]

    run(body)


def test_a_paused_client_is_not_heard_until_it_is_resumed() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        client = shell.clients.loopback(lambda data: None)
        shell.clients.pause(client.number)
        client.send(b"held")
        assert ("data", 1, b"held") not in host.told
        shell.clients.resume(client.number)
        assert ("data", 1, b"held") in host.told

    run(body)


def test_a_full_disk_is_told_and_the_write_tried_again_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "RETRY_FULL_DISK_S", 0.001)

    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        host.turns = [write(7)]
        shell.start()
        await until(lambda: ("written", 7) in host.told)
        assert shell.fatal is None

    host, disk = run(body, Disk(DiskFullError("no room"), DiskFullError("no room")))
    assert host.told[1:] == [("failed", 7, "no room"), ("failed", 7, "no room"), ("written", 7)]
    assert [did for did in disk.did if did[0] == "append"] == [("append", 7)] * 3


@pytest.mark.parametrize("broken", [DiskFailedError("fdatasync failed"), RuntimeError("a defect")])
def test_a_failed_disk_is_never_asked_again_and_nothing_more_leaves_the_node(broken: Exception) -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        answers: list[bytes] = []
        client = shell.clients.loopback(answers.append)
        host.turns = [write(1)]
        shell.flush()
        await shell.ended.wait()
        assert shell.fatal is not None
        assert str(broken) in shell.fatal
        host.turns = [Turn(replies=[(client.number, b"+OK\r\n")], journal=write(2).journal)]
        shell.flush()
        await asyncio.sleep(0.01)
        assert answers == []

    host, disk = run(body, Disk(broken))
    assert [did for did in disk.did if did[0] == "append"] == [("append", 1)]
    assert not [each for each in host.told if each[0] == "written"]


def test_segments_go_only_after_the_write_that_lets_them_go_is_durable() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        host.turns = [write(3, creates=True, removes=("0.wal",))]
        shell.start()
        await until(lambda: ("remove", ("0.wal",)) in disk.did)

    _, disk = run(body)
    assert disk.did[:2] == [("append", 3), ("remove", ("0.wal",))]


def test_a_slow_disk_is_waited_for_off_the_loop_and_a_quick_one_on_it() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        host.turns = [write(1)]
        shell.flush()
        assert ("written", 1) in host.told, "a quick disk is waited for at once"
        disk.sync_ns = 10 * INLINE_SYNC_NS
        host.turns = [write(2)]
        shell.flush()
        host.turns = [write(3)]
        shell.flush()
        assert ("written", 3) not in host.told, "a disk that was slow is waited for elsewhere"
        await until(lambda: ("written", 3) in host.told)

    run(body)


def test_jobs_run_in_order_and_their_errors_are_told() -> None:
    def fails() -> None:
        raise ValueError("no such thing")

    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        order: list[int] = []
        host.turns = [Turn(jobs=[Job(1, "flush", lambda: order.append(1)), Job(2, "sync", fails)])]
        shell.start()
        await until(lambda: len([each for each in host.told if each[0] == "job"]) == 2)

    host, _ = run(body)
    assert host.told[1:] == [("job", 1, None), ("job", 2, "ValueError: no such thing")]


def test_the_host_is_woken_at_its_deadline_and_not_before() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        began_ns = time.monotonic_ns()
        host.deadline_ns = began_ns + 30_000_000
        shell.start()
        await until(lambda: ("wake",) in host.told)
        assert time.monotonic_ns() - began_ns >= 29_000_000

    host, _ = run(body)
    assert host.told.count(("wake",)) == 1


def test_an_earlier_deadline_replaces_a_later_one() -> None:
    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        host.deadline_ns = time.monotonic_ns() + 3_600_000_000_000
        shell.start()
        host.deadline_ns = time.monotonic_ns() + 5_000_000
        shell.flush()
        await until(lambda: ("wake",) in host.told)

    run(body)


def test_a_broken_invariant_stops_the_node_in_the_middle_of_whatever_it_did() -> None:
    class Broken(StandIn):
        def turn(self) -> Turn:
            raise AssertionError("two leaders of one term")

    async def main() -> str | None:
        shell = Shell(cast("Host", Broken()), cast("SegmentFiles", Disk()), lambda *given, **fields: None)
        shell.stimulated()
        await shell.ended.wait()
        await shell.close()
        return shell.fatal

    assert asyncio.run(main()) == "AssertionError: two leaders of one term"


def test_what_is_due_does_not_wait_until_the_disk_is_idle() -> None:
    writes = 200

    async def body(shell: Shell, host: StandIn, disk: Disk) -> None:
        # Each write is followed at once by a turn with another, and something for a client.
        host.turns = [Turn(replies=[(9, b"+OK\r\n")], journal=write(each).journal) for each in range(writes)]
        host.deadline_ns = 0
        shell.flush()
        await until(lambda: ("wake",) in host.told)
        assert len(disk.did) < 3

    run(body)


def test_a_write_still_to_be_made_is_not_made_once_the_node_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shells, "RETRY_FULL_DISK_S", 0.001)

    async def main() -> None:
        disk = Disk(DiskFullError("no room"))
        host = StandIn()
        shell = Shell(cast("Host", host), cast("SegmentFiles", disk), lambda *given, **fields: None)
        host.turns = [write(1), Turn(replies=[(9, b"+OK\r\n")], journal=write(2).journal)]
        shell.flush()
        shell.flush()
        await shell.close()
        await asyncio.sleep(0.01)
        # Somebody else may have opened the directory by now.
        assert disk.did[-1] == ("close", None)

    asyncio.run(main())

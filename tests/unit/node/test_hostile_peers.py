"""What a peer sends that no peer of ours would: it is dropped or refused, and nothing breaks."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from tests.unit.node.small_cluster import Cluster

from comity.formats.errors import FrameError
from comity.formats.frames import HELLO_KIND, Hello, decode_hello
from comity.node.messages import KIND_CORE
from comity.node.turn import Job, Turn
from comity.protocols.raft.core import RaftCore
from comity.protocols.raft.messages import Append, Entry, InstallSnapshot, SnapshotReply
from comity.protocols.raft.snapshots import STAGING_CHUNKS
from comity.replica import EntryKind, Member, Members
from comity.replica.members import encode_members


def test_a_hello_that_is_not_text_is_refused() -> None:
    hello = msgspec.msgpack.encode(Hello(cluster="name", node=2, incarnation=1))
    with pytest.raises(FrameError, match="cannot be read"):
        decode_hello([(0, HELLO_KIND, hello.replace(b"name", b"\xff\xfe\xff\xfe"))])


def test_a_membership_that_is_not_text_does_not_stop_the_node() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    host = cluster.hosts[leader % 3 + 1]
    members = Members(voters=(1, 2), known=(Member(1, "name"), Member(2, "name")))
    payload = encode_members(members).replace(b"name", b"\xff\xfe\xff\xfe")
    term = host.default.core.status()["term"]
    append = Append(term, 0, 0, 0, [Entry(term, int(EntryKind.MEMBERS), payload)])
    host.peers.frame(leader, [(0, KIND_CORE, host.default.protocol.codec.encode(append))])
    host.turn()
    host.check()


def test_a_snapshot_that_comes_faster_than_the_disk_takes_it_is_held_up_and_goes_on() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    host = cluster.hosts[leader % 3 + 1]
    core, codec = cast("RaftCore", host.default.core), host.default.protocol.codec
    jobs: list[Job] = []

    def offer(first: int, count: int) -> list[bytes]:
        """Chunks, whatever is answered; what was."""
        cursors = []
        for number in range(first, first + count):
            cursor, next_cursor = b"%d" % number if number else b"", b"%d" % (number + 1)
            chunk = InstallSnapshot(core.term, 1000, core.term, b"", cursor, next_cursor, b"\x90" * 10)
            host.peers.frame(leader, [(0, KIND_CORE, codec.encode(chunk))])
            cursors += answers(host.turn())
        return cursors

    def answers(turn: Turn) -> list[bytes]:
        jobs.extend(turn.jobs)
        bodies = [body for _, envelopes in turn.frames for _, _, body in envelopes]
        return [each.cursor for body in bodies if isinstance(each := codec.decode(body), SnapshotReply)]

    assert offer(0, 1000) == [b"%d" % number for number in range(1, STAGING_CHUNKS)]
    host.job_done(jobs[-1].number)
    assert answers(host.turn()) == [b"%d" % STAGING_CHUNKS]
    assert offer(STAGING_CHUNKS, 10) == []
    asked = []
    while core.staging:
        host.job_done(jobs[-1].number)
        asked += answers(host.turn())
    following = STAGING_CHUNKS + 1
    assert asked == [b"%d" % following]
    assert offer(following, 2) == [b"%d" % (following + 1), b"%d" % (following + 2)]

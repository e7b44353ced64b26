"""What a leader knows of a follower."""

from __future__ import annotations

from comity.protocols.raft.progress import PROBE, SNAPSHOT, Progress
from comity.replica import SnapshotChunk


def test_probing_pauses_after_one_message() -> None:
    peer = Progress(2, 5, 0)
    assert (peer.state, peer.next, peer.paused) == (PROBE, 5, False)
    peer.sent(9, 100, 1)
    assert (peer.next, peer.paused, peer.unacknowledged) == (5, True, True)


def test_replicating_sends_ahead_and_frees_the_window_as_answers_come() -> None:
    peer = Progress(2, 5, 0)
    peer.acknowledged(4)
    peer.become_replicate()
    for last in (5, 7, 9):
        peer.sent(last, 100, 1)
    assert (peer.next, len(peer.inflight), peer.inflight_bytes) == (10, 3, 300)
    assert peer.acknowledged(7)
    assert (peer.match, len(peer.inflight), peer.inflight_bytes) == (7, 1, 100)
    assert not peer.acknowledged(6), "an old answer is no news"
    assert peer.acknowledged(9)
    assert not peer.unacknowledged
    assert peer.inflight_bytes == 0


def test_going_back_never_goes_below_what_matches() -> None:
    peer = Progress(2, 5, 0)
    peer.acknowledged(4)
    peer.become_replicate()
    peer.sent(9, 100, 1)
    peer.become_probe(2)
    assert (peer.next, peer.state, len(peer.inflight), peer.inflight_bytes) == (5, PROBE, 0, 0)


def test_what_a_snapshot_covers_need_not_be_kept() -> None:
    peer = Progress(2, 5, 0)
    assert peer.needs == 0
    peer.become_snapshot(10)
    assert (peer.state, peer.needs) == (SNAPSHOT, 0)
    assert peer.transfer is not None
    peer.transfer.index = 40
    peer.transfer.chunk = SnapshotChunk(40, 1, b"", b"", b"", b"")
    assert peer.needs == 40
    peer.acknowledged(40)
    peer.become_replicate()
    assert (peer.next, peer.needs) == (41, 40)

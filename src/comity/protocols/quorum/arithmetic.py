"""How many replicas a read and a write need, and what may be promised then.

Gifford, "Weighted Voting for Replicated Data", SOSP 1979 (a read quorum meets every write quorum where
R + W > N); DeCandia and others, "Dynamo", SOSP 2007, 4.5 and 4.6 (sloppy quorums); Attiya, Bar-Noy and
Dolev, "Sharing Memory Robustly in Message-Passing Systems", JACM 1995 (a read writes back what it found).
Pure functions.
"""

from __future__ import annotations

import msgspec

from comity.replica import EVENTUAL, LINEARIZABLE, SESSION

LAST_WRITER_WINS = "last-writer-wins"
SIBLINGS = "siblings"


class Quorums(msgspec.Struct, frozen=True):
    """Of `n` replicas, `r` answer a read and `w` acknowledge a write."""

    n: int
    r: int
    w: int

    @property
    def meet(self) -> bool:
        """Whether every read quorum has a replica in common with every write quorum."""
        return self.r + self.w > self.n

    @property
    def meeting_read(self) -> int:
        """The least number of answers that meets every write quorum."""
        return self.n - self.w + 1


class Promise(msgspec.Struct, frozen=True):
    """level: the strongest one. reasons: in words, for people."""

    level: str
    reasons: tuple[str, ...]


def majority(n: int) -> int:
    """More than half of n."""
    return n // 2 + 1


def quorums_of(nodes: int, n: int = 0, r: int = 0, w: int = 0) -> Quorums:
    """What counts among `nodes` nodes: 0 stands for all (n) or a majority (r, w), and nothing is more
    than there is. If R + W > N holds for n, it still holds where there are fewer nodes than n."""
    held = min(n, nodes) if n else nodes
    return Quorums(held, min(r or majority(held), held), min(w or majority(held), held))


def quorum_promise(n: int, r: int, w: int, sloppy: bool, conflicts: str) -> Promise:
    """The strongest level that these numbers can keep, and why. 0 for r and w: a majority of n.

    Raises `ValueError` where the numbers make no sense.
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more to promise anything, not {n}: for 0 pass the number of nodes")
    if not 0 <= r <= n or not 0 <= w <= n:
        raise ValueError(f"r ({r}) and w ({w}) must be 0 (a majority) to n ({n})")
    quorums = quorums_of(n, n, r, w)
    r, w = quorums.r, quorums.w
    reasons: list[str] = []
    level = LINEARIZABLE
    if quorums.meet:
        reasons.append(f"R+W = {r + w} > N = {n}: a read hears of every write acknowledged before it")
    else:
        level = EVENTUAL
        reasons.append(
            f"R+W = {r + w} <= N = {n}: a read may miss a write acknowledged before it, until read repair or "
            f"anti-entropy has spread it; R+W of {n + 1} would do (a request for {SESSION} reads "
            f"{quorums.meeting_read})"
        )
    if 2 * w <= n:
        reasons.append(f"2W = {2 * w} <= N = {n}: two writes at a time may not see each other, both succeed")
    if sloppy:
        level = EVENTUAL
        reasons.append(
            "sloppy: while nodes are away others hold their writes, and a read need not ask those: an "
            "acknowledged write may be missed whatever R+W is; strict quorums would do"
        )
    if conflicts == SIBLINGS:
        if level == LINEARIZABLE:
            level = SESSION
        reasons.append(
            f"siblings: concurrent writes are kept beside each other, a register has one value; "
            f"conflicts = {LAST_WRITER_WINS} would do"
        )
    elif level == LINEARIZABLE:
        reasons.append(
            "strict quorums, writes that ask for the highest tag first, and reads that write back what they "
            "found: an atomic register per key (ABD), for blind writes, reads and removals"
        )
    if conflicts == LAST_WRITER_WINS and level != LINEARIZABLE:
        reasons.append(
            "last-writer-wins: of concurrent writes the one with the higher hybrid clock survives, the other "
            "is lost though it was acknowledged"
        )
    crashes = n - max(r, w)
    reasons.append(f"reads and writes go on while {crashes} of a key's {n} replicas are down")
    return Promise(level, tuple(reasons))


def lowered(quorums: Quorums, level: str, read_quorum: int, write_quorum: int) -> str:
    """Why a request may not bring these quorums of its own (0: the keyspace's) to this level; "" if it may.

    Readers count on W acknowledgements of every write, whoever wrote: so a write may ask for more than the
    keyspace's W and not for fewer, and a read for no fewer than meet W.
    """
    if read_quorum < 0 or write_quorum < 0:
        return "a quorum is 1 or more, or 0 for the keyspace's"
    if read_quorum > quorums.n or write_quorum > quorums.n:
        return f"a quorum of more than the {quorums.n} replicas of a key can never be had"
    if level not in {LINEARIZABLE, SESSION}:
        return ""
    if 0 < write_quorum < quorums.w:
        return (
            f"{level} reads count on {quorums.w} acknowledgements of every write, not {write_quorum}: leave "
            f"the write quorum to the keyspace, or ask for {EVENTUAL}"
        )
    if 0 < read_quorum < quorums.meeting_read:
        return (
            f"{read_quorum} answers and the keyspace's {quorums.w} acknowledgements need not meet among "
            f"{quorums.n} replicas: a {level} read needs {quorums.meeting_read}, or ask for {EVENTUAL}"
        )
    return ""

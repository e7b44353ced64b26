"""Of two session tokens the join says what either says, for every protocol of registers."""

from __future__ import annotations

from comity.protocols.gossip.core import GossipCore
from comity.protocols.gossip.vectors import decode_token, encode_token
from comity.protocols.paxos.core import PaxosCore
from comity.protocols.paxos.tokens import MANY, token_after
from comity.protocols.quorum.core import QuorumCore


def test_of_quorum_tokens_the_later_time_remains() -> None:
    join = QuorumCore.__new__(QuorumCore).join_tokens
    early, late = (7).to_bytes(8, "big"), (300).to_bytes(8, "big")
    assert join(early, late) == join(late, early) == late
    assert join(b"", early) == join(early, b"") == early


def test_of_gossip_tokens_every_count_remains() -> None:
    join = GossipCore.__new__(GossipCore).join_tokens
    left, right = encode_token({1: 5, 2: 1}), encode_token({2: 4, 3: 9})
    assert decode_token(join(left, right)) == decode_token(join(right, left)) == {1: 5, 2: 4, 3: 9}
    assert join(b"junk", left) == join(left, b"junk") == left
    assert join(b"", b"") == b""


def test_of_paxos_tokens_the_higher_ballot_of_one_key_remains_or_that_it_were_many() -> None:
    join = PaxosCore.__new__(PaxosCore).join_tokens
    early, late = token_after(b"", b"a", (1, 2)), token_after(b"", b"a", (3, 1))
    other = token_after(b"", b"b", (1, 1))
    assert join(early, late) == join(late, early) == late
    assert join(early, other) == MANY
    assert join(MANY, late) == join(late, MANY) == MANY
    assert join(b"", late) == late

"""What a majority agrees on, against the slow and obvious way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.protocols.raft.quorums import agreed
from comity.replica import Members

voter_sets = st.sets(st.integers(1, 7), min_size=1).map(lambda nodes: tuple(sorted(nodes)))


def slowly_agreed(members: Members, values: dict[int, int]) -> int:
    """Try every value, the largest first: has a quorum reached it?"""
    for value in sorted({*values.values()}, reverse=True):
        if members.quorum({node for node, reached in values.items() if reached >= value}):
            return value
    return 0


@given(voter_sets, st.one_of(st.just(()), voter_sets), st.lists(st.integers(0, 9), min_size=8, max_size=8))
def test_agreed_is_the_largest_value_a_quorum_has_reached(
    voters: tuple[int, ...], outgoing: tuple[int, ...], values: list[int]
) -> None:
    members = Members(voters=voters, outgoing=outgoing)
    by_node = {node: values[node] for node in {*voters, *outgoing}}
    assert agreed(members, by_node.__getitem__) == slowly_agreed(members, by_node)


def test_without_voters_nothing_is_agreed() -> None:
    assert agreed(Members(voters=()), lambda node: 9) == 0

"""Options refuse what makes no sense, by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from comity.protocols.raft import RaftOptions


def test_the_defaults_make_sense() -> None:
    options = RaftOptions()
    assert options.heartbeat_ns == 100_000_000
    assert (options.election_ns, options.election_max_ns) == (500_000_000, 1_000_000_000)
    assert options.pre_vote
    assert options.check_quorum
    assert not options.lease_reads


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"heartbeat_ns": 0}, "heartbeat_ns must be 1 or more, not 0"),
        ({"max_inflight_messages": -1}, "max_inflight_messages must be 1 or more, not -1"),
        ({"promote_lag": -1}, "promote_lag must be 0 or more"),
        ({"election_ns": 150_000_000}, "election_ns .* must be at least 2 times heartbeat_ns"),
        ({"election_max_ns": 400_000_000}, "election_max_ns .* must be at least election_ns"),
        ({"campaign_ns": 900_000_000}, "election_ns .* must be at least campaign_ns"),
        ({"hint_max_ns": 1}, "hint_max_ns .* must be at least hint_min_ns"),
        ({"max_inflight_bytes": 10}, "max_inflight_bytes .* must be at least max_append_bytes"),
        ({"max_log_bytes": 10}, "max_log_bytes .* must be at least keep_log_bytes"),
        ({"clock_drift": 0.5}, "clock_drift"),
        ({"clock_drift": -0.1}, "clock_drift"),
        ({"lease_reads": True, "check_quorum": False}, "lease_reads needs check_quorum"),
    ],
)
def test_a_senseless_option_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RaftOptions(**given)


def test_an_unknown_option_is_refused_in_a_configuration() -> None:
    with pytest.raises(msgspec.ValidationError, match="heartbeats"):
        msgspec.convert({"heartbeats": 1}, RaftOptions)

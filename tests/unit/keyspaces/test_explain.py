"""Explanations: complete, of 80 columns, and the same for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from comity.keyspaces.choices import LEVELS, checked_options, chosen_level, find_protocol
from comity.keyspaces.definition import KeyspaceError
from comity.keyspaces.explain import as_text, explain
from comity.keyspaces.possible import KEY_BY_KEY, possible_commands
from comity.node.keyed import SEVERAL
from comity.protocols import load
from comity.store.lattices import refusal
from comity.store.table import TABLE

PROTOCOLS = load()
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "raft": ("raft", {}),
    "raft by lease": ("raft", {"lease_reads": "true"}),
    "paxos": ("paxos", {}),
    "primary-backup": ("primary-backup", {}),
    "primary-backup async": ("primary-backup", {"mode": "async", "loss_bytes": "4096"}),
    "chain": ("chain", {}),
    "quorum": ("quorum", {}),
    "quorum 1 and 1": ("quorum", {"r": "1", "w": "1"}),
    "quorum sloppy": ("quorum", {"n": "3", "sloppy": "true"}),
    "quorum siblings": ("quorum", {"conflicts": "siblings"}),
    "gossip": ("gossip", {}),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def explained(kind: str, replicas: int = 3, level: str | None = None, voters: int = 0) -> dict[str, Any]:
    name, words = KINDS[kind]
    protocol = PROTOCOLS[name]
    options = checked_options(protocol, words)
    given = chosen_level(protocol, options, replicas, level)
    return explain("carts", protocol, options, given, replicas, voters)


def flat(text: str) -> str:
    """Without the line breaks of 80 columns."""
    return " ".join(text.split())


@kinds
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 5])
def test_an_explanation_is_json_and_fits_a_terminal(kind: str, replicas: int) -> None:
    for level in explained(kind, replicas)["levels"]:
        found = explained(kind, replicas, level)
        assert json.loads(json.dumps(found)) == found
        text = as_text(found)
        assert text.endswith("\n")
        assert max(map(len, text.splitlines())) <= 80
        assert text == as_text(json.loads(json.dumps(found))), "a program can print what it was sent"


@kinds
def test_the_text_says_what_the_json_does(kind: str) -> None:
    found = explained(kind)
    text = flat(as_text(found))
    assert f"keyspace carts: {found['replication']}, {found['level']}, 3 replicas" in text
    for part in (
        found["pacelc"],
        found["reason"],
        found["loss"]["text"],
        found["staleness"],
        found["clocks"],
    ):
        assert part in text
    for side in ("minority", "majority"):
        assert found[side][1:] in text
    for level in LEVELS:
        if level in found["levels"]:
            assert f"{level} reads {found['at'][level]['reads']}" in text
        else:
            assert f"{level} refused: {found['refusals'][level]}" in text
    for name in (*found["commands"]["possible"], *found["options"]):
        assert name in text


@kinds
def test_every_command_on_data_is_possible_limited_or_refused(kind: str) -> None:
    commands = explained(kind)["commands"]
    listed = list(commands["possible"])
    for group in (*commands["limited"], *commands["refused"]):
        assert group["reason"]
        listed += group["names"]
    assert len(set(listed)) == len(listed)
    on_data = {each.title for each in TABLE.values() if each.first_key and "connection" not in each.flags}
    listed = [name for name in listed if not name.startswith("SET with")]
    assert on_data | {"MULTI", "EXEC", "WATCH"} == set(listed)


def refused(kind: str) -> dict[str, str]:
    groups = explained(kind)["commands"]["refused"]
    return {name: group["reason"] for group in groups for name in group["names"]}


def test_logs_take_every_command() -> None:
    for kind in ("raft", "primary-backup", "primary-backup async", "chain"):
        assert not refused(kind)


def test_registers_take_what_concerns_one_key() -> None:
    assert set(refused("paxos")) == {"MSETNX", "RENAME", "RENAMENX", "COPY", "MULTI", "EXEC", "WATCH"}


def test_quorums_refuse_what_reads_before_it_writes() -> None:
    found = refused("quorum")
    assert {"INCR", "APPEND", "SETNX", "GETSET", "EXPIRE"} <= set(found)
    assert "SET with NX, XX, GET or KEEPTTL" in found
    assert not {"SET", "GET", "DEL", "TTL"} & set(found)


def test_gossip_counts_but_does_not_decide() -> None:
    found = refused("gossip")
    assert {"SETNX", "APPEND", "SET with NX or XX"} <= set(found)
    assert not {"INCR", "SET", "EXPIRE"} & set(found)
    for name in found:
        if name.encode() in TABLE and name not in {"MULTI", "EXEC", "WATCH"}:
            assert refusal(name.encode()) is not None


def test_commands_on_several_keys_are_those_that_the_node_takes_key_by_key() -> None:
    assert {name.lower() for name in KEY_BY_KEY} == SEVERAL


def test_at_linearizable_they_take_one_key_at_a_time() -> None:
    (limited,) = possible_commands(PROTOCOLS["paxos"], "linearizable").limited
    assert limited == (limited[0], ("MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH"))
    assert "one key at a time" in limited[0]
    ((reason, _),) = possible_commands(PROTOCOLS["paxos"], "session").limited
    assert "one key at a time" not in reason


# -- classes


def test_consistent_keyspaces_and_available_ones() -> None:
    classes = {kind: explained(kind)["pacelc"] for kind in KINDS}
    assert classes == {
        "raft": "PC/EC",
        "raft by lease": "PC/EC",
        "paxos": "PC/EC",
        "primary-backup": "PC/EC",
        "primary-backup async": "PA/EL",
        "chain": "PC/EC",
        "quorum": "PC/EC",
        "quorum 1 and 1": "PA/EL",
        "quorum sloppy": "PC/EL",
        "quorum siblings": "PC/EL",
        "gossip": "PA/EL",
    }


def test_weaker_reads_of_a_log_are_available_though_its_writes_are_consistent() -> None:
    found = explained("raft", 3, "session")
    assert found["at"]["session"]["reads"] == "PA/EL"
    assert found["at"]["session"]["writes"] == "PC/EC"
    assert found["at"]["session"]["minority"] == {"reads": "yes", "writes": "no"}
    assert "But reads at session are PA/EL" in flat(as_text(found))


def test_one_phase_writes_of_a_linearizable_quorum_are_faster() -> None:
    found = explained("quorum")
    assert found["at"]["linearizable"]["write_round_trips"] == [2, 2]
    assert found["at"]["session"]["write_round_trips"] == [1, 2]
    assert found["at"]["session"]["writes"] == "PC/EL"


def test_views_need_the_control_group() -> None:
    assert explained("chain", 3)["crash_faults"] == 1, "of three voters two must be left"
    assert explained("chain", 3, voters=5)["crash_faults"] == 2
    assert "which needs 3 of its 5 voters" in flat(as_text(explained("chain", 3, voters=5)))
    assert explained("raft", 3, voters=5)["crash_faults"] == 1
    assert explained("gossip", 3)["crash_faults"] == 2


# -- bad input


def test_a_protocol_without_a_promise_says_what_would_do() -> None:
    silent = msgspec.structs.replace(PROTOCOLS["raft"], promise=None)
    assert chosen_level(silent, {}, 3, "causal") == "causal"
    with pytest.raises(KeyspaceError, match="raft states no promise: give its PROTOCOL"):
        explain("carts", silent, {}, "linearizable", 3)


def test_a_level_that_is_not_given_is_not_explained() -> None:
    with pytest.raises(KeyspaceError, match="gossip is not linearizable here; it gives causal"):
        explain("carts", PROTOCOLS["gossip"], {}, "linearizable", 3)


@pytest.mark.parametrize(
    ("kind", "level", "says"),
    [
        ("gossip", "linearizable", r"gossip is not linearizable: .* keyspaces can.*; it gives causal"),
        ("quorum", "causal", r"quorum is not causal: each key is replicated by itself"),
        ("raft", "strict", r"raft is not strict: there is no such level"),
    ],
)
def test_a_level_that_cannot_be_is_refused_with_the_alternatives(kind: str, level: str, says: str) -> None:
    with pytest.raises(KeyspaceError, match=says):
        explained(kind, 3, level)


def test_unknown_protocols_and_options_are_refused_with_what_there_is() -> None:
    with pytest.raises(KeyspaceError, match="there is no replication 'pax'; there are: chain, "):
        find_protocol(PROTOCOLS, "pax")
    with pytest.raises(KeyspaceError, match="quorum has no option 'rr'; it has: n, r, w, "):
        checked_options(PROTOCOLS["quorum"], {"rr": "1"})
    with pytest.raises(KeyspaceError, match=r"the options of quorum: Expected `int`, got `str` - at `\$\.n`"):
        checked_options(PROTOCOLS["quorum"], {"n": "three"})
    with pytest.raises(KeyspaceError, match=r"r \(4\) is more than the n \(3\)"):
        checked_options(PROTOCOLS["quorum"], {"n": "3", "r": "4"})


@kinds
def test_no_replicas_promise_nothing(kind: str) -> None:
    with pytest.raises(KeyspaceError, match="0 replicas hold nothing; choose 1 or more"):
        explained(kind, 0)

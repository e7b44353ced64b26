"""Keyspaces in settings: flags, variables and tables; one clear error where they cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comity.keyspaces.creation import Wish
from comity.server.errors import SettingsError
from comity.server.settings import load

FILE = """\
[keyspaces.carts]
replication = "gossip"
consistency = "causal"
replicas = 3

[keyspaces.carts.options]

[keyspaces.bulk]
replication = "primary-backup"

[keyspaces.bulk.options]
mode = "async"
loss_entries = 100

[keyspaces.plain]
"""


def wanted(file: Path | None, flags: dict[str, Any], environment: dict[str, str]) -> list[Wish]:
    return list(load(str(file) if file else None, flags, environment).host_config("1").wanted)


def test_a_file_has_a_table_for_each(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(FILE)
    assert wanted(file, {}, {}) == [
        Wish(name="carts", replication="gossip", level="causal", replicas=3),
        Wish(name="bulk", replication="primary-backup", options={"mode": "async", "loss_entries": "100"}),
        Wish(name="plain"),
    ]


def test_flags_and_variables_name_protocol_and_level() -> None:
    expected = [
        Wish(name="carts", replication="gossip", level="causal"),
        Wish(name="chat", replication="chain"),
    ]
    assert wanted(None, {"keyspace": ["carts=gossip:causal", "chat=CHAIN"]}, {}) == expected
    assert wanted(None, {}, {"COMITY_KEYSPACE": "carts=gossip:causal, chat=chain"}) == expected


def test_of_one_name_the_flag_counts_whole_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(FILE)
    found = wanted(file, {"keyspace": ["carts=chain"]}, {"COMITY_KEYSPACE": "carts=paxos,chat=chain"})
    assert [(wish.name, wish.replication, wish.level, wish.replicas) for wish in found] == [
        ("carts", "chain", "", 0),
        ("bulk", "primary-backup", "", 0),
        ("plain", "raft", "", 0),
        ("chat", "chain", "", 0),
    ]


def test_the_old_setting_is_still_a_list_of_logs_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(FILE)
    config = load(str(file), {"keyspaces": "orders,stock"}, {}).host_config("1")
    assert [keyspace.name for keyspace in config.keyspaces] == ["default", "orders", "stock"]
    assert [wish.name for wish in config.wanted] == ["carts", "bulk", "plain"]
    with pytest.raises(SettingsError, match="keyspaces name one twice: bulk, carts, carts"):
        load(str(file), {"keyspaces": "carts"}, {}).host_config("1")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (["carts"], "keyspace 'carts' from the command line is not NAME=REPLICATION"),
        (["carts="], "is not NAME=REPLICATION"),
        (["=gossip"], "is not NAME=REPLICATION"),
        (["carts=gossip:"], "is not NAME=REPLICATION"),
        (["a=raft", "a=chain"], "the command line names the keyspace 'a' twice"),
        (["a=nothing"], "there is no replication 'nothing'; there are: chain, gossip"),
        (["a=gossip:strong"], "there is no level 'strong'"),
        (["a=gossip:linearizable"], "gossip is not linearizable: "),
        (["default=chain"], "the keyspace 'default' is there always"),
        (["a:b=chain"], "without ':'"),
        (5, "is 5; give NAME=REPLICATION"),
        ({"carts": "gossip"}, "keyspaces.carts from the command line is 'gossip'; it must be a table"),
        ({"carts": {"replicaton": "raft"}}, "'replicaton', which is no setting; did you mean 'replication'?"),
        ({"carts": {"replication": 5}}, "replication is 5; it must be text"),
        ({"carts": {"consistency": True}}, "consistency is True; it must be text"),
        ({"carts": {"replicas": 0}}, "replicas is 0; it must be a number of nodes, 1 or more"),
        ({"carts": {"replicas": "three"}}, "replicas is 'three'; it must be a number"),
        ({"carts": {"options": 5}}, "options is 5; it must be a table"),
        ({"carts": {"options": {"r": [1]}}}, "option r is [1]; it must be text, a number or a boolean"),
        ({"carts": {"options": {"r": 1}}}, "raft has no option 'r'; it has: "),
        (
            {"q": {"replication": "quorum", "replicas": 3, "options": {"r": 4, "n": 3}}},
            "keyspace 'q' of the settings cannot be: ",
        ),
    ],
)
def test_what_cannot_be_is_one_clear_error(value: object, error: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(None, {"keyspace": value}, {})
    assert error in str(raised.value)
    assert "\n" not in str(raised.value)


def test_booleans_of_a_file_are_the_words_of_a_command() -> None:
    value = {"fast": {"options": {"lease_reads": True, "pre-vote": False}}}
    assert wanted(None, {"keyspace": value}, {})[0].options == {"lease_reads": "true", "pre_vote": "false"}

"""Settings: which source wins, units, and names nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.server.errors import SettingsError
from comity.server.settings import load


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'redis = "a:1"\npeer = "a:2"\nadmin = "a:3"\n[bounds]\nconnections = 1\nbatch_commands = 7\n'
    )
    settings = load(
        str(file),
        {"redis": "c:1", "peer": None},
        {"COMITY_REDIS": "b:1", "COMITY_PEER": "b:2", "COMITY_BOUNDS_CONNECTIONS": "2", "PATH": "/bin"},
    )
    assert (settings.redis, settings.peer, settings.admin) == ("c:1", "b:2", "a:3")
    bounds = settings.host_config("1").bounds
    assert (bounds.connections, bounds.batch_commands) == (2, 7)


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("node = 3\n")
    assert load(None, {}, {"COMITY_CONFIG": str(file)}).node == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 250_000_000), ("2 s", 2_000_000_000), ("1.5s", 1_500_000_000), ("10us", 10_000), ("7", 7)],
)
def test_durations_take_units(text: str, value: int) -> None:
    settings = load(None, {"bounds": {"request_deadline_ns": text}}, {})
    assert settings.host_config("1").bounds.request_deadline_ns == value


@pytest.mark.parametrize(("text", "value"), [("64mb", 64 << 20), ("1GB", 1 << 30), ("5 kb", 5120), ("9b", 9)])
def test_sizes_take_units(text: str, value: int) -> None:
    settings = load(None, {"bounds": {"request_bytes": text}}, {})
    assert settings.host_config("1").bounds.request_bytes == value


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        ({"enginee": "memory"}, ("the command line", "'enginee'", "did you mean 'engine'")),
        ({"bounds": {"conections": 5}}, ("bounds.conections", "did you mean 'connections'")),
        ({"bounds": {"connections": "5mb"}}, ("bounds.connections", "whole number")),
        ({"bounds": 5}, ("bounds", "must be a table")),
        ({"raft": {"heartbeat": 5}}, ("raft.heartbeat", "did you mean 'heartbeat_ns'")),
        ({"raft": {"heartbeat_ns": 0}}, ("heartbeat_ns", "1 or more")),
        ({"cache_bytes": 1}, ("cache_bytes is 1", "1048576")),
        ({"admin": "x:0"}, ("admin", "'x:0' is not host:port")),
        ({"members": "1=a:1/b:2,1=c:3/d:4"}, ("members name a node twice",)),
        ({"members": "x=a:1"}, ("'x=a:1' is not NODE=",)),
    ],
)
def test_what_cannot_be_is_refused_by_name(flags: dict[str, object], texts: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as raised:
        load(None, flags, {}).host_config("1")
    assert raised.value.code == 2
    for text in texts:
        assert text in str(raised.value)


def test_options_of_raft_take_units_and_booleans() -> None:
    raft = load(None, {}, {"COMITY_RAFT_ELECTION_NS": "700ms", "COMITY_RAFT_LEASE_READS": "true"}).raft
    assert raft["election_ns"] == 700_000_000
    assert raft["lease_reads"] is True


def test_a_node_alone_is_its_own_member_and_a_joining_one_is_none() -> None:
    alone = load(None, {"peer": "a:1", "redis": "b:2"}, {}).membership()
    assert [(member.node, member.peer, member.redis) for member in alone] == [(1, "a:1", "b:2")]
    assert load(None, {"joining": True}, {}).membership() == ()


def test_admin_may_be_empty_for_none() -> None:
    assert load(None, {"admin": ""}, {}).admin == ""

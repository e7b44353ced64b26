"""`comity explain` and `comity keyspace`: what they say without a cluster, and the exit status scripts rely
on."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner, Result

from comity.console.explain import explain
from comity.console.keyspace import app as keyspaces
from comity.console.port import words_of

app = typer.Typer()
app.command()(explain)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_keyspace_that_could_be_is_explained_without_a_cluster() -> None:
    done = run("--replication", "chain", "--replicas", "5", "--option", "reads=confirm", "--level", "session")
    assert done.exit_code == 0
    assert done.output.startswith("a keyspace: chain, session, 5 replicas")
    assert "reads = confirm" in done.output


def test_json_says_the_same() -> None:
    done = run(
        "--replication", "Primary-Backup", "--option", "mode=async", "--option", "loss-entries=9", "--json"
    )
    found = json.loads(done.output)
    assert done.exit_code == 0
    assert (found["replication"], found["level"], found["replicas"]) == ("primary-backup", "eventual", 3)
    assert found["loss"]["entries"] == 9


def test_the_control_group_may_be_larger_than_the_keyspace() -> None:
    found = json.loads(run("--replication", "chain", "--voters", "5", "--json").output)
    assert (found["crash_faults"], found["voters"]) == (2, 5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a keyspace of a running cluster, or describe one with --replication"),
        (("carts", "--replication", "raft"), "leave out either the name or --replication"),
        (("carts", "--level", "session"), "leave out either the name or --replication"),
        (("--replication", "raft", "--node", "a:1"), "no cluster is asked"),
        (("--replication", "pax"), "there is no replication 'pax'; there are: chain,"),
        (("--replication", "raft", "--option", "reads"), "option 'reads' must be name=value"),
        (("--replication", "raft", "--option", "=1"), "option '=1' must be name=value"),
        (("--replication", "raft", "--option", "speed=1"), "raft has no option 'speed'; it has:"),
        (("--replication", "gossip", "--level", "linearizable"), "gossip is not linearizable:"),
        (("carts", "--node", "nowhere"), "--node 'nowhere' is not host:port"),
        (("carts", "--node", "a:0"), "--node 'a:0' is not host:port"),
    ],
)
def test_bad_input_is_one_clear_line_and_exits_2(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("comity explain: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("info", "carts"),
        ("create", "carts"),
        ("drop", "carts"),
        ("alter", "carts", "--replicas", "3"),
    ],
)
def test_without_a_cluster_it_says_where_it_looked_and_exits_1(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(keyspaces, [*arguments, "--node", "127.0.0.1:1"])
    assert done.exit_code == 1
    assert done.stderr.startswith("comity keyspace: no node answers at 127.0.0.1:1 (")
    assert "name the Redis addresses with --node" in done.stderr


def test_an_alteration_of_nothing_exits_2() -> None:
    done = CliRunner().invoke(keyspaces, ["alter", "carts"])
    assert done.exit_code == 2
    assert "nothing to change: give --consistency or --replicas" in done.stderr


def test_options_are_spelled_as_the_protocols_do() -> None:
    assert words_of(["Loss-Entries= 9", "mode=async"]) == {"loss_entries": "9", "mode": "async"}
    assert words_of(None) == {}

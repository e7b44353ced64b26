"""Keyspaces of the settings are created by the leader where they are missing, and never changed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.node.small_cluster import Cluster

from comity.keyspaces.creation import Wish, check, contradiction
from comity.keyspaces.definition import Keyspace, KeyspaceError
from comity.node import ConfigError, HostConfig
from comity.protocols import load
from comity.replica import Member, View

CARTS = Wish(name="carts", replication="gossip", level="session", replicas=2)
CHAT = Wish(name="chat", replication="chain")
STOCK = Wish(name="stock", replication="quorum", options={"r": "1", "w": "3"})


def everywhere(*wishes: Wish) -> dict[int, tuple[Wish, ...]]:
    return dict.fromkeys((1, 2, 3), wishes)


def settled(cluster: Cluster, node: int) -> dict[str, Any]:
    found: dict[str, Any] = cluster.hosts[node].status()["catalogue"]["settings"]
    return found


def run_until_active(cluster: Cluster, *names: str) -> None:
    for _ in range(100):
        cluster.run(50)
        if all(settled(cluster, node)[name]["state"] == "active" for node in cluster.hosts for name in names):
            return
    raise AssertionError({node: settled(cluster, node) for node in cluster.hosts})


def failures(cluster: Cluster) -> list[tuple[int, str]]:
    return [
        (node, f"{fields['keyspace']}: {fields['reason']}")
        for node, event, fields in cluster.notes
        if event == "keyspace of the settings failed"
    ]


def test_the_leader_creates_what_is_missing_as_the_command_would() -> None:
    cluster = Cluster(wanted=everywhere(CARTS, CHAT, STOCK))
    cluster.elect()
    run_until_active(cluster, "carts", "chat", "stock")
    by_command = Cluster()
    by_command.elect()
    for words in (
        "carts REPLICATION gossip CONSISTENCY session REPLICAS 2",
        "chat REPLICATION chain",
        "stock REPLICATION quorum OPTION r 1 OPTION w 3",
    ):
        answer = by_command.call(2, ("KEYSPACE", "CREATE", *words.split()), within_ms=2000)
        assert answer == b"+OK\r\n"

    def made(cluster: Cluster) -> list[tuple[object, ...]]:
        keyspaces = cluster.hosts[1].keyspaces.catalogue.keyspaces.values()
        return [
            (each.name, each.number, each.replication, each.level, each.options, each.nodes, each.state)
            for each in keyspaces
        ]

    assert made(cluster) == made(by_command)
    assert failures(cluster) == []
    assert cluster.call(3, ("SET", "carts:1", "x"), within_ms=500) == b"+OK\r\n"


def test_the_same_happens_every_time() -> None:
    def notes() -> list[tuple[int, str, dict[str, object]]]:
        cluster = Cluster(wanted=everywhere(CARTS, CHAT, STOCK))
        cluster.elect()
        run_until_active(cluster, "carts", "chat", "stock")
        return cluster.notes

    assert notes() == notes()


def test_it_is_done_once_and_what_is_there_stays() -> None:
    cluster = Cluster(wanted=everywhere(CARTS))
    cluster.elect()
    run_until_active(cluster, "carts")
    cluster.call(1, ("SET", "carts:1", "x"), within_ms=500)
    version = cluster.hosts[1].keyspaces.catalogue.version
    for node in (1, 2, 3):
        cluster.kill(node)
        cluster.run(1500)
        cluster.start(node)
        cluster.run(3000)
    assert cluster.hosts[1].keyspaces.catalogue.version == version
    assert cluster.call(2, ("GET", "carts:1"), within_ms=500) == b"$1\r\nx\r\n"
    assert failures(cluster) == []


def test_until_it_is_created_its_keys_are_refused_and_others_are_not() -> None:
    cluster = Cluster(wanted={3: (CARTS,)})
    assert cluster.elect() == 1
    cluster.run(1000)
    assert settled(cluster, 3)["carts"]["state"] == "missing"
    refusal = b"-TRYAGAIN the settings name keyspaces that are not created yet: carts; see COMITY.STATUS\r\n"
    assert cluster.call(3, ("SET", "carts:1", "x")) == refusal
    assert cluster.call(3, ("MGET", "carts:1", "carts:2")) == refusal
    assert cluster.call(3, ("KEYS", "carts:*")) == refusal
    assert cluster.call(3, ("SET", "other:1", "x")) == b"+OK\r\n"
    said = cluster.call(2, ("KEYSPACE", "CREATE", "carts", "REPLICATION", "gossip"), within_ms=2000)
    assert said == b"+OK\r\n"
    assert cluster.call(3, ("SET", "carts:1", "x"), within_ms=500) == b"+OK\r\n"


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish(name="carts", replication="chain"), "it is gossip, not chain;"),
        (Wish(name="carts", replication="gossip", level="causal"), "it is session, not causal;"),
        (Wish(name="carts", replication="gossip", replicas=3), "it has 2 replicas, not 3;"),
        (
            Wish(name="carts", replication="gossip", level="eventual", replicas=1),
            "it is session, not eventual and has 2 replicas, not 1;",
        ),
    ],
)
def test_a_contradiction_is_said_on_every_node_and_nothing_is_changed(wish: Wish, reason: str) -> None:
    cluster = Cluster(wanted=everywhere(CARTS))
    cluster.elect()
    run_until_active(cluster, "carts")
    before = cluster.hosts[1].keyspaces.catalogue
    cluster.wanted = everywhere(wish)
    for node in (1, 2, 3):
        cluster.kill(node)
        cluster.start(node)
        cluster.run(2000)
    after = cluster.hosts[1].keyspaces.catalogue
    assert (after.version, after.keyspaces["carts"]) == (before.version, before.keyspaces["carts"])
    for node in (1, 2, 3):
        assert settled(cluster, node)["carts"]["error"].startswith(reason)
        assert settled(cluster, node)["carts"]["state"] == "active"
    said = failures(cluster)
    assert sorted(node for node, _ in said) == [1, 2, 3]
    assert all(text.startswith(f"carts: {reason}") and "nothing was changed" in text for _, text in said)
    assert cluster.call(2, ("SET", "carts:1", "x"), within_ms=500) == b"+OK\r\n"


def test_what_is_not_stated_contradicts_nothing() -> None:
    found = Keyspace(
        name="q",
        number=1,
        replication="quorum",
        level="linearizable",
        nodes=(1, 2, 3),
        replicas=3,
        founders=(1, 2, 3),
        view=View(1, (1, 2)),
    )
    protocols = load()
    assert contradiction(protocols, found, Wish(name="q", replication="quorum")) == ""
    other = Wish(name="q", replication="quorum", options={"max_siblings": "3"})
    assert contradiction(protocols, found, other) == "has max_siblings=16, not 3"
    same = Wish(name="q", replication="quorum", options={"max_siblings": "16"})
    assert contradiction(protocols, found, same) == ""


def test_more_replicas_than_members_is_said_once_and_tried_until_there_are_enough() -> None:
    wish = Wish(name="carts", replication="gossip", replicas=4)
    cluster = Cluster(wanted=everywhere(wish, CHAT))
    leader = cluster.elect()
    run_until_active(cluster, "chat")
    cluster.run(5000)
    assert failures(cluster) == [
        (
            leader,
            "carts: 4 replicas were asked for and the cluster has 3 members; choose 1 to 3, or add "
            "members first",
        )
    ]
    assert settled(cluster, leader)["carts"]["state"] == "missing"
    assert settled(cluster, leader)["carts"]["error"]
    assert cluster.call(leader, ("SET", "plain", "x")) == b"+OK\r\n"


def test_a_keyspace_dropped_by_command_stays_dropped_until_a_node_starts_with_such_settings() -> None:
    cluster = Cluster(wanted=everywhere(CARTS))
    leader = cluster.elect()
    run_until_active(cluster, "carts")
    assert cluster.call(2, ("KEYSPACE", "DROP", "carts"), within_ms=2000) == b"+OK\r\n"
    cluster.run(3000)
    assert settled(cluster, leader)["carts"]["state"] == "missing"
    assert cluster.call(2, ("SET", "carts:1", "in default")) == b"+OK\r\n"
    for node in (1, 2, 3):
        cluster.kill(node)
        cluster.start(node)
        cluster.run(2000)
    run_until_active(cluster, "carts")


def test_another_leader_goes_on_where_one_was_lost() -> None:
    cluster = Cluster(wanted=everywhere(CARTS, CHAT, STOCK))
    leader = cluster.elect()
    cluster.kill(leader)
    cluster.run(3000)
    cluster.start(leader)
    run_until_active(cluster, "carts", "chat", "stock")
    assert list(cluster.hosts[2].keyspaces.catalogue.keyspaces) == ["carts", "chat", "stock"]


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (Wish(name="default", replication="chain"), "'default' is there always"),
        (Wish(name="a:b"), "without ':'"),
        (Wish(name=""), "1 to 64 printable"),
        (Wish(name="a", replication="nothing"), "there is no replication 'nothing'; there are: chain"),
        (Wish(name="a", level="strong"), "there is no level 'strong'"),
        (Wish(name="a", replication="gossip", level="linearizable"), "gossip is not linearizable: "),
        (Wish(name="a", replication="quorum", options={"n": "x"}), "the options of quorum: "),
        (Wish(name="a", replication="quorum", options={"q": "2"}), "quorum has no option 'q'; it has: "),
        (Wish(name="a", replicas=-1), "-1 replicas hold nothing"),
    ],
)
def test_what_no_cluster_could_have_is_named(wish: Wish, error: str) -> None:
    with pytest.raises(KeyspaceError) as raised:
        check(load(), wish)
    assert error in str(raised.value)


def test_what_some_cluster_could_have_is_not_refused_before_its_members_are_known() -> None:
    check(load(), Wish(name="a", replication="quorum", options={"r": "4", "w": "4"}))


def test_a_keyspace_named_in_both_settings_is_refused() -> None:
    from comity.node import KeyspaceConfig

    with pytest.raises(ConfigError, match="keyspaces name one twice"):
        HostConfig(
            node=1,
            members=(Member(1, "a:1"),),
            keyspaces=(KeyspaceConfig(name="default"), KeyspaceConfig(name="carts")),
            wanted=(CARTS,),
        )


@pytest.mark.parametrize("after_ms", range(0, 60, 4))
def test_whenever_the_leader_is_lost_each_is_created_once(after_ms: int) -> None:
    cluster = Cluster(wanted=everywhere(CARTS, CHAT, STOCK))
    cluster.run(after_ms)
    cluster.kill(1)
    cluster.run(2500)
    cluster.start(1)
    run_until_active(cluster, "carts", "chat", "stock")
    cluster.run(1500)
    found = [cluster.hosts[node].keyspaces.catalogue for node in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert list(found[0].keyspaces) == ["carts", "chat", "stock"]
    assert found[0].numbers == 3
    assert all(each.state == "active" for each in found[0].keyspaces.values())
    for host in cluster.hosts.values():
        host.check()

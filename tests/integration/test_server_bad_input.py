"""Bad input and bad surroundings, on real processes: one clear error each, and no acknowledged write lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.nodes import Nodes, ServedNode, Talk, one, served, until

from comity.console.main import main

DEADLINE_ENVIRONMENT = {"COMITY_BOUNDS_REQUEST_DEADLINE_NS": "1500ms"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with one(tmp_path_factory.mktemp("bad"), engine="memory") as single:
        single.environment = {
            "COMITY_BOUNDS_REQUEST_BYTES": "1mb",
            "COMITY_BOUNDS_REQUEST_ARGUMENTS": "1000",
        }
        yield single.start().ready()


# -- what a client sends


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"*1\r\n+PING\r\n", "ERR Protocol error: expected '$', got '+'"),
        (b"*x\r\n", "ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$-5\r\n", "ERR Protocol error: invalid bulk length"),
        (b'SET "a\r\n', "ERR Protocol error: unbalanced quotes in request"),
        (b"*2\r\n$3\r\nGET\r\n$99999999999\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$1048577\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1001\r\n", "ERR Protocol error: invalid multibulk length"),
    ],
)
def test_a_malformed_or_too_large_request_is_named_and_the_connection_closed(
    node: ServedNode, data: bytes, error: str
) -> None:
    talk = node.talk()
    assert talk("PING") == b"PONG" or talk("PING") == "PONG"
    assert talk.raw(data) == error
    assert talk.reply() == b""
    assert node.call("PING") in {b"PONG", "PONG"}


def test_requests_before_a_malformed_one_are_carried_out(node: ServedNode) -> None:
    talk = node.talk()
    assert talk.raw(b"SET before 1\r\n*1\r\n+X\r\n") in {b"OK", "OK"}
    assert "Protocol error" in talk.reply()
    assert node.call("GET", "before") == b"1"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("NOSUCH", "a"), "ERR unknown command 'NOSUCH', with args beginning with: 'a' "),
        (("GET",), "ERR wrong number of arguments for 'get' command"),
        (("GET", "a", "b"), "ERR wrong number of arguments for 'get' command"),
        (("CLIENT", "NOSUCH"), "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        (("SET", "a", "1", "NOSUCH"), "ERR syntax error"),
        (("SET", "a", "1", "EX", "0"), "ERR invalid expire time in 'set' command"),
        (("EXPIRE", "a", "x"), "ERR value is not an integer or out of range"),
        (("SELECT", "1"), "ERR DB index is out of range"),
        (("EXEC",), "ERR EXEC without MULTI"),
        (("HELLO", "4"), "NOPROTO unsupported protocol version"),
        (("COMITY.CONSISTENCY", "x"), "ERR unknown consistency level; use one of "),
        (("CLIENT", "ONCE", "c", "0", "SET", "a", "1"), "ERR sequence is not an integer or out of range"),
        (("CLIENT", "ONCE", "nobody", "7", "SET", "a", "1"), "INDETERMINATE "),
        (("CONFIG", "SET", "maxmemory", "1"), "ERR CONFIG SET is not supported"),
    ],
)
def test_a_command_that_cannot_be_is_refused_in_words_and_the_connection_lives(
    node: ServedNode, words: tuple[str, ...], error: str
) -> None:
    talk = node.talk()
    answer = talk(*words)
    assert isinstance(answer, str)
    assert answer.startswith(error)
    assert talk("PING") in {b"PONG", "PONG"}


def test_a_value_of_the_wrong_type_is_refused_and_kept(node: ServedNode) -> None:
    node.call("SET", "text", "x")
    assert node.call("INCR", "text") == "ERR value is not an integer or out of range"
    assert node.call("GET", "text") == b"x"


def test_a_transaction_with_a_bad_command_does_nothing(node: ServedNode) -> None:
    talk = node.talk()
    talk("MULTI")
    talk("SET", "none", "1")
    assert talk("NOSUCH").startswith("ERR unknown command")
    assert talk("EXEC") == "EXECABORT Transaction discarded because of previous errors."
    assert talk("GET", "none") is None


# -- how a node is started


def refused(node: ServedNode, code: int, *texts: str) -> str:
    """The node must end with one line that holds these texts."""
    found, said = node.start().ended()
    assert found == code, said
    errors = [line for line in said.splitlines() if line.startswith("comity: ")]
    assert len(errors) == 1, said
    assert "Traceback" not in said
    for text in texts:
        assert text in errors[0]
    return errors[0]


def refused_at_once(capsys: pytest.CaptureFixture[str], words: list[str], texts: tuple[str, ...]) -> None:
    """The same, in this process: for errors that come before anything is opened."""
    with pytest.raises(SystemExit) as ended:
        main(["serve", *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("comity: ")
    assert said.count("\n") == 1
    for text in texts:
        assert text in said


def test_two_processes_on_one_directory(tmp_path: Path) -> None:
    with one(tmp_path) as first, one(tmp_path) as second:
        first.start().ready()
        assert first.process is not None
        second.err = tmp_path / "second.err"
        second.out = tmp_path / "second.out"
        refused(second, 1, str(first.data), f"in use by process {first.process.pid}", "stop that process")
        assert first.call("SET", "a", "1") == b"OK" or first.call("GET", "a") == b"1"


def test_another_nodes_directory_and_another_clusters(tmp_path: Path) -> None:
    with one(tmp_path) as node:
        node.start().ready()
        assert node.stop() == 0
        members = f"1=127.0.0.1:{node.peer},2=127.0.0.1:{node.peer + 1}"
        with one(tmp_path, node=2, data=node.data, members=members) as other:
            refused(other, 1, str(node.data), "belongs to node 1 of cluster 'comity'", "not to node 2")
        node.flags["cluster"] = "elsewhere"
        refused(node, 1, "not to node 1 of cluster 'elsewhere'", "correct --node and --cluster")


def test_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    with one(tmp_path, data=tmp_path / "home") as node:
        refused(node, 1, "is not a comity data directory", "thesis.tex")
        assert os.listdir(tmp_path / "home") == ["thesis.tex"]
    with one(tmp_path, data=tmp_path / "file") as node:
        refused(node, 1, "is not a directory", "--data")
    with one(tmp_path, data="/proc/nowhere") as node:
        refused(node, 1, "/proc/nowhere cannot be created", "--data")


def test_a_directory_this_user_may_not_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "theirs"
    directory.mkdir(mode=0o500)
    if os.geteuid() == 0:  # Root may write everything: have the system say no, as it does to others.
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--data", str(directory)])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith(f"comity: data directory {directory} cannot be written by this user (uid ")
    assert "change its owner" in said
    assert os.listdir(directory) == []


def test_an_unreadable_identity(tmp_path: Path) -> None:
    with one(tmp_path) as node:
        node.start().ready()
        node.stop()
        (node.data / "identity.json").write_text("{")
        refused(node, 1, "identity.json", "is not readable as the identity of a node", "restore")


@pytest.mark.parametrize("name", ["redis", "peer", "admin"])
def test_a_port_that_is_taken(tmp_path: Path, name: str) -> None:
    with socket.socket() as holder, one(tmp_path, engine="memory") as node:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        node.flags[name] = f"127.0.0.1:{port}"
        refused(node, 1, f"port 127.0.0.1:{port} cannot be listened on", f"--{name}")


def test_an_unreadable_configuration(tmp_path: Path) -> None:
    with one(tmp_path, config=tmp_path / "none.toml") as node:
        refused(node, 2, "none.toml cannot be read: No such file")
    broken = tmp_path / "broken.toml"
    broken.write_text("redis = \n")
    with one(tmp_path, config=broken) as node:
        refused(node, 2, "broken.toml is not TOML", "line 1")


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ('enginee = "memory"', ("settings.toml", "'enginee'", "did you mean 'engine'")),
        ("[bounds]\nrequest_deadline = 1", ("bounds.request_deadline", "'request_deadline_ns'")),
        ('[bounds]\nrequest_bytes = "much"', ("bounds.request_bytes", "whole number", "64mb")),
        ("[bounds]\nconnections = 0", ("bounds.connections is 0", "1 or more")),
        ('log_level = "loud"', ("log_level is 'loud'", "debug, info, warning or error")),
        ('engine = "paper"', ("engine is 'paper'", "rocksdb, memory")),
        ('stop_timeout_s = "soon"', ("stop_timeout_s", "settings.toml")),
        ("[raft]\nelection = 5", ("raft.election", "did you mean 'election_ns'")),
        ('[raft]\nelection_ns = "1ms"', ("raft", "election_ns", "must be at least 2 times heartbeat_ns")),
        ('[raft]\npre_vote = "perhaps"', ("raft", "pre_vote")),
    ],
)
def test_a_setting_that_cannot_be(
    tmp_path: Path, text: str, errors: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text + "\n")
    refused_at_once(capsys, ["--config", str(file), "--data", str(tmp_path / "none")], errors)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "errors"),
    [
        ({"redis": "nowhere"}, ("redis", "'nowhere' is not host:port")),
        ({"members": "1:127.0.0.1"}, ("members", "NODE=PEER_HOST:PORT/REDIS_HOST:PORT")),
        ({"members": "2=127.0.0.1:1/127.0.0.1:2"}, ("node 1 is not among the members",)),
        ({"node": 0}, ("node is 0", "start at 1")),
        ({"keyspaces": "a:b"}, ("keyspace name 'a:b'",)),
    ],
)
def test_a_flag_that_cannot_be(
    tmp_path: Path, flags: dict[str, Any], errors: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    refused_at_once(capsys, ["--data", str(tmp_path / "none"), *words], errors)
    assert not (tmp_path / "none").exists()


# -- the disk


def digest_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "wal").iterdir())}


def test_a_corrupt_log_is_refused_by_file_and_offset_and_left_alone(tmp_path: Path) -> None:
    with one(tmp_path) as node:
        node.start().ready()
        for number in range(20):
            assert node.call("SET", f"key{number}", "value" * 20) in {b"OK", "OK"}
        node.kill()
        segment = max((node.data / "wal").iterdir())
        whole = segment.read_bytes()
        offset = whole.index(b"key3") + 20
        segment.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        before = digest_of(node.data)
        said = refused(node, 1, str(segment), "is corrupt at byte ", "nothing was changed", "backup")
        named = int(said.partition("at byte ")[2].partition(":")[0])
        assert offset - 2000 < named <= offset
        assert digest_of(node.data) == before
        segment.write_bytes(whole)
        node.start().ready()
        assert node.call("MGET", *(f"key{number}" for number in range(20))) == [b"value" * 20] * 20


@pytest.mark.parametrize("rest", ["missing", "zeros"])
def test_a_torn_end_of_the_log_is_cut_and_the_node_serves(tmp_path: Path, rest: str) -> None:
    with one(tmp_path) as node:
        node.start().ready()
        for number in range(5):
            assert node.call("SET", f"key{number}", "v") in {b"OK", "OK"}
        node.call("SET", "torn", b"x" * 30_000)
        node.kill()
        segment = max((node.data / "wal").iterdir())
        whole = segment.read_bytes()
        # As if the power had gone while the last frame was written: its later blocks never came.
        cut = (whole.index(b"x" * 30_000) + 15_000) // 4096 * 4096
        segment.write_bytes(whole[:cut] + (bytes(len(whole) - cut) if rest == "zeros" else b""))
        node.start().ready()
        assert "torn end of the log cut" in node.err.read_text()
        assert node.call("MGET", *(f"key{number}" for number in range(5))) == [b"v"] * 5
        assert node.call("GET", "torn") is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small tmpfs can only be mounted by root")
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


def test_a_full_disk_refuses_writes_serves_reads_and_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with one(tmp_path, data=small_disk / "node") as node:
        node.start().ready()
        ballast.write_bytes(bytes(12 << 20))
        talk = node.talk()
        value = "x" * 50_000
        acknowledged = []
        answer: Any = None
        for number in range(2000):
            answer = talk("SET", f"key{number}", value)
            if answer in {b"OK", "OK"}:
                acknowledged.append(number)
            elif str(answer).startswith("MISCONF"):
                break
            else:
                # The write that filled the disk was given before that was known.
                assert str(answer).startswith("INDETERMINATE"), answer
        assert str(answer).startswith("MISCONF this node cannot write its log"), answer
        assert "nothing was done" in answer
        assert acknowledged
        assert talk("GET", f"key{acknowledged[0]}") == value.encode()
        assert talk("GET", f"key{acknowledged[-1]}") == value.encode()
        ballast.unlink()
        until("writes again", lambda: node.call("SET", "after", "1") in {b"OK", "OK"})
        node.kill()
        node.start().ready()
        for number in acknowledged:
            assert node.call("STRLEN", f"key{number}") == len(value), number
        assert node.call("GET", "after") == b"1"


# -- the cluster


def test_without_a_quorum_commands_are_refused_within_their_deadline_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    nodes = Nodes(tmp_path, 3)
    try:
        for node in nodes.all:
            node.environment = DEADLINE_ENVIRONMENT
            node.start()
        for node in nodes.all:
            node.ready()
        leader = nodes.leader()
        assert leader.call("SET", "kept", "1") in {b"OK", "OK"}
        for node in nodes.all:
            if node is not leader:
                node.kill()
        exposed = leader.call("SET", "exposed", "1")
        assert exposed.startswith("INDETERMINATE"), exposed

        def refusal() -> Any:
            answer = leader.call("SET", "refused", "1")
            assert isinstance(answer, str)
            return answer if answer.startswith("CLUSTERDOWN") else None

        assert "no quorum" in until("CLUSTERDOWN", refusal)
        read = leader.call("GET", "kept")
        assert read.startswith("CLUSTERDOWN"), read
        talk = leader.talk()
        talk("COMITY.CONSISTENCY", "eventual")
        assert talk("GET", "kept") == b"1"
        for node in nodes.all:
            if node is not leader:
                node.start()
        for node in nodes.all:
            node.ready()
        assert until("a read", lambda: leader.call("GET", "kept")) == b"1"
        assert leader.call("GET", "refused") is None
    finally:
        for node in nodes.all:
            node.kill()


def test_a_peer_of_another_cluster_is_refused_and_the_cluster_serves(tmp_path: Path) -> None:
    with served(tmp_path, 1, engine="memory") as nodes, one(tmp_path, node=2, engine="memory") as stranger:
        home = nodes.all[0]
        stranger.flags["cluster"] = "elsewhere"
        stranger.flags["members"] = f"1=127.0.0.1:{home.peer},2=127.0.0.1:{stranger.peer}"
        stranger.start()
        until(
            "the refusal is logged",
            lambda: "this is cluster 'comity', not 'elsewhere'" in home.err.read_text(),
        )
        assert home.call("SET", "a", "1") in {b"OK", "OK"}


def test_a_member_that_comes_back_with_an_empty_directory_is_refused_and_says_why(tmp_path: Path) -> None:
    with served(tmp_path, 3) as nodes:
        wiped = nodes.follower()
        others = [node for node in nodes.all if node is not wiped]
        assert others[0].call("SET", "a", "1") in {b"OK", "OK"}
        wiped.kill()
        shutil.rmtree(wiped.data)
        wiped.start()

        def says() -> str:
            status = wiped.status()
            return status["health"] if status is not None and "refuses" in status["health"] else ""

        reason = until("the node says why it does not serve", says)
        assert f"node {wiped.number} is back with an empty data directory" in reason
        assert f"comity member remove {wiped.number}" in reason
        for node in others:
            assert node.call("GET", "a") == b"1"
            assert node.call("SET", "a", "1") in {b"OK", "OK"}
        # What it forgot does not come back: with another node away there is no majority any more.
        others[0].kill()
        assert str(others[1].call("SET", "a", "2")).startswith(("CLUSTERDOWN", "INDETERMINATE"))


def test_rubbish_on_the_peer_port_is_refused(node: ServedNode) -> None:
    with socket.create_connection(("127.0.0.1", node.peer), 10) as link:
        link.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"\xff" * 100)
        until("the link is closed", lambda: _closed(link))
    assert node.call("PING") in {b"PONG", "PONG"}


def _closed(link: socket.socket) -> bool:
    try:
        return link.recv(4096) == b""
    except ConnectionResetError:
        return True


def test_too_many_clients(tmp_path: Path) -> None:
    with one(tmp_path, engine="memory") as node:
        node.environment = {"COMITY_BOUNDS_CONNECTIONS": "2"}
        node.start().ready()
        kept = [Talk(node.port), Talk(node.port)]
        for talk in kept:
            assert talk("PING") in {b"PONG", "PONG"}
        assert node.talk().reply() == "ERR max number of clients reached"
        kept[0].close()
        until("a place is free", lambda: node.call("PING") in {b"PONG", "PONG"})

"""Random commands to a real redis-server and to our state machine: the replies are the same bytes.

Skipped where no redis-server of version 7 is installed. Replies that depend on the moment (time to live)
are compared within two seconds; lists without an order are compared as sets.
"""

from __future__ import annotations

import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress

import hiredis
import pytest

from comity.store.batches import encode_batch, encode_proposal
from comity.store.commands.transactions import encode_exec
from comity.store.engines.memory import MemoryEngine
from comity.store.introspection import command as command_reply
from comity.store.machine import StateMachine
from comity.store.table import TABLE


def _redis_server() -> str | None:
    path = shutil.which("redis-server")
    if path is None:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return path if re.search(r"v=7\.", version) else None


pytestmark = pytest.mark.skipif(_redis_server() is None, reason="redis-server 7 is not installed")


def encoded(args: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(args), b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args))


def end_of_reply(data: bytes, position: int) -> int:
    """Where the reply that starts at `position` ends; ValueError while it is not complete."""
    end = data.index(b"\r\n", position) + 2
    kind, line = data[position : position + 1], data[position + 1 : end - 2]
    if kind in (b"$", b"=") and line != b"-1":
        end += int(line) + 2
        if end > len(data):
            raise ValueError("incomplete")
    elif kind in (b"*", b"~", b"%", b">") and line != b"-1":
        for _ in range(int(line) * (2 if kind == b"%" else 1)):
            end = end_of_reply(data, end)
    return end


class Redis:
    """One connection to the real thing."""

    def __init__(self, port: int, protocol: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.pending = b""
        self.run([[b"HELLO", b"%d" % protocol]])

    def run(self, commands: list[list[bytes]]) -> list[bytes]:
        self.socket.sendall(b"".join(map(encoded, commands)))
        replies = []
        for _ in commands:
            while True:
                with suppress(ValueError):
                    end = end_of_reply(self.pending, 0)
                    replies.append(self.pending[:end])
                    self.pending = self.pending[end:]
                    break
                received = self.socket.recv(1 << 16)
                assert received, "redis-server closed the connection"
                self.pending += received
        return replies


class Ours:
    """The state machine, as if behind a connection."""

    def __init__(self, protocol: int) -> None:
        self.machine = StateMachine(1, MemoryEngine())
        self.protocol = protocol

    def run(self, commands: list[list[bytes]]) -> list[bytes]:
        index = self.machine.applied + 1
        batch = encode_batch(1, 1, index, index - 1, index, self.protocol, commands)
        (answer,) = self.machine.apply(index, 1, encode_proposal(int(time.time() * 1000), [batch]))
        assert answer.replies is not None
        if index % 5 == 0:
            job = self.machine.begin_flush()
            assert job is not None
            job.run()
            self.machine.end_flush(job)
        return answer.replies


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    server = _redis_server()
    assert server is not None
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [server, "--port", str(free), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
            stdout=subprocess.DEVNULL,
        )
        try:
            _await_port(free)
            yield free
        finally:
            process.terminate()
            process.wait(10)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise AssertionError("redis-server did not start")


KEYS = [b"a", b"b", b"c", b"key:1", b"key:2", b"\x00\xff bin\r\n", b"", b"[x]*?\\"]
NUMBERS = [
    b"0", b"1", b"-1", b"10", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
    b"+1", b"01", b" 1", b"1 ", b"", b"-0", b"1_0", b"0x10", b"99999999999999999999999", b"abc", b"3.5",
    b"9223372036854775", b"100", b"5",
]  # fmt: skip
FLOATS = [
    b"0", b"1.5", b"-1.5", b"0.1", b"1e3", b"1E-5", b"inf", b"-inf", b"nan", b"1e400", b"1e4931", b"1e4932",
    b"1e5000", b".5", b"5.", b".", b"", b" 1", b"1 ", b"0x1p3", b"0x.8", b"1e-4940", b"1e-6000", b"-0", b"1e",
    b"3.141592653589793238462643383279", b"123456789012345678901234567890", b"1e18", b"0.00000000000000001",
    b"9007199254740993", b"18446744073709551615", b"18446744073709551617", b"Infinity", b"1d", b"+7",
    b"0.3333333333333333333333333", b"1e4931", b"-1e4931",
]  # fmt: skip
VALUES = [b"", b"x", b"hello world", b"\x00\x01\xff", b"v" * 300, *NUMBERS, *FLOATS]
PATTERNS = [
    b"*", b"a", b"?", b"key:*", b"*:1", b"k[a-f]y:?", b"[^a]", b"[]", b"[^]", b"[a", b"\\*", b"\\[x\\]*", b"",
    b"[z-a]", b"*[12]", b"**", b"*e*:*", b"[a-]", b"[\\]]", b"\\", b"key:[^2]", b"[[]x]*", b"?\xff*",
]  # fmt: skip
# A time to live that ends during the test would make the comparison a race.
LASTING = [number for number in NUMBERS if number not in (b"1", b"10", b"100", b"5")]
FUTURE_S = [b"4000000000", b"5000000000", b"100000"]
PAST_S = [b"1", b"1000000000"]


class Generator:
    """Commands that are mostly right, and wrong in many ways."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, choices: list[bytes]) -> bytes:
        return self.random.choice(choices)

    def key(self) -> bytes:
        return self.pick(KEYS)

    def spelled(self, word: bytes) -> bytes:
        return self.random.choice([word, word, word.lower(), word.capitalize()])

    def set_options(self) -> list[bytes]:
        words: list[bytes] = []
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 2, 3])):
            word = self.pick(
                [b"NX", b"XX", b"GET", b"KEEPTTL", b"EX", b"PX", b"EXAT", b"PXAT", b"PERSIST", b"FOO"]
            )
            words.append(self.spelled(word))
            if word in (b"EX", b"PX") and self.random.random() < 0.9:
                words.append(self.pick(LASTING) if self.random.random() < 0.4 else b"100000")
            if word in (b"EXAT", b"PXAT") and self.random.random() < 0.9:
                words.append(self.pick([*NUMBERS, *FUTURE_S, *PAST_S]))
        return words

    def far(self) -> bytes:
        return self.pick([b"100000", b"200000", *LASTING])

    def command(self) -> list[bytes]:
        name = self.pick(COMMANDS)
        args = [self.spelled(name), *self.arguments(name)]
        if self.random.random() < 0.03:
            args = args[:-1] if self.random.random() < 0.5 and len(args) > 1 else [*args, b"extra"]
        return args

    def arguments(self, name: bytes) -> list[bytes]:
        key, value = self.key(), self.pick(VALUES)
        some = [self.key() for _ in range(self.random.randint(1, 4))]
        if name in (b"SETNX", b"GETSET", b"APPEND"):
            return [key, value]
        if name == b"SET":
            return [key, value, *self.set_options()]
        if name == b"GETEX":
            return [key, *self.set_options()]
        if name in (b"SETEX", b"PSETEX"):
            return [
                key,
                self.far() if name == b"SETEX" else self.pick([b"100000000", b"0", b"-5", b"x"]),
                value,
            ]
        if name in (b"MGET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"):
            return some
        if name in (b"MSET", b"MSETNX"):
            return [part for each in some for part in (each, self.pick(VALUES))]
        if name in (b"GETRANGE", b"SUBSTR"):
            return [key, self.pick([*NUMBERS, b"-3", b"2", b"-100"]), self.pick([*NUMBERS, b"-2", b"4"])]
        if name == b"SETRANGE":
            offset = self.pick(
                [b"0", b"1", b"3", b"20", b"-1", b"536870911", b"536870912", b"x", b"9223372036854775807"]
            )
            return (
                [key, offset, self.pick([b"", b"yy", b"\x00"])]
                if offset != b"536870911"
                else [key, offset, b"ab"]
            )
        if name in (b"INCRBY", b"DECRBY"):
            return [key, self.pick(NUMBERS)]
        if name == b"INCRBYFLOAT":
            return [key, self.pick(FLOATS)]
        if name in (b"RENAME", b"RENAMENX"):
            return [key, self.key()]
        if name == b"COPY":
            options = self.pick(
                [b"", b"", b"REPLACE", b"DB 0", b"DB 0 REPLACE", b"DB", b"DB x", b"DB -1", b"FOO"]
            )
            return [key, self.key(), *options.split()]
        if name == b"KEYS":
            return [self.pick(PATTERNS)]
        if name in (b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"):
            options = self.pick(
                [b"", b"", b"NX", b"XX", b"GT", b"lt", b"NX XX", b"GT LT", b"XX GT", b"NX NX", b"BAD"]
            )
            return [key, self.expiry_argument(name), *options.split()]
        if name == b"FLUSHALL":
            return self.pick([b"", b"ASYNC", b"sync", b"BAD", b"SYNC SYNC"]).split()
        if name == b"NOSUCH":
            return [value, *some]
        return [key] if TABLE[name].first_key else []

    def expiry_argument(self, name: bytes) -> bytes:
        if name == b"EXPIRE":
            return self.far()
        if name == b"PEXPIRE":
            return self.pick([b"100000000", b"200000000", b"-1", b"0", b"x", b"9223372036854775807"])
        if name == b"EXPIREAT":
            return self.pick([*NUMBERS, *FUTURE_S])
        return self.pick([*NUMBERS, b"4000000000000", b"5000000000000"])


COMMANDS = (
    b"GET SET SET SET SET SETNX SETEX PSETEX GETSET GETDEL GETEX MGET MSET MSETNX APPEND STRLEN "
    b"GETRANGE SUBSTR SETRANGE INCR DECR INCRBY DECRBY INCRBYFLOAT INCRBYFLOAT DEL UNLINK EXISTS TYPE "
    b"TOUCH RENAME RENAMENX COPY KEYS EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME "
    b"PEXPIRETIME PERSIST DBSIZE FLUSHALL NOSUCH"
).split()

UNIT_MS = {b"TTL": 1000, b"EXPIRETIME": 1000, b"PTTL": 1, b"PEXPIRETIME": 1}


def same(args: list[bytes], theirs: bytes, ours: bytes) -> bool:
    name = args[0].upper()
    if theirs == ours:
        return True
    if name in UNIT_MS and theirs[:1] == ours[:1] == b":":
        return min(int(theirs[1:]), int(ours[1:])) > 0 and (
            abs(int(theirs[1:]) - int(ours[1:])) * UNIT_MS[name] <= 2000
        )
    if name == b"KEYS" and theirs[:1] == ours[:1] == b"*":
        return sorted(parsed(theirs)) == sorted(parsed(ours))
    return False


def parsed(reply: bytes) -> list[bytes]:
    reader = hiredis.Reader()
    reader.feed(reply)
    return reader.gets()  # type: ignore[no-any-return]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("seed", range(12))
def test_random_commands_get_the_same_replies(port: int, protocol: int, seed: int) -> None:
    theirs, ours = Redis(port, protocol), Ours(protocol)
    theirs.run([[b"FLUSHALL"]])
    generator = Generator(seed)
    history: list[list[bytes]] = []
    for _ in range(40):
        commands: list[list[bytes]] = []
        for _ in range(25):
            command = generator.command()
            if command[0].upper() == b"DBSIZE":
                # Redis counts keys it has not yet noticed to be expired; looking at them makes it notice.
                commands.append([b"EXISTS", *KEYS])
            commands.append(command)
        history += commands
        for command, left, right in zip(commands, theirs.run(commands), ours.run(commands), strict=True):
            assert same(command, left, right), f"{command}: redis {left!r}, ours {right!r}"
    everything = [[name, key] for key in KEYS for name in (b"GET", b"TTL", b"TYPE")]
    for command, left, right in zip(everything, theirs.run(everything), ours.run(everything), strict=True):
        assert same(command, left, right), f"at the end, {command}: redis {left!r}, ours {right!r}"


@pytest.mark.parametrize("protocol", [2, 3])
def test_transactions_get_the_same_replies(port: int, protocol: int) -> None:
    theirs, ours, other = Redis(port, protocol), Ours(protocol), Redis(port, protocol)
    theirs.run([[b"FLUSHALL"]])
    generator = Generator(99)
    for _ in range(60):
        watched = generator.key()
        theirs.run([[b"WATCH", watched]])
        watches = [(watched, *ours.machine.versions([watched])[0])]
        between = [generator.command() for _ in range(generator.random.choice([0, 0, 1, 2]))]
        if between:
            other.run(between)
            ours.run(between)
        commands = [generator.command() for _ in range(5)]
        # What Redis refuses to queue, the node refuses to queue: it never gets here.
        commands = [
            args
            for args in commands
            if args[0].upper() in TABLE
            and (TABLE[args[0].upper()].arity == len(args) or -len(args) <= TABLE[args[0].upper()].arity < 0)
            and args[0].upper() not in (*UNIT_MS, b"KEYS", b"DBSIZE")
        ]
        left = theirs.run([[b"MULTI"], *commands, [b"EXEC"]])[-1]
        (right,) = ours.run([encode_exec(watches, commands)])
        if left != right:
            # An abort that need not have been is allowed only where another key's deletion explains it.
            assert right in (b"*-1\r\n", b"_\r\n"), f"{watched!r} {between} {commands}: {left!r} {right!r}"
            assert watches[0][1] == 0, f"{watched!r} {between} {commands}: {left!r} {right!r}"
            ours.run(commands)


def test_scan_visits_what_redis_visits(port: int) -> None:
    theirs, ours = Redis(port, 2), Ours(2)
    theirs.run([[b"FLUSHALL"]])
    keys = [[b"SET", b"k%d" % number, b"v"] for number in range(500)]
    theirs.run(keys)
    ours.run(keys)
    for options in ([], [b"MATCH", b"k*7"], [b"COUNT", b"33"], [b"TYPE", b"string"], [b"TYPE", b"hash"]):
        found = []
        for side in (theirs, ours):
            cursor, seen = b"0", set()
            while True:
                cursor, some = parsed(side.run([[b"SCAN", cursor, *options]])[0])
                seen |= set(some)
                if cursor == b"0":
                    break
            found.append(seen)
        assert found[0] == found[1]
    wrong = [
        [b"SCAN", *words.split()]
        for words in (
            b"x",
            b"0 COUNT 0",
            b"0 COUNT x",
            b"0 MATCH",
            b"0 FOO 1",
            b"18446744073709551616",
            b"0x1",
            b"",
        )
    ]
    wrong += [[b"SCAN"], [b"SCAN", b"1 "]]
    assert ours.run(wrong) == theirs.run(wrong)


FACTS = [name for name in TABLE if not name.startswith((b"COMITY.", b"KEYSPACE"))]


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_table_says_of_each_command_what_redis_says(port: int, protocol: int) -> None:
    theirs = Redis(port, protocol)
    for name in FACTS:
        (left,) = parsed(theirs.run([[b"COMMAND", b"INFO", name]])[0])
        (right,) = parsed(command_reply([b"COMMAND", b"INFO", name], protocol))
        assert comparable(left) == comparable(right), name


def comparable(info: object) -> list[object]:
    assert isinstance(info, list)
    name, arity, flags, first, last, step, categories, tips, specs, _ = info
    return [name, arity, sorted(map(str, flags)), first, last, step, sorted(map(str, categories)),
            sorted(tips), [access(spec) for spec in specs]]  # fmt: skip


def access(spec: object) -> list[str]:
    if isinstance(spec, dict):
        return sorted(map(str, spec[b"flags"]))
    assert isinstance(spec, list)
    return sorted(map(str, spec[spec.index(b"flags") + 1]))


@pytest.mark.parametrize(
    "args",
    [
        [b"COMMAND", b"GETKEYS", b"MSET", b"a", b"1", b"b", b"2"],
        [b"COMMAND", b"GETKEYS", b"copy", b"a", b"b", b"REPLACE"],
        [b"COMMAND", b"GETKEYS", b"PING", b"x"],
        [b"COMMAND", b"GETKEYS", b"NOSUCH", b"x"],
        [b"COMMAND", b"GETKEYS", b"GET", b"a", b"b"],
        [b"COMMAND", b"GETKEYS"],
        [b"COMMAND", b"GETKEYSANDFLAGS", b"RENAME", b"a", b"b"],
        [b"COMMAND", b"COUNT", b"x"],
        [b"COMMAND", b"NOPE"],
        [b"command", b"nope\r\nx"],
        [b"COMMAND", b"INFO", b"nosuch"],
        [b"COMMAND", b"DOCS", b"nosuch"],
        [b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"getra*"],
        [b"COMMAND", b"LIST", b"FILTERBY", b"BAD", b"x"],
        [b"COMMAND", b"LIST", b"x"],
    ],
)
@pytest.mark.parametrize("protocol", [2, 3])
def test_sub_commands_of_command_reply_as_redis(port: int, protocol: int, args: list[bytes]) -> None:
    assert command_reply(args, protocol) == Redis(port, protocol).run([args])[0]

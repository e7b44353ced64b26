"""The table, and what is made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis
from tests.unit.store.driving import Log, Replica, words

from comity.store.introspection import command
from comity.store.reference import render
from comity.store.syntax import Argument, parse
from comity.store.table import (
    TABLE,
    Command,
    arity_fits,
    find,
    find_subcommand,
    keys_of,
    unknown_command,
    unknown_subcommand,
    wrong_arity,
)

REQUIRED = """
    GET SET SETNX SETEX PSETEX GETSET GETDEL GETEX MGET MSET MSETNX APPEND STRLEN GETRANGE SETRANGE INCR
    DECR INCRBY DECRBY INCRBYFLOAT DEL UNLINK EXISTS TYPE TOUCH RENAME RENAMENX COPY RANDOMKEY KEYS SCAN
    DBSIZE FLUSHALL EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST MULTI EXEC
    DISCARD WATCH UNWATCH PING ECHO TIME HELLO SELECT QUIT RESET COMMAND CLIENT INFO CONFIG AUTH
    COMITY.CONSISTENCY COMITY.DIGEST COMITY.STATUS
"""


def every() -> list[Command]:
    return [each for entry in TABLE.values() for each in (entry, *entry.subcommands)]


def parsed(reply: bytes) -> Any:
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(reply)
    return reader.gets()


def test_every_command_promised_is_there() -> None:
    assert [name for name in words(REQUIRED) if name not in TABLE] == []


@pytest.mark.parametrize("entry", every(), ids=lambda entry: entry.title)
def test_entries_are_consistent(entry: Command) -> None:
    assert entry.name == entry.name.upper()
    assert entry.arity != 0
    assert entry.summary
    assert not entry.summary.endswith(".")
    data = not entry.flags & {"connection", "internal"}
    assert data == bool(entry.flags & {"write", "readonly"})
    assert not {"write", "readonly"} <= entry.flags
    assert bool(entry.first_key) == bool(entry.key_access)
    arguments = parse(entry.syntax)
    assert sum(argument.kind == "key" for argument in flat(arguments)) == len(entry.key_access)
    if entry.arity > 0 and not entry.subcommands:
        names = 1 + (b"|" in entry.name)
        assert entry.arity == (1 if entry.name == b"EXEC" else names + len(arguments))


def flat(arguments: list[Argument]) -> list[Argument]:
    return [each for argument in arguments for each in (argument, *flat(list(argument.parts)))]


def test_names_are_found_in_any_letter_case() -> None:
    for spelling in (b"GET", b"get", b"Get", b"gEt"):
        assert find(spelling) is TABLE[b"GET"]
    assert find(b"nosuch") is None
    assert find(b"") is None
    client = TABLE[b"CLIENT"]
    sub = find_subcommand(client, b"once")
    assert sub is not None
    assert sub.name == b"CLIENT|ONCE"
    assert find_subcommand(client, b"nosuch") is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("GET a", "a"), ("MGET a b c", "a b c"), ("MSET a 1 b 2", "a b"), ("COPY a b REPLACE", "a b"),
        ("PING", ""),         ("RENAME a b", "a b"), ("SET a v EX 1", "a"), ("DEL a", "a"), ("KEYS *", ""),
    ],
)  # fmt: skip
def test_keys_are_found_among_arguments(text: str, keys: str) -> None:
    args = words(text)
    assert keys_of(TABLE[args[0]], args) == words(keys)


def test_errors_are_in_the_words_of_redis() -> None:
    assert unknown_command([b"foo", b"a", b"b c"]) == (
        b"-ERR unknown command 'foo', with args beginning with: 'a' 'b c' \r\n"
    )
    assert unknown_command([b"f\r\noo"]) == b"-ERR unknown command 'f  oo', with args beginning with: \r\n"
    assert len(unknown_command([b"x" * 500, *[b"y" * 50] * 20])) < 400
    assert wrong_arity(TABLE[b"GET"]) == b"-ERR wrong number of arguments for 'get' command\r\n"
    assert (
        unknown_subcommand(TABLE[b"CLIENT"], b"x\n") == b"-ERR unknown subcommand 'x '. Try CLIENT HELP.\r\n"
    )


@pytest.mark.parametrize(
    "entry", [entry for entry in TABLE.values() if "readonly" in entry.flags], ids=lambda e: e.title
)
def test_readonly_commands_change_nothing_and_give_the_same_in_the_log(entry: Command) -> None:
    replica = Replica(Log())
    replica.run(words("SET a 5 EX 100"), words("SET b text"), words("SET gone v PX 1"))
    replica.log.now_ms += 10
    replica.run(words("SET c v"))
    samples = {
        b"GETRANGE": "a 0 1",
        b"SUBSTR": "a 0 1",
        b"KEYS": "*",
        b"SCAN": "0",
        b"DBSIZE": "",
        b"RANDOMKEY": "",
    }
    args = [entry.name.lower(), *words(samples.get(entry.name, "a"))]
    digest = replica.machine.digest()
    dirty = len(replica.machine._context.dirty)
    for key in (b"a", b"gone", b"nosuch"):
        replica.machine.read([[part if part != b"a" else key for part in args]], 2)
    replies = replica.machine.read([args], 2)
    assert replica.machine.digest() == digest
    assert len(replica.machine._context.dirty) == dirty
    assert replies[0][:1] != b"-"
    if entry.name != b"RANDOMKEY":
        assert replica.run(args) == replies


def test_what_is_not_a_read_is_not_carried_out_by_read() -> None:
    replica = Replica(Log())
    replies = replica.machine.read(
        [words("SET a v"), words("exec"), words("NOSUCH"), [], words("gEt a"), [b"GET"]], 2
    )
    assert replies == [
        b"-ERR 'set' is not a read\r\n",
        b"-ERR 'exec' is not a read\r\n",
        b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n",
        b"-ERR empty command\r\n",
        b"$-1\r\n",
        b"-ERR wrong number of arguments for 'get' command\r\n",
    ]


# -- COMMAND


@pytest.mark.parametrize("protocol", [2, 3])
def test_command_describes_every_command(protocol: int) -> None:
    everything = parsed(command([b"COMMAND"], protocol))
    assert {entry[0] for entry in everything} == {name.decode().lower() for name in TABLE}
    assert parsed(command([b"COMMAND", b"COUNT"], protocol)) == len(TABLE)
    assert parsed(command([b"command", b"info"], protocol)) == everything
    names = parsed(command([b"COMMAND", b"LIST"], protocol))
    assert {"get", "client|once", "comity.status"} <= set(names)


def test_redis_py_understands_command() -> None:
    callback = redis.Redis().response_callbacks["COMMAND"]
    commands = callback(parsed(command([b"COMMAND"], 2)))
    assert commands["get"]["first_key_pos"] == 1
    assert "readonly" in commands["get"]["flags"]
    assert commands["mset"]["step_count"] == 2


def test_command_docs_hold_what_redis_cli_hints_with() -> None:
    docs = parsed(command([b"COMMAND", b"DOCS", b"SET", b"client", b"nosuch", b"client|once"], 3))
    assert set(docs) == {"set", "client", "client|once"}
    assert docs["set"]["group"] == "string"
    expiry = docs["set"]["arguments"][-1]
    assert expiry["type"] == "oneof"
    assert [part.get("token") for part in expiry["arguments"]] == ["EX", "PX", "EXAT", "PXAT", "KEEPTTL"]
    assert "client|once" in docs["client"]["subcommands"]
    flattened = parsed(command([b"COMMAND", b"DOCS", b"SET"], 2))
    assert flattened[0] == "set"
    assert flattened[1][:2] == ["summary", docs["set"]["summary"]]


def test_command_list_filters_by_category_and_pattern() -> None:
    assert "get" in parsed(command(words("COMMAND LIST FILTERBY ACLCAT read"), 2))
    assert "set" not in parsed(command(words("COMMAND LIST FILTERBY aclcat READ"), 2))
    assert parsed(command(words("COMMAND LIST FILTERBY PATTERN comity.st*"), 2)) == ["comity.status"]
    assert parsed(command(words("COMMAND LIST FILTERBY MODULE json"), 2)) == []


def test_command_help_lists_its_sub_commands() -> None:
    text = " ".join(parsed(command(words("COMMAND HELP"), 2)))
    for sub in TABLE[b"COMMAND"].subcommands:
        assert sub.name.partition(b"|")[2].decode() in text


def test_arity_counts_the_name() -> None:
    assert arity_fits(TABLE[b"GET"], 2)
    assert not arity_fits(TABLE[b"GET"], 3)
    assert arity_fits(TABLE[b"DEL"], 9)
    assert not arity_fits(TABLE[b"DEL"], 1)


# -- the notation of arguments


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("", []),
        ("key", [Argument("key", "key")]),
        ("key...", [Argument("key", "key", flags=("multiple",))]),
        ("[EX seconds]", [Argument("seconds", "integer", token="EX", flags=("optional",))]),
        ("ON|OFF", [Argument("on-or-off", "oneof", parts=(
            Argument("on", "pure-token", token="ON"), Argument("off", "pure-token", token="OFF")))]),
        ("{key value}...", [Argument("key-value", "block", flags=("multiple",), parts=(
            Argument("key", "key"), Argument("value", "string", key_index=1)))]),
    ],
)  # fmt: skip
def test_the_notation_is_read(syntax: str, expected: list[Argument]) -> None:
    assert parse(syntax) == expected


@pytest.mark.parametrize("syntax", ["[key", "{a b"])
def test_a_notation_that_ends_too_early_is_an_error(syntax: str) -> None:
    with pytest.raises(ValueError, match="ends before"):
        parse(syntax)


# -- the reference


def test_the_reference_in_the_documentation_is_up_to_date(rewrite: bool) -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
    if rewrite:
        page.write_text(render(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == render(), "run python -m comity.store.reference"

"""Commands on one key as functions of a register: the same replies as from the state machine of a log."""

from __future__ import annotations

import random

import pytest

from comity.store.batches import encode_batch, encode_proposal
from comity.store.engines.memory import MemoryEngine
from comity.store.machine import StateMachine
from comity.store.registers import Registers, payload_of

KEY = b"key"
COMMANDS: list[list[bytes]] = [
    [b"GET", KEY],
    [b"SET", KEY, b"7"],
    [b"SET", KEY, b"text", b"NX"],
    [b"SET", KEY, b"1", b"XX", b"GET"],
    [b"SET", KEY, b"2", b"KEEPTTL"],
    [b"SET", KEY, b"3", b"PX", b"50"],
    [b"SET", KEY, b"3", b"EX", b"0"],
    [b"SETEX", KEY, b"1", b"v"],
    [b"PSETEX", KEY, b"20", b"v"],
    [b"SETNX", KEY, b"n"],
    [b"GETSET", KEY, b"9"],
    [b"GETDEL", KEY],
    [b"GETEX", KEY, b"PX", b"30"],
    [b"GETEX", KEY, b"PERSIST"],
    [b"INCR", KEY],
    [b"DECRBY", KEY, b"5"],
    [b"INCRBYFLOAT", KEY, b"1.5"],
    [b"APPEND", KEY, b"x"],
    [b"STRLEN", KEY],
    [b"SETRANGE", KEY, b"3", b"yy"],
    [b"GETRANGE", KEY, b"0", b"-1"],
    [b"DEL", KEY],
    [b"EXISTS", KEY],
    [b"PEXPIRE", KEY, b"40"],
    [b"PEXPIRE", KEY, b"-1"],
    [b"EXPIRE", KEY, b"1", b"NX"],
    [b"PERSIST", KEY],
    [b"PTTL", KEY],
    [b"PEXPIRETIME", KEY],
    [b"TYPE", KEY],
]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_a_register_answers_as_the_state_machine_does(seed: int, protocol: int) -> None:
    draw = random.Random(seed)
    machine = StateMachine(1, MemoryEngine())
    registers = Registers()
    value: bytes | None = None
    now_ms = 1_000_000
    for index in range(1, 200):
        now_ms += draw.choice([0, 1, 10, 45])
        command = draw.choice(COMMANDS)
        batch = encode_batch(1, 1, index, index - 1, 1, protocol, [command])
        [answer] = machine.apply(index, 1, encode_proposal(now_ms, [batch]))
        value, reply = registers.change(payload_of(protocol, [command], KEY), value, now_ms)
        assert answer.replies == [reply], (index, command)


def test_registers_remember_nothing_of_the_keys_they_were_asked_about() -> None:
    registers = Registers()
    for number in range(1000):
        key = b"%d" % number
        registers.change(payload_of(2, [[b"SET", key, b"x" * 100]], key), None, 1)
        registers.change(payload_of(2, [[b"GET", key]], key), None, 1)
    context = registers._context
    assert not context.created.places()
    assert len(context.dirty) + len(context.hot) + len(context.cold) + len(context.flushing) <= 1

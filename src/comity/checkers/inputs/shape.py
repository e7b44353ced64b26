"""What the operations of a history tell about themselves: their data type, and keys inside values."""

from __future__ import annotations

import msgspec

from comity.checkers.history import History, Operation, Outcome

SAMPLE = 20_000
"""How many operations are looked at to tell the data type."""

_TRANSACTIONS = frozenset({"txn", "transaction"})


def guess_type(history: History) -> str | None:
    """The data type whose operations these are; None where they do not tell, or there are none."""
    names = {o.f for o in history.operations[:SAMPLE]}
    if not names:
        return None
    if names & _TRANSACTIONS:
        return _transaction_type(history)
    if names <= {"add", "read", "remove", "contains"} and "add" in names:
        collections = any(isinstance(o.result, tuple | frozenset) for o in history.operations[:SAMPLE])
        return "set" if collections or names & {"remove", "contains"} else "counter"
    for needed, allowed, name in _SHAPES:
        if names & needed and names <= allowed | needed:
            return name
    if any(name.isupper() for name in names):
        return "kv"
    return None


_SHAPES: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (frozenset({"cas"}), frozenset({"read", "write"}), "cas-register"),
    (frozenset({"write"}), frozenset({"read"}), "register"),
    (frozenset({"get", "put", "append", "delete"}), frozenset({"cas"}), "kv"),
    (frozenset({"acquire", "release", "lock", "unlock"}), frozenset(), "mutex"),
    (frozenset({"enqueue", "dequeue"}), frozenset(), "queue"),
    (frozenset({"push", "pop"}), frozenset(), "stack"),
    (frozenset({"transfer"}), frozenset({"read"}), "bank"),
    (frozenset({"send", "poll"}), frozenset({"assign", "subscribe", "crash"}), "kafka"),
    (frozenset({"generate"}), frozenset(), "unique-ids"),
    (frozenset({"inc", "incr", "decr", "dec"}), frozenset({"add", "read"}), "counter"),
    (frozenset({"read"}), frozenset(), "register"),
)


def _transaction_type(history: History) -> str | None:
    kinds: set[str] = set()
    for operation in history.operations[:SAMPLE]:
        if operation.f not in _TRANSACTIONS or not isinstance(operation.value, tuple):
            continue
        for step in operation.value:
            if isinstance(step, tuple) and step:
                kinds.add(str(step[0]))
    if kinds & {"read", "write"}:
        return "multi-register"
    if "append" in kinds:
        return "list-append"
    if "w" in kinds:
        return "rw-register"
    return "list-append" if kinds else None


_KEYED = frozenset({"read", "write", "cas"})


def split_independent(history: History) -> History:
    """Jepsen's independent keys: where every value is a [key value] pair, reads as asked too, the key is
    taken out of it. A history with keys of its own, or with other operations, stays as it is."""
    keyed = False
    for o in history.operations:
        if o.f not in _KEYED or o.key is not None:
            return history
        if not isinstance(o.value, tuple) or len(o.value) != 2:
            return history
        if o.f == "read":
            keyed = True
    if not keyed:
        return history
    return History([_split(o) for o in history.operations], history.faults, history.event_count)


def _split(o: Operation) -> Operation:
    key, value = o.value
    result = o.result
    if o.outcome is Outcome.OK and isinstance(result, tuple) and len(result) == 2:
        result = result[1]
    return msgspec.structs.replace(o, key=key, value=value, result=result)

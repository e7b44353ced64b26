"""A violation in words: what was tried, where it ends, and why nothing can follow."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from comity.checkers.datatypes import REFUSED, DataType
from comity.checkers.history import Operation, Outcome

LAST_SHOWN = 6
CORE_SHOWN = 20


class Reason(enum.Enum):
    """Why the order goes no further: what must come next is refused; or is accepted, but then a later
    one never will be; or a result comes from nowhere; or it is not known, for a limit was reached."""

    STUCK = "stuck"
    LOST = "lost"
    UNHEARD_OF = "unheard of"
    LIMIT = "limit"


def describe(data_type: DataType, operation: Operation) -> str:
    """An operation with its process and the events it lies between."""
    completed = operation.completed if operation.outcome is not Outcome.INFO else None
    until = f"{completed}" if completed is not None else "?"
    return f"process {operation.process}: {data_type.describe(operation)} [{operation.invoked}..{until}]"


def state_after(data_type: DataType, order: Sequence[Operation]) -> Any:
    """The state that the operations leave, in that order."""
    state = data_type.initial()
    for operation in order:
        state = data_type.action(operation).step(state)
        assert state is not REFUSED
    return state


def explanation(
    data_type: DataType,
    key: Any,
    witness: Sequence[Operation],
    core: Sequence[Operation],
    order: Sequence[Operation],
    stuck: Sequence[Operation],
    smallest: bool,
    reason: Reason,
) -> str:
    """The words of a violation, from what a search of `core` has to say: the few operations that have
    no order even by themselves, or the witness."""
    where = "the history" if key is None else f"key {key!r}"
    size = "its smallest failing prefix" if smallest else "a failing prefix"
    lines = [
        f"{where} is not linearizable as a {data_type.name}: {size} has {len(witness)} operations, "
        "and no order explains them.",
        "Numbers in brackets are the events an operation lies between.",
    ]
    if smallest:
        breaking = max((o for o in witness if o.outcome is not Outcome.INFO), key=lambda o: o.completed or 0)
        lines.append(f"There is an order up to event {breaking.completed}, where the answer came of")
        lines.append(f"  {describe(data_type, breaking)}")
    if CORE_SHOWN < len(core) < len(witness):
        lines.append(f"Already {len(core)} operations have no order even by themselves.")
    elif len(core) < len(witness):
        lines.append(f"These {len(core)} operations have no order even by themselves:")
        lines.extend(f"  {describe(data_type, operation)}" for operation in core)
    if len(core) < len(witness) and any(operation.f == "read" for operation in core):
        lines.append("(Of what a read found, only the elements that matter here are shown.)")
    if reason is Reason.LIMIT:
        lines.append("A limit was reached before the order that gets furthest was found.")
        return "\n".join(lines)
    if reason is Reason.UNHEARD_OF:
        lines.append("Nothing that may have happened leaves behind what this one found:")
        lines.extend(f"  {describe(data_type, operation)}" for operation in stuck)
        return "\n".join(lines)
    if order:
        lines.append(f"The order that gets furthest places {len(order)} of them and ends:")
        if len(order) > LAST_SHOWN:
            lines.append("  ...")
        lines.extend(f"  {describe(data_type, operation)}" for operation in order[-LAST_SHOWN:])
    state = data_type.describe_state(state_after(data_type, order))
    if reason is Reason.STUCK:
        lines.append(f"The state is then {state}. What should come next and cannot:")
    else:
        lines.append(f"The state is then {state}. What comes next leaves a later answer unexplained:")
    lines.extend(f"  {describe(data_type, operation)}" for operation in stuck[:LAST_SHOWN])
    if len(stuck) > LAST_SHOWN:
        lines.append(f"  and {len(stuck) - LAST_SHOWN} more")
    return "\n".join(lines)

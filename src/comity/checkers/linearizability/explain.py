"""A violation in words: what was tried, where it ends, and why nothing can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comity.checkers.datatypes import REFUSED, DataType
from comity.checkers.history import Operation, Outcome

LAST_SHOWN = 6


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
    order: Sequence[Operation],
    stuck: Sequence[Operation],
    smallest: bool,
    unheard_of: bool,
) -> str:
    """The words of a violation; `order` is empty and `stuck` unknown where a limit was reached.

    unheard_of: the operation in `stuck` needs a state that nothing made.
    """
    where = "the history" if key is None else f"key {key!r}"
    size = "its smallest failing prefix" if smallest else "a failing prefix"
    lines = [
        f"{where} is not linearizable as a {data_type.name}: {size} has {len(witness)} operations, "
        "and no order explains them.",
        "Numbers in brackets are the events an operation lies between.",
    ]
    if unheard_of:
        lines.append("Nothing that may have happened leaves behind what this one found:")
        lines.extend(f"  {describe(data_type, operation)}" for operation in stuck)
        return "\n".join(lines)
    if not order and not stuck:
        lines.append("A limit was reached before the order that gets furthest was found.")
        return "\n".join(lines)
    if order:
        lines.append(f"The order that gets furthest places {len(order)} of them and ends:")
        if len(order) > LAST_SHOWN:
            lines.append("  ...")
        lines.extend(f"  {describe(data_type, operation)}" for operation in order[-LAST_SHOWN:])
    state = data_type.describe_state(state_after(data_type, order))
    lines.append(f"The state is then {state}. What should come next and cannot:")
    lines.extend(f"  {describe(data_type, operation)}" for operation in stuck[:LAST_SHOWN])
    if len(stuck) > LAST_SHOWN:
        lines.append(f"  and {len(stuck) - LAST_SHOWN} more")
    if stuck:
        first = stuck[0]
        lines.append(
            f"Process {first.process} had its answer at event {first.completed}, so "
            f"{data_type.describe(first)} must take its place before that."
        )
    return "\n".join(lines)

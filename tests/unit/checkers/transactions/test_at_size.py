"""Isolation levels are right both ways at size: what a store of a level did passes, what was planted is named."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.checkers.transactions.stores import LevelStore

from comity.checkers import Limits, Status, transactions
from comity.checkers.models import IMPLIES, TRANSACTIONAL, weaker_than

TRANSACTIONS = 10_000
BOTH = ("list-append", "rw-register")

Steps = tuple[tuple[str, str, Any], ...]
Line = tuple[int, str, Steps]


def nothing(data_type: str) -> Any:
    return () if data_type == "list-append" else None


def first(data_type: str, value: int) -> Any:
    """What a key reads as with this value alone."""
    return (value,) if data_type == "list-append" else value


def asked(steps: Steps) -> Steps:
    return tuple((f, key, None if f == "r" else value) for f, key, value in steps)


def one_by_one(*done: tuple[int, Steps]) -> list[Line]:
    return [line for p, steps in done for line in ((p, "invoke", asked(steps)), (p, "ok", steps))]


def together(*done: tuple[int, Steps]) -> list[Line]:
    return [*((p, "invoke", asked(steps)) for p, steps in done), *((p, "ok", steps) for p, steps in done)]


def planted(model: str, data_type: str) -> tuple[list[Line], str]:
    """What violates the model, and nothing weaker that its store keeps; the anomaly it is."""
    none = nothing(data_type)

    def one(value: int) -> Any:
        return first(data_type, value)

    write_a: Steps = (("w", "a", -1),)
    skew = together(
        (1, (("r", "a", none), ("w", "b", -1))),
        (2, (("r", "b", none), ("w", "a", -2))),
    )
    inverted: tuple[Steps, Steps, Steps] = (
        (("r", "b", none), ("w", "a", -1)),
        (("w", "b", -2),),
        (("r", "a", none),),
    )

    def around(second: int, third: int) -> list[Line]:
        """The first goes on while the second is over before the third begins."""
        return [
            (1, "invoke", asked(inverted[0])),
            *one_by_one((second, inverted[1]), (third, inverted[2])),
            (1, "ok", inverted[0]),
        ]

    match model:
        case "strict-serializable":
            return around(2, 3), "G2-item-realtime"
        case "strong-session-serializable":
            return around(2, 2), "G2-item-process"
        case "serializable" | "repeatable-read":
            return skew, "write-skew"
        case "strong-snapshot-isolation":
            return one_by_one((1, write_a), (2, (("r", "a", none),))), "G-single-realtime"
        case "strong-session-snapshot-isolation":
            return one_by_one((1, write_a), (1, (("r", "a", none),))), "G-single-process"
        case "snapshot-isolation":
            return together(
                (1, write_a),
                (2, (("w", "b", -2),)),
                (3, (("r", "a", one(-1)), ("r", "b", none))),
                (4, (("r", "b", one(-2)), ("r", "a", none))),
            ), "long-fork"
        case "parallel-snapshot-isolation":
            return together(
                (1, write_a),
                (2, (("r", "a", one(-1)), ("w", "b", -2))),
                (3, (("r", "b", one(-2)), ("r", "a", none))),
            ), "G-single"
        case "cursor-stability":
            return together(
                (1, (("r", "a", none), ("w", "a", -1))),
                (2, (("r", "a", none), ("w", "a", -2))),
            ), "lost-update"
        case "monotonic-atomic-view":
            return together(
                (1, (("w", "a", -1), ("w", "b", -2))),
                (2, (("r", "a", one(-1)), ("r", "b", none))),
            ), "vanishing-transaction"
        case "read-atomic":
            return together(
                (1, (("w", "a", -1), ("w", "b", -2))),
                (2, (("r", "b", none), ("r", "a", one(-1)))),
            ), "fractured-read"
        case "read-committed":
            return together(
                (1, (("w", "a", -1), ("r", "b", one(-2)))), (2, (("w", "b", -2), ("r", "a", one(-1))))
            ), "G1c"
        case "read-uncommitted" if data_type == "list-append":
            return together(
                (1, (("w", "a", -1), ("w", "b", -1))),
                (2, (("w", "a", -2), ("w", "b", -2))),
                (3, (("r", "a", (-1, -2)), ("r", "b", (-2, -1)))),
            ), "G0"
        case _:
            return together(
                (1, (("r", "a", -2), ("w", "a", -1))),
                (2, (("r", "a", -1), ("w", "a", -2))),
            ), "cyclic-versions"


def both_ways(model: str, data_type: str, count: int, seed: int) -> None:
    store = LevelStore(model, data_type, seed, count)
    found = transactions.check(store.history(), data_type, Limits())
    for weaker in weaker_than(model):
        assert found.models[weaker] is Status.VALID, (weaker, found.statistics)
    for stronger in TRANSACTIONAL:
        # No predicates are read: whatever serializability excludes repeatable read excludes too.
        if model in IMPLIES[stronger] and model != "repeatable-read":
            assert found.models[stronger] is Status.VIOLATION, stronger

    lines, anomaly = planted(model, data_type)
    operations = store.plant(*lines)
    found = transactions.check(store.history(), data_type, Limits())
    assert found.models[model] is Status.VIOLATION
    for weaker in weaker_than(model) - {model, "repeatable-read"}:
        assert found.models[weaker] is Status.VALID, weaker
    named = [{o.index for o in v.witness} for v in found.anomalies if v.anomaly == anomaly]
    assert any(witness <= operations and len(witness) > 1 for witness in named), (named, operations)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data_type"), [(model, BOTH[place % 2]) for place, model in enumerate(TRANSACTIONAL)]
)
def test_a_store_of_the_level_passes_it_alone_and_one_planted_violation_is_named(
    model: str, data_type: str
) -> None:
    both_ways(model, data_type, TRANSACTIONS, 1)


@pytest.mark.parametrize(
    ("model", "data_type"), [(model, BOTH[1 - place % 2]) for place, model in enumerate(TRANSACTIONAL)]
)
def test_so_it_is_with_fewer_transactions_of_the_other_type(model: str, data_type: str) -> None:
    both_ways(model, data_type, TRANSACTIONS // 20, 2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3, 8))
@pytest.mark.parametrize("data_type", BOTH)
@pytest.mark.parametrize("model", TRANSACTIONAL)
def test_so_it_is_at_size_with_other_seeds_of_either_type(model: str, data_type: str, seed: int) -> None:
    both_ways(model, data_type, TRANSACTIONS, seed)

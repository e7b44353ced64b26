"""The consistency models by name, what each implies, and the strongest ones that hold.

The names are those of `--model`, of JSON and of the docs. What each means is stated in
docs/reference/consistency-models.md and implemented literally by the brute-force twins of the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from comity.checkers.verdict import Status

SINGLE_OBJECT: Final = (
    "linearizable",
    "sequential",
    "causal",
    "causal-convergence",
    "pram",
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
    "eventual",
)
"""Models of histories of single operations, stronger ones before weaker ones."""

TRANSACTIONAL: Final = (
    "strict-serializable",
    "strong-session-serializable",
    "serializable",
    "strong-snapshot-isolation",
    "strong-session-snapshot-isolation",
    "snapshot-isolation",
    "parallel-snapshot-isolation",
    "repeatable-read",
    "cursor-stability",
    "monotonic-atomic-view",
    "read-atomic",
    "read-committed",
    "read-uncommitted",
)
"""Models of histories of transactions, stronger ones before weaker ones."""

MODELS: Final = (*SINGLE_OBJECT, *TRANSACTIONAL)

ON_REQUEST: Final = ("regular", "safe")
"""Models of registers that are judged only where they are asked for by name."""

IMPLIES: Final[Mapping[str, tuple[str, ...]]] = {
    "linearizable": ("sequential", "regular"),
    "sequential": ("causal", "causal-convergence"),
    "causal": ("pram", "writes-follow-reads"),
    "causal-convergence": ("eventual",),
    "pram": ("read-your-writes", "monotonic-reads", "monotonic-writes"),
    "read-your-writes": ("eventual",),
    "monotonic-reads": ("eventual",),
    "monotonic-writes": ("eventual",),
    "writes-follow-reads": ("eventual",),
    "eventual": (),
    "regular": ("safe",),
    "safe": (),
    "strict-serializable": ("strong-session-serializable", "strong-snapshot-isolation"),
    "strong-session-serializable": ("serializable", "strong-session-snapshot-isolation"),
    "serializable": ("snapshot-isolation", "repeatable-read"),
    "strong-snapshot-isolation": ("strong-session-snapshot-isolation",),
    "strong-session-snapshot-isolation": ("snapshot-isolation",),
    "snapshot-isolation": ("parallel-snapshot-isolation",),
    "parallel-snapshot-isolation": ("read-atomic", "cursor-stability"),
    "repeatable-read": ("cursor-stability", "monotonic-atomic-view"),
    "cursor-stability": ("read-committed",),
    "monotonic-atomic-view": ("read-committed",),
    "read-atomic": ("monotonic-atomic-view",),
    "read-committed": ("read-uncommitted",),
    "read-uncommitted": (),
}
"""Model -> the next weaker ones: whatever satisfies the first satisfies the others.

Of `eventual` only its base is implied: whether final reads agree is a question of its own.
"""


LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "sequential": ("sequential",),
    "causal": (
        "causal-convergence",
        "read-your-writes",
        "monotonic-reads",
        "monotonic-writes",
        "writes-follow-reads",
    ),
    "session": ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads"),
    "eventual": ("eventual",),
}
"""Read level of the store below linearizable -> the models a history of its clients must have.

The store's `causal` is causal+ (Lloyd et al. 2011): replicas that answer alone have to agree in the end, so
the writes of a conflict get one order everywhere, and who had read the loser sees the winner. That is causal
convergence, and not causal memory, which the checkers call `causal`.
"""


def weaker_than(model: str) -> frozenset[str]:
    """Every model that `model` implies, itself included."""
    found: set[str] = set()
    waiting = [model]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(IMPLIES[name])
    return frozenset(found)


def strongest(models: Mapping[str, Status]) -> list[str]:
    """The valid models that no other valid model implies, in the order of `MODELS` and `ON_REQUEST`."""
    valid = [name for name in (*MODELS, *ON_REQUEST) if models.get(name) is Status.VALID]
    implied = {weaker for name in valid for weaker in weaker_than(name) - {name}}
    return [name for name in valid if name not in implied]


def violated_by(models: Iterable[str]) -> frozenset[str]:
    """Every model that cannot hold where one of `models` does not: those that imply one of them."""
    broken = set(models)
    return frozenset(name for name in MODELS if weaker_than(name) & broken)

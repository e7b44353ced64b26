"""What a data type is to a checker, and what you write to check a type of your own.

A data type says how one object behaves when operations come one after the other. The smallest useful
one gives `name`, `initial` and `step`:

    class Counter(DataType):
        name = "counter"

        def initial(self) -> int:
            return 0

        def step(self, state: int, operation: Operation) -> int | Refused:
            if operation.f == "add":
                return state + operation.value
            known = operation.outcome is Outcome.OK
            return state if not known or operation.result == state else REFUSED

        def observes(self, operation: Operation) -> bool:
            return operation.f == "read"

States and results are compared with == and must be hashable and never change; a type with several
possible next states keeps a frozenset of them as its state.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from comity.checkers.errors import UnsuitableHistory
from comity.checkers.history import Operation, Outcome, thaw


class Refused(enum.Enum):
    """The type of `REFUSED`."""

    REFUSED = "refused"

    def __bool__(self) -> bool:
        return False


REFUSED: Final = Refused.REFUSED
"""What `step` gives where an operation cannot have had its result in that state."""

Step = Callable[[Any], Any]
"""state -> next state, or `REFUSED`: one operation, prepared."""


Goal = Callable[[Any], bool]
"""Whether an operation may be helped by a state: see `DataType.goals`."""


class Anything(enum.Enum):
    """The type of `ANYTHING`."""

    ANYTHING = "anything"


ANYTHING: Final = Anything.ANYTHING


class Use(NamedTuple):
    """What an operation asks of the state and what it makes of it, as far as that can be said.

    needs: the only state that accepts it; `ANYTHING` where there may be several.
    kind, makes: every state it may leave behind, unless it leaves the one it found: "value", that one;
    "ending", texts that end like this; "test", states for which this function is true; "nothing".
    grows: how it can only make a state larger: "text", by appending to it; "number", by adding to it; ""
    where it may do something else.
    """

    needs: Any
    kind: Literal["value", "ending", "test", "nothing"]
    makes: Any = None
    grows: Literal["", "text", "number"] = ""


class RegisterView(NamedTuple):
    """An operation as a plain read or write of one value, for the checks that only registers have."""

    writes: bool
    value: Any


class Action(msgspec.Struct, frozen=True, gc=False):
    """One operation as the search uses it.

    step: what it does. observes: see `DataType.observes`. view: where it is a plain read or write.
    """

    step: Step
    observes: bool
    view: RegisterView | None = None


class DataType(abc.ABC):
    """One kind of object. Override what is abstract; the rest makes checks faster or words better."""

    name: str

    @abc.abstractmethod
    def initial(self) -> Any:
        """The state before any operation."""

    @abc.abstractmethod
    def step(self, state: Any, operation: Operation) -> Any:
        """The state after `operation` in `state`, or `REFUSED`.

        An ok operation is refused where it could not have returned its result. One of unknown outcome
        has no result to compare: give the state it leaves, or `state` itself where it has no effect.
        """

    def split(self, operation: Operation) -> Hashable:
        """The object the operation is about. Objects are checked apart, which is sound for
        linearizability (Herlihy & Wing 1990, locality) and makes the search feasible."""
        key: Hashable = operation.key
        return key

    def observes(self, operation: Operation) -> bool:
        """Whether it changes no state that accepts it, its recorded result considered: a read, a
        failed compare-and-set. Saying False is always right, only slower."""
        return False

    def counts(self, operation: Operation) -> bool:
        """Whether it says anything at all. A failed operation did not happen, and nothing can be
        concluded from a read of unknown outcome."""
        if operation.outcome is Outcome.FAIL:
            return False
        return operation.outcome is Outcome.OK or not self.observes(operation)

    def effect(self, operation: Operation) -> Hashable:
        """What the operation does, whoever does it: of the operations of unknown outcome with equal
        effects only the one invoked first needs trying. By default each stands alone."""
        return operation.index

    def action(self, operation: Operation) -> Action:
        """The operation prepared for the search. Raises `UnsuitableHistory` for one the type has not."""
        return Action(lambda state: self.step(state, operation), self.observes(operation))

    def needless(self, operations: Sequence[Operation]) -> set[int]:
        """Of these operations on one object, the places of those of unknown outcome whose effect
        nothing later can have seen: every valid order stays valid without them."""
        return set()

    def goals(self, required: Sequence[Operation], optional: Sequence[Operation]) -> list[Goal | None] | None:
        """What operations of unknown outcome, `optional`, can do for the `required` ones.

        For each required operation: a test of a state that may only say no where the operation is
        refused in that state and in every other that `optional` ones, none of which overwrites it as a
        whole, can make of it; None where every state accepts the operation and it leaves the same state
        behind. None in place of the list where nothing is known.
        """
        return None

    def use(self, operation: Operation) -> Use | None:
        """What it needs and makes; None where nothing is known, and the search does without."""
        return None

    def describe(self, operation: Operation) -> str:
        """The operation in a few words, without its process: `write 4`, `read → 4`."""
        words = [operation.f]
        if operation.value is not None:
            words.append(show(operation.value))
        if operation.outcome is Outcome.INFO:
            words.append("(outcome unknown)")
        elif operation.result is not None and operation.result != operation.value:
            words.append(f"→ {show(operation.result)}")
        return " ".join(words)

    def describe_state(self, state: Any) -> str:
        """A state in a few words."""
        return show(state)

    def unsuitable(self, operation: Operation, reason: str) -> UnsuitableHistory:
        """The error that says why this type cannot judge `operation`."""
        return UnsuitableHistory(
            f"{self.name}: operation {operation.f!r} of process {operation.process} "
            f"(event {operation.invoked}): {reason}"
        )


SHOWN_CHARACTERS = 60


def show(value: Any) -> str:
    """A value in the words of explanations: short, JSON-like, nothing for no value."""
    if value is None:
        return "nothing"
    text = repr(thaw(value))
    if len(text) <= SHOWN_CHARACTERS:
        return text
    half = SHOWN_CHARACTERS // 2
    return f"{text[:half]}…{text[-half:]}"

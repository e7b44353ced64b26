"""Which values are still wanted, and which can still come back.

Where an operation that is not placed yet is accepted by one state only, and nothing that is not placed
yet can bring that state about, then the search must not leave that state before the operation is
placed: what it would try after leaving it is lost already. With written values that are all different
this leaves next to nothing to try; with few values it costs little and says little.

The same holds for what can only grow, such as a text that is appended to or a number that is added to:
while nothing is left that does anything else, it never becomes what it was, nor anything that does not
begin with it, or is less.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from comity.checkers.datatypes import ANYTHING, Use

LOOKED_AT = 32


class Ledger:
    """Counts of the operations not placed yet, by what they need and by what they make."""

    def __init__(self, required: Sequence[Use], optional: Sequence[Use]) -> None:
        self._need_of = [use.needs for use in required]
        self._optional_from = len(required)
        self.overwrites = [use.kind in {"value", "nothing"} for use in required]
        self._needed: dict[Any, int] = {}
        self._exact: dict[Any, int] = {}
        self._endings: dict[str, int] = {}
        self._kinds: dict[Callable[[Any], bool], int] = {}
        for needed in self._need_of:
            if needed is not ANYTHING:
                self._needed[needed] = self._needed.get(needed, 0) + 1
        uses = (*required, *optional)
        growths = {use.grows for use in uses if use.grows}
        self._growth = growths.pop() if len(growths) == 1 else ""
        self._resets = [use.kind != "nothing" and (not use.grows or not self._growth) for use in uses]
        self._resetting = sum(self._resets)
        texts = [(len(use.needs), place) for place, use in enumerate(required) if isinstance(use.needs, str)]
        self._longest = max(texts)[1] if texts else -1
        self._longest_placed = False
        self._counts: list[tuple[dict[Any, int], Any]] = []
        for use in uses:
            counts, key = self._entry(use)
            counts[key] = counts.get(key, 0) + 1
            self._counts.append((counts, key))
        self._texts = sorted(needed for needed in self._needed if isinstance(needed, str))
        self._ending_lengths = sorted({len(ending) for ending in self._endings})

    def _entry(self, use: Use) -> tuple[dict[Any, int], Any]:
        if use.kind == "value":
            return self._exact, use.makes
        if use.kind == "ending":
            return self._endings, use.makes
        if use.kind == "test":
            return self._kinds, use.makes
        return {}, None

    def place(self, place: int) -> None:
        """A required operation has been placed."""
        needed = self._need_of[place]
        if needed is not ANYTHING:
            self._needed[needed] -= 1
        counts, key = self._counts[place]
        counts[key] -= 1
        self._resetting -= self._resets[place]
        if place == self._longest:
            self._longest_placed = True

    def take_back(self, place: int) -> None:
        """A required operation is not placed any more."""
        needed = self._need_of[place]
        if needed is not ANYTHING:
            self._needed[needed] += 1
        counts, key = self._counts[place]
        counts[key] += 1
        self._resetting += self._resets[place]
        if place == self._longest:
            self._longest_placed = False

    def use(self, place: int) -> None:
        """An optional operation has been placed."""
        counts, key = self._counts[self._optional_from + place]
        counts[key] -= 1
        self._resetting -= self._resets[self._optional_from + place]

    def give_back(self, place: int) -> None:
        """An optional operation is not placed any more."""
        counts, key = self._counts[self._optional_from + place]
        counts[key] += 1
        self._resetting += self._resets[self._optional_from + place]

    def held(self, state: Any) -> int:
        """How many operations need `state` and could not be placed once it is left; 0 where it may
        come back, or nobody needs it."""
        wanted = self._needed.get(state, 0)
        return 0 if wanted and self._resetting and self.may_come(state) else wanted

    def lost(self, state: Any, window: Iterable[int]) -> bool:
        """Whether something of `window`, or what needs the longest text of all, is not placed yet and
        needs a state that `state` cannot grow into, while nothing is left that does not make it grow."""
        if self._resetting or state is None:
            return False
        if not self._longest_placed and self._longest >= 0 and self._outgrown(state, self._longest):
            return True
        return any(self._outgrown(state, place) for place in window)

    def _outgrown(self, state: Any, place: int) -> bool:
        needed = self._need_of[place]
        if needed is ANYTHING or needed == state:
            return False
        if not isinstance(needed, str) or not isinstance(state, str):
            return True
        if self._growth == "text":
            return not needed.startswith(state)
        return not (needed.lstrip("-").isdigit() and state.lstrip("-").isdigit() and int(state) < int(needed))

    def wanted(self, state: Any) -> bool:
        """Whether an operation that is not placed yet needs `state`, or a text that begins with it.
        Only an opinion on what to try first: it looks at no more than `LOOKED_AT` such texts."""
        if self._needed.get(state, 0):
            return True
        if not isinstance(state, str):
            return False
        first = bisect_left(self._texts, state)
        for text in self._texts[first : first + LOOKED_AT]:
            if not text.startswith(state):
                break
            if self._needed[text]:
                return True
        return False

    def needs(self, place: int, state: Any) -> bool:
        """Whether a required operation is accepted by `state` only."""
        needed = self._need_of[place]
        return needed is not ANYTHING and bool(needed == state)

    def may_come(self, state: Any) -> bool:
        """Whether something that is not placed yet may make `state`."""
        if self._exact.get(state, 0):
            return True
        if isinstance(state, str):
            for length in self._ending_lengths:
                if length > len(state):
                    break
                if self._endings.get(state[len(state) - length :], 0):
                    return True
        return any(left and test(state) for test, left in self._kinds.items())

    def unheard_of(self, initial: Any) -> Iterable[int]:
        """The required operations that need a state nothing makes: no order has them."""
        hopeless = {needed for needed in self._needed if needed != initial and not self.may_come(needed)}
        if not hopeless:
            return ()
        return (place for place, needed in enumerate(self._need_of) if needed in hopeless)

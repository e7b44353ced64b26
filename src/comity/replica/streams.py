"""Randomness below the shells: streams that a seed and a label determine."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_WORDS = struct.Struct(">8Q")
_WORD_VALUES = 1 << 64
_UNITS = 1 << 53


class Stream:
    """Numbers determined by (seed, label): the same in every process and Python version.

    Each block of 64 bytes is blake2b(key=seed, label || counter); words are its 64-bit parts.
    Not for secrets.
    """

    __slots__ = ("_counter", "_label", "_seed", "_words")

    def __init__(self, seed: int, label: str) -> None:
        self._seed = (seed % (1 << 128)).to_bytes(16, "big")
        self._label = label.encode()
        self._counter = 0
        self._words: list[int] = []

    def word(self) -> int:
        """An integer in [0, 2**64)."""
        if not self._words:
            payload = self._label + b"\0" + self._counter.to_bytes(8, "big")
            block = blake2b(payload, key=self._seed, digest_size=64).digest()
            self._words.extend(reversed(_WORDS.unpack(block)))
            self._counter += 1
        return self._words.pop()

    def below(self, bound: int) -> int:
        """An integer in [0, bound), unbiased; bound is 1 or more."""
        if bound < 1:
            raise ValueError(f"bound must be 1 or more, not {bound}")
        words = self._words
        while True:
            word = words.pop() if words else self.word()
            remainder = word % bound
            if word - remainder <= _WORD_VALUES - bound:
                return remainder

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both ends included."""
        return low + self.below(high - low + 1)

    def unit(self) -> float:
        """A float in [0, 1), 53 bits."""
        words = self._words
        return ((words.pop() if words else self.word()) >> 11) / _UNITS

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.unit() < probability

    def pick(self, choices: list[T] | tuple[T, ...]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]

    def shuffled(self, items: list[T] | tuple[T, ...]) -> list[T]:
        """A new list in random order (Fisher and Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result

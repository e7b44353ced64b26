"""The arithmetic of INCRBYFLOAT: x87 extended precision, exactly, in integers.

Redis computes in C's `long double`. On x86-64 that is a sign, a 64-bit significand and a 15-bit exponent,
rounded to nearest, ties to even; replicas must agree whatever machine they run on, so it is done here.
A value is (significand, exponent), meaning significand * 2**exponent, with |significand| < 2**64.
"""

from __future__ import annotations

import re

Value = tuple[int, int]

SIGNIFICAND_BITS = 64
LEAST_EXPONENT = -16445
"""Of the smallest positive number; anything finer is rounded to a multiple of 2**this."""

OVERFLOW_BITS = 16384
"""Magnitudes of 2**this and more are infinite."""

MAX_TEXT_BYTES = 5 * 1024 - 1
DECIMALS = 17

_DECIMAL = re.compile(rb"([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d+))?")
_HEXADECIMAL = re.compile(
    rb"([+-]?)0[xX](?:([0-9a-fA-F]+)(?:\.([0-9a-fA-F]*))?|\.([0-9a-fA-F]+))(?:[pP]([+-]?\d+))?"
)
_INFINITE = re.compile(rb"[+-]?(?:inf|infinity)", re.IGNORECASE)


class Infinite(ArithmeticError):
    """A value or result is infinite."""


def parse(text: bytes) -> Value:
    """The number written there, as C's strtold reads it. Raises ValueError where it is not one (or is out
    of range), `Infinite` for a spelled-out infinity."""
    if not 0 < len(text) <= MAX_TEXT_BYTES:
        raise ValueError("empty or too long")
    match = _DECIMAL.fullmatch(text)
    base, digit_bits = 10, 0
    if match is None:
        match = _HEXADECIMAL.fullmatch(text)
        base, digit_bits = 16, 4
    if match is None:
        if _INFINITE.fullmatch(text):
            raise Infinite
        raise ValueError("not a number")
    sign, whole, fraction, bare, power = match.groups()
    digits = (whole or b"") + (fraction or b"") + (bare or b"")
    scale = len(fraction or bare or b"")
    significand = _integer(digits) if base == 10 else int(digits, base)
    if significand == 0:
        return 0, 0
    exponent = _exponent(power)
    if base == 16:
        exponent -= digit_bits * scale
        value = _rounded(significand, 1, exponent)
    else:
        exponent -= scale
        # 10**5000 is beyond the largest, and 10**-5000 below the smallest by far.
        if exponent + len(digits) > 2 * OVERFLOW_BITS or exponent < -4 * MAX_TEXT_BYTES:
            raise ValueError("out of range")
        if exponent >= 0:
            value = _rounded(significand * 10**exponent, 1, 0)
        else:
            value = _rounded(significand, 10**-exponent, 0)
    if value[0] == 0 or _infinite(value):
        raise ValueError("out of range")
    return (-value[0], value[1]) if sign == b"-" else value


def _exponent(power: bytes | None) -> int:
    if power is None:
        return 0
    digits = power.lstrip(b"+-").lstrip(b"0")
    if len(digits) > 6:
        raise ValueError("out of range")
    number = int(digits or b"0")
    return -number if power.startswith(b"-") else number


def _integer(digits: bytes) -> int:
    # In pieces: Python refuses to read very long integers at once.
    number = 0
    for start in range(0, len(digits), 1000):
        piece = digits[start : start + 1000]
        number = number * 10 ** len(piece) + int(piece)
    return number


def add(left: Value, right: Value) -> Value:
    """The rounded sum. Raises `Infinite`."""
    exponent = min(left[1], right[1])
    total = (left[0] << (left[1] - exponent)) + (right[0] << (right[1] - exponent))
    if total == 0:
        return 0, 0
    significand, power = _rounded(abs(total), 1, exponent)
    value = (significand if total > 0 else -significand, power)
    if _infinite(value):
        raise Infinite
    return value


def text_of(value: Value) -> bytes:
    """As Redis writes it: at most 17 decimals, no trailing zeros, never an exponent."""
    significand, exponent = value
    magnitude = abs(significand)
    scaled = magnitude * 10**DECIMALS
    if exponent >= 0:
        scaled <<= exponent
    else:
        scaled, rest = divmod(scaled, 1 << -exponent)
        half = 1 << (-exponent - 1)
        if rest > half or (rest == half and scaled & 1):
            scaled += 1
    whole, decimals = divmod(scaled, 10**DECIMALS)
    text = _decimal_text(whole)
    if decimals:
        text += b"." + (b"%017d" % decimals).rstrip(b"0")
    return b"-" + text if significand < 0 and text != b"0" else text


def _decimal_text(number: int) -> bytes:
    # In pieces: Python refuses to write very long integers at once.
    pieces = []
    while number >= 10**1000:
        number, piece = divmod(number, 10**1000)
        pieces.append(b"%01000d" % piece)
    return b"".join([b"%d" % number, *reversed(pieces)])


def _rounded(numerator: int, denominator: int, exponent: int) -> Value:
    """Numerator / denominator * 2**exponent, rounded to nearest, ties to even; both are positive."""
    shift = numerator.bit_length() - denominator.bit_length() - SIGNIFICAND_BITS
    if shift > 0:
        denominator <<= shift
    else:
        numerator <<= -shift
    # Now 2**63 < the quotient < 2**65; one more bit may have to go.
    if numerator // denominator >= 1 << SIGNIFICAND_BITS:
        denominator <<= 1
        shift += 1
    coarser = LEAST_EXPONENT - (exponent + shift)
    if coarser > 0:
        denominator <<= coarser
        shift += coarser
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient, exponent + shift


def _infinite(value: Value) -> bool:
    return abs(value[0]).bit_length() + value[1] > OVERFLOW_BITS

"""80-bit arithmetic against fractions, rounded the long way."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.store.long_double import Infinite, Value, add, parse, text_of


def exactly(value: Value) -> Fraction:
    return Fraction(value[0]) * Fraction(2) ** value[1]


def rounded(number: Fraction) -> Fraction:
    """To 64 significant bits, to nearest, ties to even."""
    if number == 0:
        return number
    magnitude, unit = abs(number), Fraction(1)
    while magnitude / unit >= 2**64:
        unit *= 2
    while magnitude / unit < 2**63:
        unit /= 2
    return round(number / unit) * unit  # Python rounds ties to even, too


decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**25), max_value=10**25)


@given(decimals)
def test_parsing_rounds_to_the_nearest(number: Decimal) -> None:
    assert exactly(parse(str(number).encode())) == rounded(Fraction(number))


@given(decimals, decimals)
def test_adding_rounds_to_the_nearest(left: Decimal, right: Decimal) -> None:
    values = [parse(str(number).encode()) for number in (left, right)]
    assert exactly(add(*values)) == rounded(exactly(values[0]) + exactly(values[1]))


@given(decimals)
def test_the_text_is_the_value_to_seventeen_decimals(number: Decimal) -> None:
    value = parse(str(number).encode())
    text = text_of(value).decode()
    with localcontext() as context:
        context.prec = 200
        exact = Decimal(value[0]) * Decimal(2) ** value[1]
        assert Decimal(text) == exact.quantize(Decimal(1).scaleb(-17))
    assert "e" not in text
    assert not (text.endswith("0") and "." in text)


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        ("10.50", "0.1", "10.6"),
        ("5.0e3", "2.0e2", "5200"),
        ("3", "1.1", "4.1"),
        ("0.1", "0.2", "0.3"),
        ("-0.1", "0.1", "0"),
        ("1", "-1e-19", "1"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("0x1.8p3", "0X10", "28"),
        ("0", "1e-17", "0.00000000000000001"),
        ("0", "4e-18", "0"),
        ("-.5", "5.", "4.5"),
    ],
)
def test_sums_that_redis_gives(left: str, right: str, total: str) -> None:
    assert text_of(add(parse(left.encode()), parse(right.encode()))) == total.encode()


@pytest.mark.parametrize(
    "text", ["", ".", "e5", "1e", "0x", " 1", "1 ", "nan", "1_0", "1e5000", "1e-5000", "--1", "1" * 6000]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text.encode())


@pytest.mark.parametrize(
    "text", ["1e999999999999999999", "1e-999999999999999999", "0x1p99999999999", "9" * 5000 + "e9999"]
)
def test_huge_exponents_cost_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse(text.encode())


def test_infinity_is_told_apart() -> None:
    for text in (b"inf", b"-INFINITY", b"+Inf"):
        with pytest.raises(Infinite):
            parse(text)
    largest = parse(b"1.18e4932")
    with pytest.raises(Infinite):
        add(largest, largest)


def test_the_largest_and_the_smallest_round_trip() -> None:
    largest = parse(b"1.18973149535723176502e4932")
    assert len(text_of(largest)) == 4933
    assert exactly(parse(text_of(largest))) == exactly(largest)
    assert parse(b"1e-4940")[0] > 0
    assert text_of(parse(b"1e-4940")) == b"0"

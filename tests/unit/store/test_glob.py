"""Glob patterns against a matcher that is slow and plain."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.store.glob import matcher


def plainly(pattern: bytes, text: bytes) -> bool:
    if not pattern:
        return not text
    if not text and pattern != b"*":
        return False
    return _rest(pattern, text)


def _rest(pattern: bytes, text: bytes) -> bool:
    if not pattern:
        return not text
    head, tail = pattern[:1], pattern[1:]
    if head == b"*":
        return any(_rest(tail, text[start:]) for start in range(len(text) + 1))
    if not text:
        return False
    if head == b"?":
        return _rest(tail, text[1:])
    if head == b"[":
        matched, tail = _in_set(tail, text[0])
        return matched and _rest(tail, text[1:])
    if head == b"\\" and tail:
        head, tail = tail[:1], tail[1:]
    return head == text[:1] and _rest(tail, text[1:])


def _in_set(pattern: bytes, byte: int) -> tuple[bool, bytes]:
    negated = pattern[:1] == b"^"
    pattern = pattern[negated:]
    found = False
    while pattern:
        if pattern[:1] == b"\\" and len(pattern) > 1:
            found |= pattern[1] == byte
            pattern = pattern[2:]
        elif pattern[:1] == b"]":
            pattern = pattern[1:]
            break
        elif pattern[1:2] == b"-" and len(pattern) > 2:
            found |= min(pattern[0], pattern[2]) <= byte <= max(pattern[0], pattern[2])
            pattern = pattern[3:]
        else:
            found |= pattern[0] == byte
            pattern = pattern[1:]
    return found != negated, pattern


texts = st.text(alphabet="ab-]\n\\", max_size=6).map(str.encode)
patterns = st.text(alphabet="ab-*?[]^\\\n", max_size=8).map(str.encode)


@given(patterns, texts)
@settings(max_examples=1500)
def test_it_matches_what_the_plain_one_matches(pattern: bytes, text: bytes) -> None:
    assert bool(matcher(pattern)(text)) == plainly(pattern, text)


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_is_matched_by_itself(byte: int) -> None:
    text = bytes([byte])
    assert matcher(b"?")(text)
    assert matcher(b"[" + (b"\\" if text in b"]^\\" else b"") + text + b"]")(text)
    assert matcher(b"\\" + text)(text)


def test_many_stars_do_not_take_forever() -> None:
    started = time.process_time()
    assert not matcher(b"*a" * 30 + b"*b")(b"a" * 5000)
    assert time.process_time() - started < 1

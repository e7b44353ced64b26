from __future__ import annotations

import msgspec
import pytest

from comity.simulator.generate import case_of
from comity.simulator.settings import Case, decode_case, encode_case


@pytest.mark.parametrize("seed", range(12))
def test_a_case_survives_being_saved(seed: int) -> None:
    case = case_of(seed)
    assert decode_case(encode_case(case)) == case


def test_a_seed_is_one_case_and_every_seed_another() -> None:
    assert case_of(5) == case_of(5)
    assert len({encode_case(case_of(seed, duration_ms=1000)) for seed in range(20)}) == 20


def test_another_format_and_other_files_are_refused() -> None:
    case = msgspec.structs.replace(Case(seed=1), format=99)
    with pytest.raises(msgspec.ValidationError, match="a case of format 99; this version reads 1"):
        decode_case(encode_case(case))
    with pytest.raises(msgspec.DecodeError):
        decode_case(b"no JSON")
    with pytest.raises(msgspec.ValidationError, match="seed"):
        decode_case(b"{}")

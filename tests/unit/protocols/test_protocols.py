"""How protocols are found."""

from __future__ import annotations

import pkgutil

import msgspec
import pytest

from comity import protocols
from comity.protocols.raft import PROTOCOL, RaftCore, RaftOptions, protocol_of
from comity.replica import KeyedProtocol, Protocol


def test_every_folder_with_a_protocol_is_found_by_name() -> None:
    found = protocols.load()
    assert list(found) == sorted(found)
    assert found["raft"] is PROTOCOL
    for name, protocol in found.items():
        assert isinstance(protocol, Protocol | KeyedProtocol)
        assert protocol.name == name
        assert protocol.summary
        assert isinstance(protocol.options(), msgspec.Struct), "all options have defaults"


def test_two_folders_may_not_claim_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = list(pkgutil.iter_modules(protocols.__path__)) * 2
    monkeypatch.setattr(pkgutil, "iter_modules", lambda path: twice)
    with pytest.raises(ValueError, match="two protocols are called 'chain'"):
        protocols.load()


def test_a_variant_of_the_core_is_a_protocol_too() -> None:
    class Variant(RaftCore):
        pass

    variant = protocol_of(Variant, "raft-variant")
    assert (variant.name, variant.options) == ("raft-variant", RaftOptions)
    assert variant.codec is PROTOCOL.codec

"""host:port, and what the admin port is asked to do."""

from __future__ import annotations

from typing import Any

import pytest

from comity.replica import (
    AddMember,
    Member,
    Operation,
    PromoteMember,
    RemoveMember,
    ReplaceMembers,
    TransferLeadership,
)
from comity.server.admin import _operation
from comity.server.errors import AddressError
from comity.server.links import bind, split_address


@pytest.mark.parametrize(
    ("text", "address"),
    [("a:1", ("a", 1)), ("[::1]:65535", ("::1", 65535)), ("10.0.0.1:6379", ("10.0.0.1", 6379))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "a", "a:", "a:x", "a:0", "a:65536", "a:-1", "7001"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        split_address(text)


def test_a_taken_port_says_which() -> None:
    with bind("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(AddressError, match=rf"127.0.0.1:{port} cannot be listened on: Address already"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("order", "operation"),
    [
        ({"action": "add", "node": 4, "peer": "a:1", "redis": "b:2"}, AddMember(Member(4, "a:1", "b:2"))),
        ({"action": "add", "node": "4", "peer": "a:1"}, AddMember(Member(4, "a:1", ""))),
        ({"action": "promote", "node": 4}, PromoteMember(4)),
        ({"action": "remove", "node": 4}, RemoveMember(4)),
        ({"action": "replace", "voters": [3, 1, "2"]}, ReplaceMembers((1, 2, 3))),
        ({"action": "transfer"}, TransferLeadership(0)),
        ({"action": "transfer", "node": 2}, TransferLeadership(2)),
    ],
)
def test_orders(order: dict[str, Any], operation: Operation) -> None:
    assert _operation(order) == operation


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"action": "destroy"},
        {"action": "add", "node": 4},
        {"action": "add", "node": 4, "peer": "nowhere"},
        {"action": "add", "node": 0, "peer": "a:1"},
        {"action": "promote"},
        {"action": "remove", "node": "x"},
        {"action": "replace", "voters": 5},
    ],
)
def test_orders_that_cannot_be(order: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        _operation(order)

"""Namespaces really lose what they are told to lose, in one direction, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from comity.console.chaos.network import CannotCutLinks, Loopback, Namespaces, free_ports

can_cut = (
    sys.platform.startswith("linux") and os.geteuid() == 0 and all(map(shutil.which, ("ip", "iptables")))
)
needs_namespaces = pytest.mark.skipif(not can_cut, reason="needs Linux, root, ip and iptables")

LISTEN = """
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("0.0.0.0", 7777))
print("listening", flush=True)
while True:
    print(listener.recvfrom(100)[0].decode(), flush=True)
"""
SEND = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), (sys.argv[1], 7777))
"""


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    try:
        made = Namespaces([1, 2, 3])
    except CannotCutLinks as missing:
        pytest.skip(str(missing))
    try:
        yield made
    finally:
        made.close()


class Listener:
    """Prints the datagrams that arrive at one node."""

    def __init__(self, namespaces: Namespaces, node: int) -> None:
        command = [*namespaces.command_prefix(node), sys.executable, "-uc", LISTEN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.next() == "listening"

    def next(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def send(namespaces: Namespaces, source: int, target: int, text: str) -> None:
    command = [
        *namespaces.command_prefix(source),
        sys.executable,
        "-c",
        SEND,
        namespaces.endpoint(target).host,
        text,
    ]
    subprocess.run(command, check=True)


@needs_namespaces
def test_a_cut_link_loses_one_direction_only_until_healed(namespaces: Namespaces) -> None:
    at_two, at_one = Listener(namespaces, 2), Listener(namespaces, 1)
    try:
        send(namespaces, 1, 2, "before")
        assert at_two.next() == "before"
        namespaces.cut(1, 2)
        namespaces.cut(1, 2)
        send(namespaces, 1, 2, "lost")
        send(namespaces, 3, 2, "from another node")
        assert at_two.next() == "from another node"
        send(namespaces, 2, 1, "the other direction")
        assert at_one.next() == "the other direction"
        namespaces.heal()
        send(namespaces, 1, 2, "after")
        assert at_two.next() == "after"
    finally:
        at_two.close()
        at_one.close()


@needs_namespaces
def test_nothing_is_left_when_closed() -> None:
    def made() -> list[str]:
        commands = (["ip", "netns", "list"], ["ip", "-o", "link"])
        listed = [subprocess.run(command, capture_output=True, text=True, check=True) for command in commands]
        lines = "".join(done.stdout for done in listed).splitlines()
        return [line for line in lines if f"{os.getpid():x}" in line and "comity" in line]

    namespaces = Namespaces([1, 2])
    try:
        assert made()
    finally:
        namespaces.close()
    assert not made()


def test_a_plain_user_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotCutLinks, match="needs root"):
        Namespaces([1])


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(CannotCutLinks, match="apt-get install iproute2 iptables"):
        Namespaces([1])


def test_loopback_refuses_to_cut() -> None:
    with pytest.raises(CannotCutLinks):
        Loopback([1, 2]).cut(1, 2)


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(20))) == 20

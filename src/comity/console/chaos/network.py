"""Where the processes of a trial listen: on loopback, or each in a network namespace whose links can be cut.

With `Namespaces` every node has a network stack of its own, joined to the others by a bridge:

    this host ── bridge ─┬─ veth ── node 1 (10.N.0.11)
                         ├─ veth ── node 2 (10.N.0.12)
                         └─ veth ── node 3 (10.N.0.13)

A link from A to B is cut by dropping, inside B's namespace, whatever arrives from A's address; so
each direction is cut by itself and nothing is told to either side, as when a cable is pulled.
Clients reach the nodes from the host over the bridge and are never cut off.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

NAMES = "comity"
"""Every namespace and interface of a trial carries this prefix, then the process id that made it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one node listens."""

    node: int
    host: str
    redis_port: int
    peer_port: int
    admin_port: int

    @property
    def redis_address(self) -> str:
        """host:port of the Redis port."""
        return f"{self.host}:{self.redis_port}"

    @property
    def peer_address(self) -> str:
        """host:port of the peer port."""
        return f"{self.host}:{self.peer_port}"

    @property
    def admin_address(self) -> str:
        """host:port of the admin port."""
        return f"{self.host}:{self.admin_port}"


class CannotCutLinks(RuntimeError):
    """Links cannot be cut here or by this user; the text says what is missing."""


class Network(Protocol):
    """The addresses of the nodes of one trial and the links between them."""

    cuts: bool
    """Whether links can be cut."""

    def endpoint(self, node: int) -> Endpoint:
        """Where node (1..N) listens and is reached."""

    def command_prefix(self, node: int) -> list[str]:
        """What goes before the command line of a process of that node."""

    def cut(self, source: int, target: int) -> None:
        """Lose whatever source sends to target from now on. Cutting a cut link changes nothing."""

    def heal(self) -> None:
        """Restore every link."""

    def close(self) -> None:
        """Remove whatever was made."""


class Loopback:
    """All nodes on 127.0.0.1, on ports nobody uses. Links cannot be cut."""

    cuts = False

    def __init__(self, nodes: Iterable[int]) -> None:
        numbers = list(nodes)
        ports = free_ports(3 * len(numbers))
        self._endpoints = {
            node: Endpoint(node, "127.0.0.1", *ports[3 * place : 3 * place + 3])
            for place, node in enumerate(numbers)
        }

    def endpoint(self, node: int) -> Endpoint:
        """127.0.0.1 and three ports."""
        return self._endpoints[node]

    def command_prefix(self, node: int) -> list[str]:
        """Nothing: the process runs as it is."""
        return []

    def cut(self, source: int, target: int) -> None:
        """Refused: there is nothing between two processes on loopback."""
        raise CannotCutLinks("links on loopback cannot be cut")

    def heal(self) -> None:
        """Nothing was cut."""

    def close(self) -> None:
        """Nothing was made."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 nobody listens on, all different; another program may still take one first.

    They lie below the range from which the system takes ports for outgoing connections: there, a
    client could take the port of a node while that is down.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        candidate = 10_000 + os.getpid() * 97 % 20_000
        while len(ports) < count:
            candidate = candidate + 1 if candidate < 32_000 else 10_000
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                ports.append(candidate)
        return ports


class Namespaces:
    """A network namespace for each node and a bridge between them; needs Linux, root, ip and iptables."""

    cuts = True

    def __init__(self, nodes: Iterable[int]) -> None:
        """Make everything, or leave nothing behind and raise CannotCutLinks."""
        self._nodes = tuple(nodes)
        _require_tools()
        remove_abandoned()
        self._label = f"{os.getpid():x}"
        self._bridge = f"{NAMES}{self._label}"
        self._subnet = _unused_subnet()
        self._dropped: set[tuple[int, int]] = set()
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        _run("ip", "link", "add", self._bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self._subnet}.1/24", "dev", self._bridge)
        _run("ip", "link", "set", self._bridge, "up")
        for node in self._nodes:
            name = self._namespace(node)
            outside, inside = f"{NAMES}{self._label}v{node}", f"c{self._label}p{node}"
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
            _run("ip", "link", "set", inside, "netns", name)
            _run("ip", "link", "set", outside, "master", self._bridge, "up")
            _run("ip", "-n", name, "addr", "add", f"{self._host(node)}/24", "dev", inside)
            _run("ip", "-n", name, "link", "set", inside, "up")
            _run("ip", "-n", name, "link", "set", "lo", "up")
            self._iptables(node, "-L", "INPUT", "-n")

    def _namespace(self, node: int) -> str:
        return f"{NAMES}-{self._label}-{node}"

    def _iptables(self, node: int, *arguments: str) -> None:
        _run("ip", "netns", "exec", self._namespace(node), "iptables", "-w", *arguments)

    def endpoint(self, node: int) -> Endpoint:
        """An address of its own on the bridge; the ports are the same for every node."""
        return Endpoint(node, self._host(node), 7001, 7101, 7201)

    def _host(self, node: int) -> str:
        return f"{self._subnet}.{10 + node}"

    def command_prefix(self, node: int) -> list[str]:
        """Runs the rest of the command line in the node's namespace; the process id stays the same."""
        return ["ip", "netns", "exec", self._namespace(node)]

    def cut(self, source: int, target: int) -> None:
        """Drop in target's namespace what comes from source's address."""
        if (source, target) not in self._dropped:
            self._dropped.add((source, target))
            self._iptables(target, "-I", "INPUT", "-s", self._host(source), "-j", "DROP")

    def heal(self) -> None:
        """Flush the rules of every namespace that has some."""
        for target in sorted({target for _, target in self._dropped}):
            self._iptables(target, "-F", "INPUT")
        self._dropped.clear()

    def close(self) -> None:
        """Remove the namespaces (their ends of the cables go with them), cables and bridge; never raises."""
        _remove(self._label)


def remove_abandoned() -> None:
    """Remove what trials left whose process is gone (killed with -9, so that nothing could clean up)."""
    listed = _listed("ip", "netns", "list")
    labels = set(re.findall(rf"^{NAMES}-([0-9a-f]+)-\d+", listed, re.MULTILINE))
    listed = _listed("ip", "-o", "link")
    labels |= set(re.findall(rf"^\d+: {NAMES}([0-9a-f]+)(?:v\d+)?[@:]", listed, re.MULTILINE))
    for label in sorted(labels):
        if not os.path.exists(f"/proc/{int(label, 16)}"):
            _remove(label)


def _remove(label: str) -> None:
    for name in re.findall(rf"^\d+: ({NAMES}{label}v\d+)[@:]", _listed("ip", "-o", "link"), re.MULTILINE):
        _listed("ip", "link", "del", name)
    for name in re.findall(rf"^({NAMES}-{label}-\d+)", _listed("ip", "netns", "list"), re.MULTILINE):
        _listed("ip", "netns", "del", name)
    _listed("ip", "link", "del", f"{NAMES}{label}")


def _listed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _require_tools() -> None:
    if not sys.platform.startswith("linux"):
        raise CannotCutLinks(f"cutting links needs Linux network namespaces; this is {sys.platform}")
    if os.geteuid() != 0:
        raise CannotCutLinks("cutting links needs root: run it with sudo, or leave --cut-links out")
    missing = [tool for tool in ("ip", "iptables") if shutil.which(tool) is None]
    if missing:
        packages = {"ip": "iproute2", "iptables": "iptables"}
        raise CannotCutLinks(
            f"cutting links needs {' and '.join(missing)}, not found in PATH; "
            f"on Debian: apt-get install {' '.join(packages[tool] for tool in missing)}"
        )


def _unused_subnet() -> str:
    taken = _listed("ip", "-o", "-4", "addr")
    taken += _listed("ip", "route")
    for number in range(213, 250):
        if f"10.{number}." not in taken:
            return f"10.{number}.0"
    raise CannotCutLinks("no unused network found between 10.213.0.0/24 and 10.249.0.0/24")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise CannotCutLinks(f"`{' '.join(command)}` failed: {said or f'exit code {done.returncode}'}")

"""What a peer sends that no peer of ours would: it is dropped or refused, and nothing breaks."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.node.small_cluster import Cluster

from comity.formats.errors import FrameError
from comity.formats.frames import HELLO_KIND, Hello, decode_hello
from comity.node.messages import KIND_CORE
from comity.protocols.raft.messages import Append, Entry
from comity.replica import EntryKind, Member, Members
from comity.replica.members import encode_members


def test_a_hello_that_is_not_text_is_refused() -> None:
    hello = msgspec.msgpack.encode(Hello(cluster="name", node=2, incarnation=1))
    with pytest.raises(FrameError, match="cannot be read"):
        decode_hello([(0, HELLO_KIND, hello.replace(b"name", b"\xff\xfe\xff\xfe"))])


def test_a_membership_that_is_not_text_does_not_stop_the_node() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    host = cluster.hosts[leader % 3 + 1]
    members = Members(voters=(1, 2), known=(Member(1, "name"), Member(2, "name")))
    payload = encode_members(members).replace(b"name", b"\xff\xfe\xff\xfe")
    term = host.default.core.status()["term"]
    append = Append(term, 0, 0, 0, [Entry(term, int(EntryKind.MEMBERS), payload)])
    host.frame(leader, [(0, KIND_CORE, host.default.protocol.codec.encode(append))])
    host.turn()
    host.check()

"""The acceptor: the memory of Paxos.

Lamport, "Paxos Made Simple" (2001), section 2.2; with the promise for the proposer's next ballot carried
by an accept (Rystsov, "CASPaxos" (2018), section 2.2.1). Pure: what it holds is passed in and comes out,
and whoever uses it makes that durable before the answer leaves.
"""

from __future__ import annotations

import msgspec

from comity.protocols.paxos.ballots import NONE, Ballot


class Acceptance(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an acceptor remembers of one decree or register.

    promise: nothing below it is accepted any more. accepted, value: the proposal accepted last, `NONE` and
    None for none; the value is opaque.
    """

    promise: Ballot = NONE
    accepted: Ballot = NONE
    value: bytes | None = None


class Acceptor:
    """The two rules of an acceptor. Each gives what to remember from now on, or None for a refusal."""

    def may_promise(self, held: Acceptance, ballot: Ballot) -> bool:
        """P1a: nothing above it was promised."""
        return ballot >= held.promise

    def may_accept(self, held: Acceptance, ballot: Ballot) -> bool:
        """P1: unless it has promised not to."""
        return ballot >= held.promise

    def prepare(self, held: Acceptance, ballot: Ballot) -> Acceptance | None:
        """Phase 1b: promise not to accept anything below `ballot`."""
        if not self.may_promise(held, ballot):
            return None
        return Acceptance(ballot, held.accepted, held.value)

    def accept(
        self, held: Acceptance, ballot: Ballot, value: bytes | None, following: Ballot = NONE
    ) -> Acceptance | None:
        """Phase 2b: accept the value, and promise the proposer's `following` ballot where it names one.

        A proposal accepted already is accepted again, whatever was promised since.
        """
        if held.accepted == ballot:
            return held
        if not self.may_accept(held, ballot):
            return None
        return Acceptance(self.promise_after(ballot, following), ballot, value)

    def promise_after(self, ballot: Ballot, following: Ballot) -> Ballot:
        """What is promised by accepting: at least that ballot, and the next one of its proposer."""
        return max(ballot, following)

"""The state machine of one group: committed entries in, replies out, the same on every replica.

What it holds at an index is decided by the log alone: which commands, in which order, at which stamped
time. Caches, flushes, restarts and snapshots change where the state lies and never what it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from comity.formats.resp import OK
from comity.store import layout, replies
from comity.store.batches import PLAIN_SET, Answer, Batch, decode_batch, decode_proposal
from comity.store.clients import ClientTable
from comity.store.command import Apply, Command
from comity.store.engines import Engine
from comity.store.errors import CommandError, StateError
from comity.store.flush import FlushJob
from comity.store.keyspace import Context
from comity.store.limits import KEY_OVERHEAD_BYTES, StoreLimits
from comity.store.meta import VERSION, Meta, decode_buckets, decode_meta, encode_buckets, encode_meta
from comity.store.origins import OriginTable
from comity.store.snapshots import SnapshotChunkData, SnapshotReceiver, SnapshotSender
from comity.store.table import INTERNAL, TABLE, find, unknown_command, wrong_arity

DIGEST_BYTES = 32

GENERATION_EMPTY = 2
"""Where a group without any state begins."""

MANY_MISSES = 8
"""So many cells read from the engine one by one in a batch make the next batch read its cells ahead."""

_EMPTY_COMMAND = b"-ERR empty command\r\n"
_NOT_A_READ = b"-ERR '%b' is not a read\r\n"
_UNBOUNDED = 1 << 62

_Callable = tuple[Apply, int, int]


def _callables(commands: list[tuple[bytes, Command]]) -> dict[bytes, _Callable]:
    found = {}
    for name, command in commands:
        least = abs(command.arity)
        most = least if command.arity > 0 else _UNBOUNDED
        if name == b"EXEC":
            least = most = 3  # the internal form
        for spelling in (name, name.lower(), name.capitalize()):
            found[spelling] = (command.apply, least, most)
    return found


_IN_LOG = _callables([*TABLE.items(), *INTERNAL.items()])
_IN_READ = _callables([(name, command) for name, command in TABLE.items() if "readonly" in command.flags])


def execute(ctx: Context, args: list[bytes]) -> bytes:
    """Carry out one command, whatever it is; the reply may be an error."""
    if not args:
        return _EMPTY_COMMAND
    entry = _IN_LOG.get(args[0]) or _IN_LOG.get(args[0].upper())
    if entry is None:
        return unknown_command(args)
    if not entry[1] <= len(args) <= entry[2]:
        return _wrong_arity(args)
    try:
        return entry[0](ctx, args)
    except CommandError as error:
        return replies.error(error.text)


def _wrong_arity(args: list[bytes]) -> bytes:
    command = find(args[0])
    assert command is not None
    return wrong_arity(command)


class StateMachine:
    """The data of one group, above an engine it shares with others.

    applied, applied_term, members: position and encoded membership as of the last entry. stamp_ms: the
    time as stamped into the log so far. flushed: the index the engine's content is as of. durable: the
    index that survives a crash of this process. malformed: entries and batches that were not readable
    and therefore did nothing, on any replica.
    """

    def __init__(self, group: int, engine: Engine, limits: StoreLimits | None = None) -> None:
        self.group = group
        self.engine = engine
        self.limits = limits or StoreLimits()
        self._replicated = self.limits.replicated
        self._sender = SnapshotSender(engine, group, self.limits.snapshot_views)
        self._receiver = SnapshotReceiver(engine, group)
        self._job: FlushJob | None = None
        self._reads = 0
        self._load()
        leftovers = self._leftovers()
        if leftovers:
            engine.write((), leftovers)

    def _load(self) -> None:
        """Take the engine's content as the state, forgetting what was above it."""
        data = self.engine.get(layout.meta_key(self.group))
        if data is None:
            meta = Meta(
                version=VERSION,
                applied=0,
                term=0,
                members=b"",
                stamp_ms=0,
                generation=GENERATION_EMPTY,
                keys=0,
                expires=0,
                uses=0,
                malformed=0,
                buckets=b"",
            )
        else:
            meta = decode_meta(data, self.group)
        prefix = layout.generation_prefix(self.group, meta.generation)
        clients = ClientTable(self._replicated)
        clients.load(self._family(prefix, layout.FAMILY_CLIENTS), meta.uses)
        origins = OriginTable(self._replicated)
        origins.load(
            (int.from_bytes(node, "big"), row) for node, row in self._family(prefix, layout.FAMILY_ORIGINS)
        )
        context = Context(self.engine, prefix, self.limits.cache_bytes, clients)
        context.keys = meta.keys
        context.expiry.count = meta.expires
        context.now_ms = meta.stamp_ms
        context.index = meta.applied
        if meta.buckets:
            context.buckets = decode_buckets(meta.buckets)
        context.catalogue, context.catalogue_version = meta.catalogue, meta.catalogue_version
        context.execute = execute
        context.flush_all = self._flush_all
        self._generation = meta.generation
        self._in_engine = data is not None
        self._clears: list[tuple[bytes, bytes]] = []
        self._misses = 0
        self.applied = self.flushed = self.durable = meta.applied
        self.applied_term = meta.term
        self.members = meta.members
        self.stamp_ms = meta.stamp_ms
        self.malformed = meta.malformed
        self._origins = origins
        self._context = context

    def _family(self, prefix: bytes, family: int) -> Iterator[tuple[bytes, bytes]]:
        start = layout.family_prefix(prefix, family)
        for key, value in self.engine.scan(start, layout.after(start)):
            yield key[len(start) :], value

    def _leftovers(self) -> list[tuple[bytes, bytes]]:
        """Ranges of generations that are not in use and not empty: of a snapshot that was not installed."""
        spans = self._unused(self._generation)
        return [span for span in spans if next(iter(self.engine.scan(*span)), None) is not None]

    def _unused(self, generation: int) -> list[tuple[bytes, bytes]]:
        spans = []
        if generation > layout.GENERATION_FIRST:
            spans.append(layout.generation_range(self.group, layout.GENERATION_FIRST, generation - 1))
        if generation < layout.GENERATION_LAST:
            spans.append(layout.generation_range(self.group, generation + 1, layout.GENERATION_LAST))
        return spans

    # -- the log

    def apply(self, index: int, term: int, payload: bytes) -> list[Answer]:
        """Apply a COMMAND entry; the answers to its batches, applied now or before.

        Content that cannot be read does nothing and is counted, on every replica alike; the error of a
        command is its reply. Any other exception is a broken invariant and this replica must stop.
        """
        self._follow(index, term)
        try:
            proposal = decode_proposal(payload)
        except msgspec.MsgspecError:
            self.malformed += 1
            return []
        context = self._context
        context.index = index
        context.draw = 0
        if proposal.stamp_ms > context.now_ms:
            self.stamp_ms = context.now_ms = proposal.stamp_ms
        if context.expiry.count:
            context.reclaim(self._replicated.reclaimed_per_entry)
        answers = []
        for data in proposal.batches:
            try:
                batch = decode_batch(data)
            except msgspec.MsgspecError:
                self.malformed += 1
                continue
            answer = self._apply_batch(context, batch, index)
            if answer is not None:
                answers.append(answer)
        if 2 * context.hot_bytes > context.cache_bytes:
            context.rotate()
        return answers

    def _follow(self, index: int, term: int) -> None:
        if index != self.applied + 1:
            raise StateError(f"group {self.group}: entry {index} was to be applied after {self.applied}")
        self.applied = index
        self.applied_term = term

    def _apply_batch(self, context: Context, batch: Batch, index: int) -> Answer | None:
        row = self._origins.admit(batch, index)
        if row is None:
            return None
        sequence = batch.sequence
        if sequence <= row.last:
            return Answer(batch.origin, batch.incarnation, sequence, row.answers.get(sequence))
        if row.last < batch.after:
            return None
        context.speak(batch.protocol)
        commands = batch.commands
        many = self._misses > MANY_MISSES
        # What is prefetched was missed too: otherwise only every second batch would be.
        self._misses = -context.misses
        if many:
            context.prefetch(batch.keys or [args[1] for args in commands if len(args) > 1])
        if batch.keys:
            context.put_all(batch.keys, batch.values)
        answers = [OK] * len(batch.keys)
        append = answers.append
        entry_of = _IN_LOG.get
        for args in commands:
            if len(args) == 3 and args[0] in PLAIN_SET:
                context.put(args[1], args[2])
                append(OK)
                continue
            entry = entry_of(args[0]) if args else None
            if entry is None or not entry[1] <= len(args) <= entry[2]:
                append(execute(context, args))
                continue
            try:
                append(entry[0](context, args))
            except CommandError as error:
                append(replies.error(error.text))
        self._misses += context.misses
        self._origins.applied(row, batch, index, answers)
        return Answer(batch.origin, batch.incarnation, sequence, answers)

    def advance(self, index: int, term: int, members: bytes | None = None) -> None:
        """Go past a NOOP entry, or a MEMBERS entry with its encoded membership."""
        self._follow(index, term)
        if members is not None:
            self.members = members

    def _flush_all(self) -> None:
        """Begin an empty generation; the engine deletes the old one in the next flush."""
        context = self._context
        if self._in_engine:
            self._clears.append(layout.generation_range(self.group, self._generation, self._generation))
            self._generation = self._next_even()
            self._in_engine = False
            self._origins.change_all()
            context.clients.change_all()
        context.restart(layout.generation_prefix(self.group, self._generation))

    def _next_even(self) -> int:
        following = self._generation + 2 - self._generation % 2
        return following if following < layout.GENERATION_LAST else GENERATION_EMPTY

    # -- asking

    @property
    def catalogue(self) -> tuple[int, bytes]:
        """(version, the catalogue of keyspaces), of the group that keeps it."""
        return self._context.catalogue_version, self._context.catalogue

    def answers(self, origin: int, incarnation: int, sequence: int) -> list[bytes] | None:
        """The kept answers to a batch, None where it was not applied or they are not kept."""
        row = self._origins.rows.get(origin)
        return None if row is None or row.incarnation != incarnation else row.answers.get(sequence)

    def last_sequence(self, origin: int, incarnation: int) -> int:
        """The highest sequence applied of a node's incarnation, 0 for none."""
        row = self._origins.rows.get(origin)
        return 0 if row is None or row.incarnation != incarnation else row.last

    def read(
        self,
        commands: Sequence[list[bytes]],
        protocol: int,
        draw: int | None = None,
        max_bytes: int | None = None,
    ) -> list[bytes]:
        """Carry out readonly commands at the state as applied; the time is `stamp_ms`.

        max_bytes: stop after the answer with which all are that long; fewer answers than commands then.
        draw: decides random choices, together with the applied index; by default each call has another.
        """
        context = self._context
        context.speak(protocol)
        if draw is None:
            self._reads = draw = self._reads + 1
        context.draw = draw << 32
        many = self._misses > MANY_MISSES
        # What is prefetched was missed too: otherwise only every second batch would be.
        self._misses = -context.misses
        if many:
            context.prefetch([args[1] for args in commands if len(args) > 1])
        answers: list[bytes] = []
        append = answers.append
        entry_of = _IN_READ.get
        left = max_bytes if max_bytes is not None else sys.maxsize
        for args in commands:
            entry = entry_of(args[0]) if args else None
            if entry is None or not entry[1] <= len(args) <= entry[2]:
                answer = self._read_slowly(context, args)
            else:
                try:
                    answer = entry[0](context, args)
                except CommandError as error:
                    answer = replies.error(error.text)
            append(answer)
            left -= len(answer)
            if left <= 0:
                break
        self._misses += context.misses
        return answers

    def _read_slowly(self, context: Context, args: list[bytes]) -> bytes:
        if args and args[0].upper() not in _IN_READ and find(args[0]) is not None:
            return _NOT_A_READ % args[0].lower()
        return execute(context, args)

    def versions(self, keys: Sequence[bytes]) -> list[tuple[int, int]]:
        """What WATCH remembers of keys, for the internal form of EXEC: (version, last deletion)."""
        return [self._context.version(key) for key in keys]

    def next_expiry_ms(self) -> int | None:
        """The earliest expiry not yet reclaimed, None where no key expires."""
        expiry = self._context.expiry
        first = expiry.first() if expiry.count else None
        return None if first is None else first[0]

    # -- flushing

    def dirty_bytes(self) -> int:
        """About how much memory waits to be flushed; 0 if and only if nothing does."""
        if self.applied == self.flushed:
            return 0
        context = self._context
        rows = self._origins.rows
        origins = sum(rows[origin].size for origin in self._origins.changed if origin in rows)
        clients = len(context.clients.changed) * KEY_OVERHEAD_BYTES
        return 1 + context.bytes_to_flush() + origins + clients

    def begin_flush(self) -> FlushJob | None:
        """The work of writing to the engine what is not in it yet; None if there is nothing to write, or
        if the last flush has not ended. One that failed may be run again."""
        if self._job is not None or self.applied == self.flushed:
            return None
        context = self._context
        added, removed = context.expiry.begin_flush()
        clears, self._clears = self._clears, []
        self._job = FlushJob(
            self.engine,
            index=self.applied,
            generation=self._generation,
            prefix=layout.generation_prefix(self.group, self._generation),
            cells=context.begin_flush(),
            added=added,
            removed=removed,
            clients=context.clients.begin_flush(),
            origins=self._origins.begin_flush(),
            meta_key=layout.meta_key(self.group),
            meta=encode_meta(self._meta()),
            clears=clears,
            sender=self._sender,
            stamp_ms=self.stamp_ms,
        )
        self._in_engine = True
        return self._job

    def _meta(self) -> Meta:
        context = self._context
        return Meta(
            version=VERSION,
            applied=self.applied,
            term=self.applied_term,
            members=self.members,
            stamp_ms=self.stamp_ms,
            generation=self._generation,
            keys=context.keys,
            expires=context.expiry.count,
            uses=context.clients.uses,
            malformed=self.malformed,
            buckets=encode_buckets(context.buckets),
            catalogue=context.catalogue,
            catalogue_version=context.catalogue_version,
        )

    def end_flush(self, job: FlushJob) -> None:
        """The job has run: the engine holds what it was given."""
        if job is not self._job or not job.written:
            raise StateError(f"group {self.group}: a flush ended that was not begun or has not run")
        self._job = None
        self.flushed = job.index
        if job.generation == self._generation:
            self._context.end_flush()
            self._context.expiry.end_flush()

    def synced(self) -> None:
        """The engine was synced after the last flush that ended had run: what it wrote is durable."""
        self.durable = self.flushed

    # -- snapshots

    def snapshot_chunk(self, cursor: bytes, snapshot: int, max_bytes: int) -> SnapshotChunkData | None:
        """A piece of the state as of the last flush that ran, for another replica.

        cursor: where it starts, b"" for the start; snapshot: at the start the index the state must have
        applied, then the index of the snapshot that the cursor belongs to. None where there is no such
        snapshot (any more): start again. In any thread, with no other job of this machine running.
        """
        if self._job is not None and not self._job.written and not cursor:
            return None
        return self._sender.chunk(cursor, snapshot, max_bytes, self.stamp_ms)

    def stage_chunk(
        self, index: int, term: int, members: bytes, cursor: bytes, next_cursor: bytes, data: bytes
    ) -> None:
        """Keep a received piece beside the current state. In any thread, with no other job running."""
        self._receiver.stage(index, term, members, cursor, next_cursor, data, self._generation)

    def install_staged(self, replaces: bool = False) -> None:
        """Make the complete staged snapshot the state, durably. In any thread, with no other job running
        and nothing applied meanwhile; reads are answered from the old state until the switch.
        replaces: also where the state stands further, in another history."""
        if self._job is not None:
            raise StateError(f"group {self.group}: a snapshot was to be installed during a flush")
        meta = self._receiver.take()
        if meta.applied <= self.applied and not replaces:
            return
        # The old generation goes in the next flush: until the switch it is what reads are answered from.
        clears = [*self._clears, layout.generation_range(self.group, self._generation, self._generation)]
        self.engine.write([(layout.meta_key(self.group), encode_meta(meta))])
        self.engine.sync()
        self._sender.close()
        self._load()
        self._clears = clears

    # -- looking inside

    def digest(self) -> bytes:
        """A digest of the whole logical state, equal on replicas that applied the same entries; 32 bytes.

        Visits every key. The position in the log is not part of it.
        """
        context = self._context
        state = blake2b(digest_size=DIGEST_BYTES)
        encode = msgspec.msgpack.Encoder().encode
        state.update(encode((context.keys, context.expiry.count, self.stamp_ms, context.clients.uses)))
        for place, cell in context.walk():
            state.update(encode((place, cell)))
        state.update(encode_buckets(context.buckets))
        state.update(encode((context.catalogue_version, context.catalogue)))
        for origin, row in self._origins.records():
            state.update(encode((origin, row)))
        for client, record in context.clients.records():
            state.update(encode((client, record)))
        return state.digest()

    def stats(self) -> dict[str, int]:
        """Counters and sizes, for people and metrics."""
        context = self._context
        return {
            "keys": context.keys,
            "expires": context.expiry.count,
            "dirty_keys": len(context.dirty) + len(context.flushing),
            "dirty_bytes": self.dirty_bytes(),
            "cached_keys": len(context.hot) + len(context.cold),
            "cached_bytes": context.hot_bytes + context.cold_bytes,
            "cache_misses": context.misses,
            "clients": len(context.clients.rows),
            "client_answer_bytes": context.clients.size,
            "origins": len(self._origins.rows),
            "malformed": self.malformed,
            "applied": self.applied,
            "flushed": self.flushed,
            "durable": self.durable,
            "generation": self._generation,
            "snapshot_views": len(self._sender),
        }

    def erase(self) -> None:
        """Remove everything the engine holds of this group, for a keyspace that is no more."""
        self._sender.close()
        everything = layout.generation_range(self.group, layout.GENERATION_META, layout.GENERATION_LAST)
        self.engine.write((), [everything])

    def close(self) -> None:
        """Let go of the engine, which others may go on using."""
        self._sender.close()

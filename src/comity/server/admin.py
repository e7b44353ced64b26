"""The admin port: /health, /status, /metrics and membership changes, over HTTP."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from comity.observe.metrics import render
from comity.replica import (
    AddMember,
    Done,
    Member,
    Operation,
    Outcome,
    PromoteMember,
    Refused,
    RemoveMember,
    ReplaceMembers,
    TransferLeadership,
)
from comity.server.links import split_address

if TYPE_CHECKING:
    from comity.server.shell import Shell

ANSWER_TIMEOUT_S = 15.0


class AdminPort:
    """The HTTP server of a shell, on the same loop."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.application = Starlette(
            routes=[
                Route("/health", self.health),
                Route("/status", self.status),
                Route("/metrics", self.metrics),
                Route("/members", self.members, methods=["POST"]),
            ]
        )

    def serve(self, listener: socket.socket) -> int:
        """Serve on a socket that listens; the port in use."""
        config = uvicorn.Config(
            self.application, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = _no_signals  # type: ignore[method-assign]
        self._task = self.shell.loop.create_task(self._server.serve(sockets=[listener]))
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            try:
                await asyncio.wait_for(self._task, 2.0)
            except (TimeoutError, asyncio.CancelledError):
                self._task.cancel()

    async def health(self, request: Request) -> Response:
        """200 when this node can serve every keyspace, 503 and the reason otherwise."""
        healthy, text = self.shell.host.health()
        return PlainTextResponse(text + "\n", status_code=200 if healthy else 503)

    async def status(self, request: Request) -> Response:
        """Everything `comity status` shows, as JSON."""
        status = self.shell.host.status()
        status["uptime_s"] = round(self.shell.uptime_ns / 1e9, 3)
        return JSONResponse(status)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        peers = self.shell.peers
        text = render(self.shell.host, peers.dropped, peers.refused)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def members(self, request: Request) -> Response:
        """{"action": add|promote|remove|replace|transfer, "node": N, "peer": ..., "redis": ...}."""
        try:
            order: dict[str, Any] = msgspec.json.decode(await request.body(), type=dict[str, Any])
            operation = _operation(order)
            group = str(order.get("keyspace", "default"))
            outcome = await self._administer(group, operation)
        except (msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
            return JSONResponse({"error": f"cannot be done: {error}"}, status_code=400)
        except TimeoutError:
            return JSONResponse(
                {"error": f"no outcome within {ANSWER_TIMEOUT_S:g} s: look at /status before trying again"},
                status_code=504,
            )
        if isinstance(outcome, Done):
            return JSONResponse({"done": True})
        if isinstance(outcome, Refused):
            leader = self.shell.host.peers.member(outcome.leader) if outcome.leader else None
            return JSONResponse(
                {
                    "error": outcome.detail or outcome.reason,
                    "reason": outcome.reason,
                    "leader": outcome.leader,
                    "leader_redis": leader.redis if leader is not None else "",
                },
                status_code=409,
            )
        return JSONResponse({"error": f"no clear outcome: {outcome}"}, status_code=500)

    async def _administer(self, group: str, operation: Operation) -> Outcome:
        host = self.shell.host
        if group.encode() not in host.by_name:
            raise ValueError(f"there is no keyspace {group!r}")
        future: asyncio.Future[Outcome] = self.shell.loop.create_future()

        def done(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        self.shell.now()
        host.administer(group, operation, done)
        self.shell.stimulated()
        return await asyncio.wait_for(future, ANSWER_TIMEOUT_S)


def _no_signals() -> Any:
    """Signals belong to the process, not to its HTTP server."""
    import contextlib

    return contextlib.nullcontext()


def _operation(order: dict[str, Any]) -> Operation:
    action = order["action"]
    if action == "add":
        peer, redis = str(order["peer"]), str(order.get("redis", ""))
        split_address(peer)
        return AddMember(Member(_node(order), peer, redis))
    if action == "promote":
        return PromoteMember(_node(order))
    if action == "remove":
        return RemoveMember(_node(order))
    if action == "replace":
        return ReplaceMembers(tuple(sorted(int(node) for node in order["voters"])))
    if action == "transfer":
        return TransferLeadership(int(order.get("node", 0)))
    raise ValueError(f"there is no action {action!r}; use add, promote, remove, replace or transfer")


def _node(order: dict[str, Any]) -> int:
    node = int(order["node"])
    if not 1 <= node < 1 << 31:
        raise ValueError(f"node numbers are 1 to {(1 << 31) - 1}")
    return node

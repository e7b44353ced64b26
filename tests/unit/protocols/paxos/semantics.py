"""A small register semantics for tests: integers as text, a few commands."""

from __future__ import annotations

from typing import Any

import msgspec


def command(name: str, *arguments: Any) -> bytes:
    """The payload of one command."""
    return msgspec.msgpack.encode([name, *arguments])


def result(reply: bytes) -> Any:
    """What an `Answered.reply` says."""
    return msgspec.msgpack.decode(reply)


class Commands:
    """GET, SET, INCR, APPEND, CAS, DEL; and READ_ONCE, which removes what it read, as of an expired key."""

    def change(self, payload: bytes, value: bytes | None, now_ms: int) -> tuple[bytes | None, bytes]:
        name, *arguments = msgspec.msgpack.decode(payload)
        text = None if value is None else value.decode()
        after, reply = self.run(name, arguments, text)
        return None if after is None else after.encode(), msgspec.msgpack.encode(reply)

    def run(self, name: str, arguments: list[Any], text: str | None) -> tuple[str | None, Any]:
        match name:
            case "GET":
                return text, text
            case "SET":
                return arguments[0], "OK"
            case "INCR":
                number = int(text or 0) + 1
                return str(number), number
            case "APPEND":
                return (text or "") + arguments[0], len(text or "") + len(arguments[0])
            case "CAS":
                return (arguments[1], 1) if text == arguments[0] else (text, 0)
            case "DEL":
                return None, int(text is not None)
            case "READ_ONCE":
                return None, text
        raise ValueError(name)

    def blind(self, payload: bytes) -> bool:
        return bool(msgspec.msgpack.decode(payload)[0] == "SET")

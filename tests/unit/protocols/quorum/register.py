"""A register of plain bytes for tests: what a client's payload means."""

from __future__ import annotations


class Register:
    """Payloads: `GET`; `SET value`; `DEL` (1 or 0); `INCR` and `SETXX value` depend on the value."""

    def change(self, payload: bytes, value: bytes | None, now_ms: int) -> tuple[bytes | None, bytes]:
        name, _, argument = payload.partition(b" ")
        if name == b"GET":
            return value, b"nil" if value is None else b"=" + value
        if name == b"SET":
            return argument, b"OK"
        if name == b"DEL":
            return None, b"0" if value is None else b"1"
        if name == b"SETXX":
            return (None, b"nil") if value is None else (argument, b"OK")
        if name == b"INCR":
            after = b"%d" % (int(value or b"0") + 1)
            return after, b":" + after
        raise AssertionError(payload)

    def blind(self, payload: bytes) -> bool:
        return payload.startswith(b"SET ")

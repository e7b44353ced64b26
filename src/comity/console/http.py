"""Talking to admin ports."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

DEFAULT_BASE_PORT = 7001
TIMEOUT_S = 20.0


def default_admins() -> list[str]:
    """The admin addresses of `comity up` with its defaults."""
    return [f"127.0.0.1:{DEFAULT_BASE_PORT + 200 + offset}" for offset in range(3)]


def ask(address: str, path: str, timeout_s: float = 2.0) -> dict[str, Any] | None:
    """GET JSON; None when there is no answer."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout_s) as answer:
            found = json.loads(answer.read())
            return found if isinstance(found, dict) else None
    except (OSError, ValueError, urllib.error.URLError):
        return None


def order(address: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """POST JSON; (HTTP status, answer), status 0 when there is no answer."""
    request = urllib.request.Request(
        f"http://{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        try:
            return error.code, json.loads(error.read())
        except ValueError:
            return error.code, {"error": str(error)}
    except (OSError, ValueError, urllib.error.URLError) as error:
        return 0, {"error": f"{address} does not answer: {error}"}

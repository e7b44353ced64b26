"""The words of a real redis-server for malformed requests, where one is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.formats.test_requests import REFUSED, array

REDIS = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a server of this test's own."""
    assert REDIS is not None
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "redis.sock"
    options = [
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen(
        [REDIS, *options, "--proto-max-bulk-len", "64mb"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "ready to accept connections" in line.lower():
                break
        yield path
    finally:
        process.kill()
        process.communicate()


# A NUL keeps Redis from finding the end of a line; it takes a line too long that came in one piece, and
# more arguments.
SAME = [
    (data, text)
    for data, text in REFUSED
    if b"\0" not in data and data != b"*1048577\r\n" and not (len(data) > 65537 and data.endswith(b"\r\n"))
]


@pytest.mark.parametrize(("data", "text"), SAME)
def test_redis_refuses_in_the_same_words(redis: Path, data: bytes, text: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(redis))
        client.sendall(array(b"PING") + data)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    assert answer == b"+PONG\r\n-ERR Protocol error: " + text.encode("utf-8", "surrogateescape") + b"\r\n"

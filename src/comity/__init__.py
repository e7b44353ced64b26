"""comity: a replicated key-value store that speaks the Redis protocol.

Every keyspace chooses its own guarantee, and every guarantee is proved. `comity.open(path)` embeds
one node in this process; `comity up` starts a cluster; `comity simulate`, `comity chaos` and
`comity check` are the instruments of proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comity.server.embedded import Embedded, open

__version__ = "0.1.0"
__all__ = ["Embedded", "__version__", "open"]


def __getattr__(name: str) -> object:
    # The embedded node needs the whole server; `import comity` alone must stay cheap.
    if name in ("Embedded", "open"):
        from comity.server import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module 'comity' has no attribute {name!r}")

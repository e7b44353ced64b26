"""Faults on real processes: `comity chaos`, and the pieces `comity demo` and the benchmarks share."""

from comity.console.chaos.command import chaos

__all__ = ["chaos"]

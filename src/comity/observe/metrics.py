"""Prometheus metrics of a host, rendered when somebody asks."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

LEADING = frozenset({"leader", "primary", "head"})
"""Roles of the one replica that takes the writes."""


class _Histogram(Protocol):
    buckets: list[int]
    sum_ns: int


def render(host: Any, frames_dropped: int = 0, links_refused: int = 0) -> str:
    """The text for one scrape. host: a `comity.node.Host`; the rest is what its shell counted."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(host, frames_dropped, links_refused))
    return generate_latest(registry).decode()


class _Collector:
    def __init__(self, host: Any, frames_dropped: int = 0, links_refused: int = 0) -> None:
        self.host = host
        self.frames_dropped = frames_dropped
        self.links_refused = links_refused

    def collect(self) -> Iterable[Metric]:
        """Everything, as of now."""
        yield from self._requests()
        yield from self._journal()
        yield from self._groups()
        yield from self._process()

    def _requests(self) -> Iterable[Metric]:
        metrics = self.host.metrics
        latency = HistogramMetricFamily(
            "comity_request_duration_seconds", "From a command's arrival to its answer.", labels=["command"]
        )
        for command, histogram in sorted(metrics.latency.items()):
            buckets, total = _buckets(histogram, metrics.bucket_edges_ns)
            latency.add_metric([command], buckets, total)
        yield latency
        calls = CounterMetricFamily("comity_commands", "Commands taken.", labels=["command"])
        for route in self.host.dispatcher.routes.by_name.values():
            if route.calls:
                calls.add_metric([route.name], route.calls)
        yield calls
        errors = CounterMetricFamily("comity_errors", "Error replies, by their first word.", labels=["error"])
        for prefix, count in sorted(metrics.errors.items()):
            errors.add_metric([prefix], count)
        yield errors
        for name, text, value in (
            ("comity_batches", "Batches made of clients' commands.", metrics.batches),
            ("comity_batched_commands", "Commands in those batches.", metrics.batched_commands),
            ("comity_forwarded_batches", "Batches sent to a leader elsewhere.", metrics.forwarded_batches),
            ("comity_resent_batches", "Batches sent again.", metrics.resent_batches),
            ("comity_read_rounds", "Confirmations asked of the leader for reads.", metrics.read_rounds),
            ("comity_local_reads", "Reads served without asking anybody.", metrics.local_reads),
            ("comity_connections", "Connections accepted.", metrics.connections_total),
            ("comity_connections_refused", "Connections refused at the limit.", metrics.connections_refused),
            ("comity_protocol_errors", "Connections closed for malformed requests.", metrics.protocol_errors),
            ("comity_peer_frames", "Frames received from peers.", metrics.peer_frames_received),
            (
                "comity_peer_frames_dropped",
                "Frames for peers that had no link, or a full one.",
                self.frames_dropped,
            ),
            ("comity_peer_links_refused", "Links of others that were refused.", self.links_refused),
            (
                "comity_peer_messages_refused",
                "Messages of peers not understood.",
                metrics.peer_messages_refused,
            ),
            (
                "comity_journal_failures",
                "Writes of the log refused by a full disk.",
                metrics.journal_failures,
            ),
        ):
            yield CounterMetricFamily(name, text, value=value)

    def _journal(self) -> Iterable[Metric]:
        host = self.host
        buckets, total = _buckets(host.metrics.sync, host.metrics.bucket_edges_ns)
        yield HistogramMetricFamily(
            "comity_journal_sync_seconds",
            "One append and fdatasync of the log.",
            buckets=buckets,
            sum_value=total,
        )
        yield CounterMetricFamily(
            "comity_journal_frames", "Frames written.", value=host.journal.frames_written
        )
        yield CounterMetricFamily("comity_journal_bytes", "Bytes written.", value=host.journal.bytes_written)
        yield GaugeMetricFamily("comity_journal_segments", "Segments on disk.", value=host.journal.segments)

    def _groups(self) -> Iterable[Metric]:
        names = {
            "comity_raft_term": ("The current term.", "term"),
            "comity_raft_commit": ("The commit index.", "commit"),
            "comity_raft_last": ("The last log index.", "last"),
            "comity_applied": ("The applied index.", "applied"),
            "comity_durable": ("The applied index that is durable in the state engine.", "durable"),
            "comity_waiting_commands": ("Commands not yet in a batch.", "waiting_commands"),
        }
        statuses = {name: group.status() for name, group in self._by_name()}
        for metric, (text, field) in names.items():
            family = GaugeMetricFamily(metric, text, labels=["keyspace"])
            for name, status in statuses.items():
                family.add_metric([name], float(status.get(field, 0)))
            yield family
        leads = GaugeMetricFamily("comity_leads", "1 where this node leads.", labels=["keyspace"])
        for name, status in statuses.items():
            leads.add_metric([name], float(status.get("role") in LEADING))
        yield leads
        told = GaugeMetricFamily(
            "comity_keyspace",
            "What the protocol of a keyspace says of itself: every number of its status, by name.",
            labels=["keyspace", "protocol", "what"],
        )
        for name, group in self._by_name():
            if group.viewed:
                for what, value in _numbers(statuses[name]):
                    told.add_metric([name, group.protocol.name, what], value)
        yield told

    def _by_name(self) -> Iterable[tuple[str, Any]]:
        return [(group.name, group) for group in self.host.groups.values()]

    def _process(self) -> Iterable[Metric]:
        host = self.host
        yield GaugeMetricFamily("comity_connected_clients", "Clients now.", value=len(host.connections))
        yield GaugeMetricFamily("comity_ready", "1 when the node can serve.", value=float(host.health()[0]))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "process_cpu_seconds", "User and system time.", value=usage.ru_utime + usage.ru_stime
        )
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=_resident_bytes())
        yield GaugeMetricFamily(
            "process_max_resident_memory_bytes", "Peak resident memory.", value=usage.ru_maxrss * 1024
        )


def _numbers(status: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    """Every number of a status, one level of names inside names deep."""
    for name, value in status.items():
        if isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)
        elif isinstance(value, dict) and not prefix:
            yield from _numbers(value, f"{name}_")


def _resident_bytes() -> int:
    """Of this process, now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _buckets(histogram: _Histogram, edges_ns: tuple[int, ...]) -> tuple[list[tuple[str, float]], float]:
    total = 0
    buckets = []
    for edge, count in zip(edges_ns, histogram.buckets, strict=False):
        total += count
        buckets.append((str(edge / 1e9), float(total)))
    buckets.append(("+Inf", float(total + histogram.buckets[-1])))
    return buckets, histogram.sum_ns / 1e9

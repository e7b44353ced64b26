"""What INFO says: sections and fields under Redis's names where Redis has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comity.node.dispatch import Dispatcher

DEFAULT_SECTIONS = (
    "server",
    "clients",
    "persistence",
    "stats",
    "replication",
    "errorstats",
    "keyspace",
    "comity",
)


def information(dispatcher: Dispatcher, sections: set[str]) -> str:
    """The text of INFO: the chosen sections, all of them for none, 'all' or 'everything'."""
    chosen = sections or {"default"}
    if chosen & {"all", "everything", "default"}:
        chosen = chosen | set(DEFAULT_SECTIONS)
    if chosen & {"all", "everything"}:
        chosen = chosen | {"commandstats"}
    parts = []
    for section, fields in _fields(dispatcher).items():
        if section in chosen:
            lines = [f"# {section.capitalize()}", *(f"{name}:{value}" for name, value in fields.items())]
            parts.append("\r\n".join(lines) + "\r\n")
    return "\r\n".join(parts)


def _fields(dispatcher: Dispatcher) -> dict[str, dict[str, object]]:
    host = dispatcher.host
    metrics = host.metrics
    group = host.default
    machine = group.machine
    status = group.core.status()
    leads = group.core.leader == host.config.node
    healthy, text = host.health()
    member = host.peers.member(group.core.leader) if group.core.leader else None
    stats = machine.stats()
    keys = stats.get("keys", 0)
    expires = stats.get("expires", 0)
    calls = sum(route.calls for route in dispatcher.routes.by_name.values())
    return {
        "server": {
            "redis_version": "7.0.0",
            "comity_version": host.config.version,
            "redis_mode": "standalone",
            "run_id": f"{host.config.node:020x}{host.incarnation:020x}",
            "uptime_in_seconds": host.now_ns // 1_000_000_000,
        },
        "clients": {
            "connected_clients": len(dispatcher.connections),
            "maxclients": dispatcher.bounds.connections,
        },
        "persistence": {
            "loading": 0 if host.serving else 1,
            "aof_enabled": 1,
            "aof_last_write_status": "err" if dispatcher.disk_error else "ok",
            "aof_current_size": host.journal.size,
        },
        "stats": {
            "total_connections_received": metrics.connections_total,
            "total_commands_processed": calls,
            "rejected_connections": metrics.connections_refused,
            "total_error_replies": sum(metrics.errors.values()),
        },
        "replication": {
            "role": "master",
            "connected_slaves": 0,
            "comity_role": status["role"],
            "comity_leader": group.core.leader,
            "comity_leader_address": member.redis if member is not None else "",
            "comity_leads": int(leads),
        },
        "commandstats": {
            f"cmdstat_{route.name}": f"calls={route.calls}"
            for route in dispatcher.routes.by_name.values()
            if route.calls
        },
        "errorstats": {
            f"errorstat_{prefix}": f"count={count}" for prefix, count in sorted(metrics.errors.items())
        },
        "keyspace": {"db0": f"keys={keys},expires={expires},avg_ttl=0"} if keys else {},
        "comity": {
            "node": host.config.node,
            "cluster": host.config.cluster,
            "ready": int(healthy),
            "health": text,
            "applied": machine.applied,
            "durable": machine.durable,
            "keyspaces": ",".join(sorted(group.name for group in host.groups.values())),
        },
    }

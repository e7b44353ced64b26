"""Settings of a node: from flags, environment and a TOML file, in that order of precedence."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from comity.node import Bounds, ConfigError, HostConfig, KeyspaceConfig
from comity.protocols.raft import RaftOptions
from comity.replica import Member
from comity.server.errors import SettingsError
from comity.server.links import split_address
from comity.server.wishes import wish, wishes_from

ENGINES = ("rocksdb", "memory")
PREFIX = "COMITY_"
SERVED_RAFT: dict[str, Any] = {"eager_commit": False}
"""Where a served node differs from the protocol's defaults: a busy leader's next Append carries the
commit index soon enough to followers whose clients wait for nothing."""
_UNITS_NS = {"ms": 1_000_000, "s": 1_000_000_000, "us": 1_000, "ns": 1}
_UNITS_BYTES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "b": 1}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `comity serve` is told.

    node: this node's number. cluster: its name; nodes of other names are refused. data: the data
    directory. engine: rocksdb or memory. redis, peer, admin: host:port to listen on; admin "" for
    none. members: N=peer/redis addresses of the first membership, comma separated; empty for a
    cluster of one. joining: wait to be added instead. keyspaces: beside default, served from the start
    and replicated by raft. keyspace: tables, by name, of those to be created where they are missing, as
    KEYSPACE CREATE would. log_level, log_format: what goes to stderr. stop_timeout_s: how long a
    graceful stop may take.
    """

    node: int = 1
    cluster: str = "comity"
    data: str = "comity-data"
    engine: str = "rocksdb"
    redis: str = "127.0.0.1:6379"
    peer: str = "127.0.0.1:6479"
    admin: str = "127.0.0.1:6579"
    members: str = ""
    joining: bool = False
    keyspaces: str = ""
    keyspace: dict[str, dict[str, Any]] = {}
    log_level: str = "info"
    log_format: str = "auto"
    stop_timeout_s: float = 10.0
    cache_bytes: int = 64 << 20
    block_cache_bytes: int = 32 << 20
    bounds: dict[str, Any] = {}
    raft: dict[str, Any] = {}

    def host_config(self, version: str) -> HostConfig:
        """The part of it that the host wants. Raises `SettingsError`."""
        try:
            return HostConfig(
                node=self.node,
                cluster=self.cluster,
                members=self.membership(),
                joining=self.joining,
                keyspaces=self._keyspaces(),
                wanted=tuple(wish(name, table) for name, table in self.keyspace.items()),
                bounds=msgspec.convert(self.bounds, Bounds),
                version=version,
            )
        except (ConfigError, msgspec.ValidationError) as error:
            raise SettingsError(str(error)) from error

    def membership(self) -> tuple[Member, ...]:
        """The members as given, or this node alone."""
        if not self.members:
            return () if self.joining else (Member(self.node, self.peer, self.redis),)
        return tuple(_member(part.strip()) for part in self.members.split(","))

    def _keyspaces(self) -> tuple[KeyspaceConfig, ...]:
        names = ["default", *(name.strip() for name in self.keyspaces.split(",") if name.strip())]
        options = {**SERVED_RAFT, **self.raft}
        return tuple(KeyspaceConfig(name=name, options=options) for name in dict.fromkeys(names))


def _member(text: str) -> Member:
    number, equals, addresses = text.partition("=")
    peer, _, redis = addresses.partition("/")
    if not equals or not number.strip().isdigit():
        raise SettingsError(f"members: {text!r} is not NODE=PEER_HOST:PORT/REDIS_HOST:PORT")
    for address in filter(None, (peer, redis)):
        _address("members", address)
    return Member(int(number), peer, redis)


def _address(name: str, text: str) -> None:
    try:
        split_address(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error


def load(
    file: str | None, flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Settings:
    """Put the sources together; a flag of None was not given. Raises `SettingsError`."""
    environment = os.environ if environment is None else environment
    file = file or environment.get(PREFIX + "CONFIG")
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, found in (
        (f"the file {file}", _from_file(file) if file else {}),
        ("the environment", _from_environment(environment)),
        ("the command line", {name: value for name, value in flags.items() if value is not None}),
    ):
        for name, value in found.items():
            if name == "keyspace" or (name == "keyspaces" and not isinstance(value, str)):
                # [keyspaces.NAME] in a file, --keyspace on the command line: by name, the latter wins.
                values["keyspace"] = {**values.get("keyspace", {}), **wishes_from(value, source)}
                sources["keyspace"] = source
                continue
            if isinstance(value, dict) and isinstance(values.get(name), dict):
                values[name] = {**values[name], **value}
            else:
                values[name] = value
            sources[name] = source
    for name in values:
        if name not in Settings.__struct_fields__:
            raise SettingsError(f"{sources[name]} names {name!r}, which is no setting{_nearest(name)}")
    for table, options in (("bounds", Bounds), ("raft", RaftOptions)):
        values[table] = _table(table, values.get(table, {}), options, sources.get(table, ""))
    for name in ("cache_bytes", "block_cache_bytes"):
        if name in values:
            values[name] = _number(name, values[name])
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].strip("`")
        raise SettingsError(
            f"{name} from {sources.get(name, 'somewhere')} cannot be used: {error}"
        ) from error
    _validate(settings, sources)
    return settings


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, Settings.__struct_fields__, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _from_file(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"the file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the file {path} is not TOML: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == PREFIX + "CONFIG":
            continue
        name = variable.removeprefix(PREFIX).lower()
        for table in ("bounds", "raft"):
            if name.startswith(table + "_"):
                values.setdefault(table, {})[name.removeprefix(table + "_")] = text
                break
        else:
            values[name] = text
    return values


def _table(table: str, values: object, options: type[msgspec.Struct], source: str) -> dict[str, Any]:
    """Numbers with units: "250ms" for a name that ends in _ns, "64mb" for one that ends in _bytes."""
    if not isinstance(values, dict):
        raise SettingsError(f"{table} from {source} must be a table")
    known = {field.name: field.type for field in msgspec.structs.fields(options)}
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SettingsError(f"{source} names {table}.{name}, which is no setting{hint}")
        result[name] = _number(f"{table}.{name}", value) if known[name] is int else value
    try:
        return msgspec.structs.asdict(msgspec.convert(result, options, strict=False)) if result else {}
    except (ValueError, msgspec.ValidationError) as error:
        raise SettingsError(f"{table} from {source} cannot be used: {error}") from error


def _number(name: str, value: object) -> int:
    text = str(value).strip().lower()
    units = _UNITS_NS if name.endswith("_ns") else _UNITS_BYTES if name.endswith("_bytes") else {}
    for unit, factor in units.items():
        if text.endswith(unit) and text.removesuffix(unit).strip().replace(".", "", 1).isdigit():
            return int(float(text.removesuffix(unit)) * factor)
    try:
        return int(text)
    except ValueError:
        example = {"_ns": " or, say, 250ms", "_bytes": " or, say, 64mb"}
        hint = next((text for ending, text in example.items() if name.endswith(ending)), "")
        raise SettingsError(f"{name} is {value!r}; it must be a whole number{hint}") from None


def _validate(settings: Settings, sources: Mapping[str, str]) -> None:
    if settings.engine not in ENGINES:
        where = sources.get("engine", "")
        raise SettingsError(f"engine is {settings.engine!r} ({where}); use one of {', '.join(ENGINES)}")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingsError(f"log_level is {settings.log_level!r}; use debug, info, warning or error")
    if settings.log_format not in ("auto", "json", "console"):
        raise SettingsError(f"log_format is {settings.log_format!r}; use auto, json or console")
    for name, table in settings.keyspace.items():
        wish(name, table)
    for name in ("redis", "peer", "admin"):
        text = getattr(settings, name)
        if text or name != "admin":
            _address(name, text)
    for name in ("cache_bytes", "block_cache_bytes"):
        if getattr(settings, name) < 1 << 20:
            raise SettingsError(f"{name} is {getattr(settings, name)}; it must be 1048576 or more")

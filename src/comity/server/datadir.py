"""A node's data directory: whose it is, who uses it now, and what its journal holds.

DIR/identity.json   cluster, node, format, and a name of this directory alone; written once
DIR/lock            flock'ed by the process that uses the directory; holds its pid
DIR/wal/*.wal       the journal's segments
DIR/state/          the state engine (RocksDB)
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from typing import Any

from comity.server.errors import CorruptDataError, DataDirectoryError

FORMAT = 1
_IDENTITY = "identity.json"
_LOCK = "lock"
_SEGMENT_SUFFIX = ".wal"
_SEGMENT_DIGITS = 20


class DataDirectory:
    """An open, locked data directory of one node.

    Opening creates it where it does not exist, and refuses, by name and with what would help, a
    directory that another process uses, that is not comity's, or that belongs to another node.
    """

    def __init__(self, path: str, cluster: str, node: int) -> None:
        self.path = os.path.abspath(path)
        self.wal_path = os.path.join(self.path, "wal")
        self.state_path = os.path.join(self.path, "state")
        self._lock_fd = -1
        self.created = False
        """Whether this is the first time the directory is used."""
        self.name = ""
        """What tells it from any other directory its node may ever have; "" where its file does not say."""
        self._make()
        self._refuse_foreign()
        self._lock()
        try:
            self._identify(cluster, node)
            self._make_rooms()
        except BaseException:
            self.close()
            raise

    # -- the journal's segments

    def segments(self) -> list[tuple[str, bytes]]:
        """Every segment, oldest first, with its bytes."""
        found = []
        for name in self.segment_names():
            path = os.path.join(self.wal_path, name)
            try:
                with open(path, "rb") as file:
                    found.append((name, file.read()))
            except OSError as error:
                raise DataDirectoryError(
                    f"log segment {path} cannot be read: {error.strerror}",
                    "repair the disk, or remove this node and add a new one with an empty directory",
                ) from error
        return found

    def segment_names(self) -> list[str]:
        """The names of the segments, oldest first; refuses a file that is not one."""
        names = sorted(os.listdir(self.wal_path))
        for name in names:
            digits = name.removesuffix(_SEGMENT_SUFFIX)
            if name == digits or len(digits) != _SEGMENT_DIGITS or not digits.isdigit():
                raise DataDirectoryError(
                    f"{os.path.join(self.wal_path, name)} is not a log segment",
                    "move it elsewhere: only comity writes in this directory",
                )
        return names

    def truncate(self, segment: str, length: int) -> int:
        """Cut a torn tail off, durably; the number of bytes cut."""
        path = os.path.join(self.wal_path, segment)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                before = os.fstat(fd).st_size
                os.ftruncate(fd, length)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise DataDirectoryError(f"the torn end of {path} cannot be cut: {error.strerror}") from error
        return before - length

    def corrupt(self, segment: str, offset: int, reason: str) -> CorruptDataError:
        """The error for bytes in the middle of the journal that are not what was written."""
        return CorruptDataError(
            f"log segment {os.path.join(self.wal_path, segment)} is corrupt at byte {offset}: {reason}",
            "what follows could hold acknowledged writes, so nothing was changed; restore this directory from"
            " a backup, or remove this node from the cluster and add a new one with an empty directory",
        )

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # -- opening

    def _make(self) -> None:
        try:
            os.makedirs(self.path, mode=0o750, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise DataDirectoryError(
                f"data directory {self.path} is not a directory", "choose another with --data"
            ) from error
        except OSError as error:
            raise DataDirectoryError(
                f"data directory {self.path} cannot be created: {error.strerror}",
                "choose another with --data, or give this user the right to create it",
            ) from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DataDirectoryError(
                f"data directory {self.path} cannot be written by this user (uid {os.getuid()})",
                "choose another with --data, or change its owner",
            )

    def _refuse_foreign(self) -> None:
        present = sorted(os.listdir(self.path))
        if _IDENTITY in present:
            return
        strange = [name for name in present if name not in {_LOCK, _IDENTITY + ".new", "lost+found"}]
        if strange:
            shown = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
            raise DataDirectoryError(
                f"{self.path} is not a comity data directory: it holds {shown} and no {_IDENTITY}",
                "choose an empty or new directory with --data",
            )

    def _lock(self) -> None:
        path = os.path.join(self.path, _LOCK)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise self._unusable(path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise self._unusable(path, error) from error
            raise DataDirectoryError(
                f"data directory {self.path} is in use by process {holder or 'unknown'}",
                "stop that process, or choose another directory with --data",
            ) from error
        self._lock_fd = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:  # The pid is only a courtesy.
                self.close()
                raise self._unusable(path, error) from error

    def _identify(self, cluster: str, node: int) -> None:
        path = os.path.join(self.path, _IDENTITY)
        mine = {"format": FORMAT, "cluster": cluster, "node": node}
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            self.name = secrets.token_hex(16)
            self._write_identity(path, {**mine, "name": self.name})
            self.created = True
            return
        except OSError as error:
            raise self._unusable(path, error) from error
        try:
            found: dict[str, Any] = json.loads(text)
            known = {name: found[name] for name in mine}
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptDataError(
                f"{path} is not readable as the identity of a node",
                f"if this is the directory of node {node} of cluster {cluster!r}, restore the file as "
                f"{json.dumps(mine)}",
            ) from error
        if known["format"] != FORMAT:
            raise DataDirectoryError(
                f"data directory {self.path} has format {known['format']};"
                f" this version of comity reads {FORMAT}",
                "start it with the version of comity that wrote it",
            )
        if (known["cluster"], known["node"]) != (cluster, node):
            raise DataDirectoryError(
                f"data directory {self.path} belongs to node {known['node']} of cluster {known['cluster']!r},"
                f" not to node {node} of cluster {cluster!r}",
                "choose this node's own directory with --data, or correct --node and --cluster",
            )
        self.name = str(found.get("name", ""))

    def _write_identity(self, path: str, identity: dict[str, Any]) -> None:
        draft = path + ".new"
        try:
            with open(draft, "w", encoding="utf-8") as file:
                file.write(json.dumps(identity) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            self._sync_directory(self.path)
        except OSError as error:
            raise self._unusable(path, error) from error

    def _make_rooms(self) -> None:
        for path in (self.wal_path, self.state_path):
            if os.path.isdir(path):
                continue
            try:
                os.mkdir(path, 0o750)
                self._sync_directory(self.path)
            except OSError as error:
                raise self._unusable(path, error) from error

    def _sync_directory(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _unusable(self, path: str, error: OSError) -> DataDirectoryError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return DataDirectoryError(
                f"{path} cannot be written: the disk is full", "make room, then start again; nothing was lost"
            )
        return DataDirectoryError(
            f"{path} cannot be used: {error.strerror}", "check the disk and the rights of this user"
        )

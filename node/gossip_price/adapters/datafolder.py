"""The folder in which `up` keeps a network between runs: keys, network file, journals, database.

One process owns it at a time, by a lock that the system releases however that process ends.
Knows where things are and whose they are; what a network should be is decided elsewhere.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from gossip_price.adapters.keyfiles import KeyFileError, read_key, write_key
from gossip_price.network.document import DocumentError, Member, NetworkFile
from gossip_price.network.keys import compute_peer_id, describe, generate_secret

REMEDY: Final = "choose another folder with --data, or remove this one (its prices go with it)"


class DataFolderError(Exception):
    """The folder cannot be used; says why and what helps."""


@dataclass(frozen=True)
class Identity:
    """One node's place in the folder. Public: the keys stay in their files."""

    name: str
    address: str
    peer_id: str
    signing_key: Path
    identity_key: Path
    journal: Path


@dataclass(frozen=True)
class LocalNetwork:
    """The network that a folder holds; `nodes` by number, from 1."""

    file: NetworkFile
    bootstrap_peer_id: str
    bootstrap_key: Path
    nodes: tuple[Identity, ...]


@dataclass
class DataFolder:
    """A folder that this process owns until `close`."""

    path: Path
    _lock: IO[str] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Make the folder if need be and take its lock. Raises DataFolderError."""
        path = path.absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / "up.lock").open("a+")
        except OSError as error:
            raise DataFolderError(
                f"{path}: cannot be written ({error.strerror}): choose another folder with --data"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read(20).strip() or "unknown"
            lock.close()
            raise DataFolderError(
                f"{path}: another `gossip-price up` (process {owner}) runs on this folder: "
                "end that one, or choose another folder with --data"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return cls(path, lock)

    @property
    def network_path(self) -> Path:
        """The network file, `GP_NETWORK_FILE` of every node."""
        return self.path / "network.json"

    @property
    def postgres_path(self) -> Path:
        """The embedded database's folder."""
        return self.path / "postgres"

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.close()

    def load(self) -> LocalNetwork | None:
        """Return the network that is here, or None. Raises DataFolderError where it is damaged."""
        try:
            raw = self.network_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataFolderError(f"{self.network_path}: {error.strerror}") from error
        try:
            file = NetworkFile.parse(raw)
        except DocumentError as error:
            raise DataFolderError(f"{self.network_path}: {error}; {REMEDY}") from error
        members = file.epochs[-1].members if file.epochs else ()
        nodes = self._read_identities(len(members))
        if {(node.address, node.peer_id) for node in nodes} != {
            (member.address, member.peer_id) for member in members
        }:
            raise DataFolderError(
                f"{self.path}: the keys are not those of the members in network.json; {REMEDY}"
            )
        return self._describe(file, nodes)

    def create(
        self, count: int, make_file: Callable[[Sequence[Member]], NetworkFile]
    ) -> LocalNetwork:
        """Make keys for `count` nodes and a bootstrap node, and the network file of their members.

        The network file comes last and whole, so that a creation that was cut off is begun anew.
        Raises DataFolderError.
        """
        try:
            self._folder_of_keys.mkdir(mode=0o700, exist_ok=True)
            (self.path / "journal").mkdir(mode=0o700, exist_ok=True)
            _make_key(self._get_key("bootstrap", "identity"))
            for name in _name_nodes(count):
                _make_key(self._get_key(name, "signing"))
                _make_key(self._get_key(name, "identity"))
            nodes = self._read_identities(count)
            file = make_file([Member(node.address, node.peer_id) for node in nodes])
            fresh = self.network_path.with_suffix(".new")
            fresh.write_bytes(file.encode())
            fresh.replace(self.network_path)
        except OSError as error:
            raise DataFolderError(
                f"{self.path}: {error.strerror}; free it or use --data"
            ) from error
        return self._describe(file, nodes)

    @property
    def _folder_of_keys(self) -> Path:
        return self.path / "keys"

    def _get_key(self, name: str, kind: str) -> Path:
        return self._folder_of_keys / f"{name}.{kind}.key"

    def _describe(self, file: NetworkFile, nodes: tuple[Identity, ...]) -> LocalNetwork:
        bootstrap_key = self._get_key("bootstrap", "identity")
        return LocalNetwork(file, compute_peer_id(_read_key(bootstrap_key)), bootstrap_key, nodes)

    def _read_identities(self, count: int) -> tuple[Identity, ...]:
        return tuple(self._read_identity(name) for name in _name_nodes(count))

    def _read_identity(self, name: str) -> Identity:
        signing, identity = (self._get_key(name, kind) for kind in ("signing", "identity"))
        public = describe(_read_key(signing), _read_key(identity))
        return Identity(
            name=name,
            address=public["address"],
            peer_id=public["peerId"],
            signing_key=signing,
            identity_key=identity,
            journal=self.path / "journal" / f"{name}.sqlite",
        )


def _name_nodes(count: int) -> list[str]:
    return [f"node-{number}" for number in range(1, count + 1)]


def _make_key(path: Path) -> None:
    """Write a new key unless there is one: a key that was ever used is never replaced."""
    if not path.exists():
        write_key(path, generate_secret())


def _read_key(path: Path) -> bytes:
    try:
        return read_key(path)
    except KeyFileError as error:
        raise DataFolderError(f"{error}; or {REMEDY}") from error

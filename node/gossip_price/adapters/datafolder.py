"""The folder that holds a network on this machine: keys, network file, journals, database.

    network.json                            the epochs and peers, GP_NETWORK_FILE of every node
    node-1/{signing.key,identity.key}       its keys, and journal.sqlite once it has run
    bootstrap/identity.key
    postgres/                               the embedded database of `up`

Made by `network new` or by the first `up`. One process owns it at a time, by a lock that the
system releases however that process ends. Knows where things are and whose they are; what a
network should be is decided elsewhere.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from msgspec.structs import replace

from gossip_price.adapters.keyfiles import (
    IDENTITY_KEY,
    SIGNING_KEY,
    KeyFileError,
    make_missing_keys,
    make_signing_keys,
    read_key,
    read_member,
)
from gossip_price.adapters.network_file import read_network, write_network
from gossip_price.adapters.owned import OwnedError, take_lock
from gossip_price.network.document import DocumentError, Member, NetworkFile
from gossip_price.network.keys import compute_peer_id
from gossip_price.network.problems import Problem
from gossip_price.network.spec import SpecError, make_network_file
from gossip_price.network.spec_parts import NetworkSpec

NETWORK_FILE: Final = "network.json"
BOOTSTRAP: Final = "bootstrap"
JOURNAL: Final = "journal.sqlite"
REMEDY: Final = "choose another folder, or remove this one (its prices go with it)"
#: For what cannot be made again: another key is another member, another file another network.
_RESTORE: Final = "put it back from a backup"


class DataFolderError(Exception):
    """The folder cannot be used; says why and what helps."""


@dataclass(frozen=True)
class Identity:
    """One node's place in the folder. Public: the keys stay in their files."""

    name: str
    member: Member
    signing_key: Path
    identity_key: Path
    journal: Path

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read whose folder this is; its name is the node's. Raises KeyFileError."""
        return cls(
            name=folder.name,
            member=read_member(folder),
            signing_key=folder / SIGNING_KEY,
            identity_key=folder / IDENTITY_KEY,
            journal=folder / JOURNAL,
        )


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
            lock = take_lock(path / ".lock")
        except OwnedError as owner:
            raise DataFolderError(
                f"{path}: another gossip-price (process {owner}) runs on this folder: "
                "end that one, or choose another folder"
            ) from None
        except OSError as error:
            raise DataFolderError(
                f"{path}: cannot be written ({error.strerror}): choose another folder"
            ) from error
        return cls(path, lock)

    @property
    def network_path(self) -> Path:
        """The network file, `GP_NETWORK_FILE` of every node."""
        return self.path / NETWORK_FILE

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
            file = read_network(self.network_path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataFolderError(f"{self.network_path}: {error.strerror}") from error
        except DocumentError as error:
            raise DataFolderError(
                f"{self.network_path}: {error}; remedy: {_RESTORE}, or {REMEDY}"
            ) from error
        network = self._describe(file)
        members = file.epochs[0].members if file.epochs else ()
        if {node.member for node in network.nodes} != set(members):
            raise DataFolderError(
                f"{self.path}: the keys are not those of the members in {NETWORK_FILE}; remedy: put"
                f" that network's keys in their place, or {REMEDY}"
            )
        return network

    def create(
        self, spec: NetworkSpec, *, start: int, bootstrap: str | None = None
    ) -> LocalNetwork:
        """Make keys for the spec's nodes and a bootstrap node, and their network file.

        `start` (Unix seconds) is rounded down to a round. `bootstrap` is the multiaddress at
        which others will find the bootstrap node; with its new peer id it goes into the file.
        Keys that are there are kept, and the network file comes last and whole, so that a
        creation that was cut off is begun anew; but where a network has run already, its file
        is lost and no new one takes its place. Raises SpecError, DocumentError and
        DataFolderError.
        """
        if spec.document_ref is not None:
            words = "only a cluster has ConfigMaps: leave it out, and a document is made"
            raise SpecError([Problem("spec.documentRef", None, words, is_sentence=True)])
        if self.network_path.exists():
            raise DataFolderError(f"{self.network_path} is there already: choose another folder")
        self._refuse_remains()
        folders = self._list_folders(spec.nodes.count)
        try:
            make_missing_keys(self._bootstrap_key.parent, [IDENTITY_KEY])
            make_signing_keys(folders)
            for folder in folders:
                make_missing_keys(folder)
            file = make_network_file(
                spec,
                [read_member(folder) for folder in folders],
                network_id=secrets.token_bytes(32),
                start=start,
            )
            if bootstrap is not None:
                peer_id = compute_peer_id(read_key(self._bootstrap_key))
                known = (*file.peers.bootstrap, f"{bootstrap}/p2p/{peer_id}")
                file = replace(file, peers=replace(file.peers, bootstrap=known))
            write_network(self.network_path, file)
        except KeyFileError as error:
            raise DataFolderError(str(error)) from error
        except OSError as error:
            raise DataFolderError(
                f"{self.path}: {error.strerror}; free it, or choose another folder"
            ) from error
        return self._describe(file)

    @property
    def _bootstrap_key(self) -> Path:
        return self.path / BOOTSTRAP / IDENTITY_KEY

    def _refuse_remains(self) -> None:
        """Raise DataFolderError where a network has run here, which leaves more than keys."""
        remains = [*sorted(self.path.glob(f"*/{JOURNAL}")), self.postgres_path]
        found = next((path for path in remains if path.exists()), None)
        if found is not None:
            raise DataFolderError(
                f"{self.network_path} is missing, but a network has run here ({found} is there):"
                f" {_RESTORE} (each epoch in it also stands in the table epochs of the network's"
                f" database), or {REMEDY}"
            )

    def _list_folders(self, count: int) -> list[Path]:
        return [self.path / f"node-{number}" for number in range(1, count + 1)]

    def _describe(self, file: NetworkFile) -> LocalNetwork:
        """Return the network of `file` and our keys. Raises DataFolderError for a key.

        Here are the keys of the first epoch's members; who came later has its own elsewhere, and
        who was removed listens.
        """
        count = len(file.epochs[0].members) if file.epochs else 0
        try:
            nodes = [Identity.read(folder) for folder in self._list_folders(count)]
            bootstrap = compute_peer_id(read_key(self._bootstrap_key))
        except KeyFileError as error:
            instead = f"{error}, or" if error.remedy else f"{error}; remedy: {_RESTORE}, or"
            raise DataFolderError(f"{instead} {REMEDY}") from error
        return LocalNetwork(file, bootstrap, self._bootstrap_key, tuple(nodes))

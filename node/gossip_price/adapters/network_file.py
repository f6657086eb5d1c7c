"""The network file, `GP_NETWORK_FILE`: read, watched, and replaced whole. Decides nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from gossip_price.adapters.owned import sync_folder
from gossip_price.network.admission import get_admitted
from gossip_price.network.document import Document, DocumentError, NetworkFile
from gossip_price.network.epochs import EpochChain
from gossip_price.ports import Clock

log = structlog.get_logger(__name__)

#: The file is read this often. Its content is compared, not its time or inode: a mounted
#: ConfigMap changes by a symbolic link two folders up, and an editor may keep the time.
POLL_S: Final = 2.0

Take = Callable[[EpochChain], None]
"""Take up new epochs. Raises DocumentError with the reason why they cannot be ours."""


def read_network(path: Path) -> NetworkFile:
    """Read a network file. Raises DocumentError, or OSError where it cannot be read."""
    return NetworkFile.parse(path.read_bytes())


def write_network(path: Path, network: NetworkFile) -> None:
    """Replace a network file, whole or not at all, synced: nodes watch it. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(network.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


class NetworkWatch:
    """Follows a network file: hands on new epochs, and who may connect, when that changes.

    What is half written, invalid or not ours is told once, and the network known stays as it is.
    `network` and `chain` are those that the process began with, `admit` takes the peer ids that
    may connect (`Transport.admit`).
    """

    def __init__(
        self,
        path: Path,
        network: NetworkFile,
        chain: EpochChain,
        *,
        clock: Clock,
        take: Take,
        admit: Callable[[frozenset[str]], None],
    ) -> None:
        self._path = path
        self._network = network
        self._chain = chain
        self._clock = clock
        self._take = take
        self._admit = admit
        self._admitted: frozenset[str] | None = None
        self._content: bytes | None = None
        self._trouble = ""

    @property
    def chain(self) -> EpochChain:
        """The epochs known by now."""
        return self._chain

    def get_in_force(self) -> Document:
        """Return the epoch in force by our clock; before the first one starts, that one."""
        return self._chain.get_current(self._clock.now().wall_ms // 1000)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(POLL_S)

    def look(self) -> None:
        """Read the file once, and admit whom it and the time say."""
        try:
            self._read()
        except (DocumentError, OSError) as error:
            self._tell(str(error))
        now_s = self._clock.now().wall_ms // 1000
        admitted = get_admitted(self._chain, self._network.peers, now_s)
        if admitted != self._admitted:
            self._admitted = admitted
            self._admit(admitted)

    def _read(self) -> None:
        content = self._path.read_bytes()
        if content == self._content:
            return
        self._content = content
        network = NetworkFile.parse(content)
        chain = EpochChain(network.epochs)
        problem = chain.find_break(self._chain)
        if problem is not None:
            raise DocumentError(f"network file: {problem}")
        self._take(chain)
        if self._trouble:
            log.info("network_file_accepted", path=str(self._path), epoch=chain.newest.epoch)
        self._network, self._chain, self._trouble = network, chain, ""

    def _tell(self, reason: str) -> None:
        if reason != self._trouble:
            self._trouble = reason
            log.error(
                "network_file_refused",
                path=str(self._path),
                reason=reason,
                detail=f"epoch {self._chain.newest.epoch} stays the newest",
            )

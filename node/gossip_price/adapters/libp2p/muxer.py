"""Yamux with batched window updates, and a connection's socket cut where close() would hang.

Window updates: as shipped, every read of a few bytes sends a frame of its own, a third of the
CPU of a message. Here they are sent once half a window has been read. That cannot stall: a
reader who has read everything has either granted it, or the sender has half a window left.
"""

from __future__ import annotations

import logging
from typing import Any

import libp2p.stream_muxer.muxer_multistream as _multistream
import trio
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    PROTOCOL_ID,
    Yamux,
    YamuxStream,
)

__all__ = ["PROTOCOL_ID", "GuardedYamux", "cut"]

log = logging.getLogger(__name__)

#: From a muxed connection down to the socket, in 0.8.1.
_WAY_DOWN = (
    "secured_conn",
    "conn",
    "read_writer",
    "read_write_closer",
    "stream",
    "stream",
    "socket",
)


class GuardedYamux(Yamux):  # type: ignore[misc]  # libp2p is untyped to us
    """Yamux of which one bad connection cannot end the swarm, and whose socket is closed.

    As shipped, a connection that we dialed and the other side ended keeps its socket open
    until the garbage collector comes by.
    """

    async def start(self) -> None:
        """Run the connection; whatever frames break it, only it ends."""
        try:
            await super().start()
        except Exception:  # supervising edge: a peer's frames, all of it logged
            log.warning("connection_broke", extra={"peer": str(self.peer_id)}, exc_info=True)
        finally:
            cut_socket(self)


# The class that a host is given for Yamux is ignored; this name is what is instantiated.
_multistream.Yamux = GuardedYamux


async def _release_in_batches(self: Any, *, bytes_read: int = 0) -> None:
    self._pending_recv_release += bytes_read
    if self._pending_recv_release >= DEFAULT_WINDOW_SIZE // 2:
        release, self._pending_recv_release = self._pending_recv_release, 0
        self.recv_window += release
        await self.send_window_update(release, skip_lock=True)


YamuxStream._auto_tune_and_send_window_update = _release_in_batches


def find_socket(muxed: Any) -> trio.socket.SocketType | None:
    """Return the socket under a muxed connection, None where the layers are not as expected."""
    part = muxed
    for name in _WAY_DOWN:
        part = getattr(part, name, None)
    return part if isinstance(part, trio.socket.SocketType) else None


def cut_socket(muxed: Any) -> None:
    """Close the socket now; every reader and writer above it sees the end."""
    socket = find_socket(muxed)
    if socket is not None:
        socket.close()


async def cut(connection: Any, timeout_s: float = 3.0) -> None:
    """End a connection whose other side may be dead.

    close() alone first sends GO_AWAY and waits for a writer that may wait for ever.
    """
    cut_socket(connection.muxed_conn)
    with trio.move_on_after(timeout_s):
        await connection.close()

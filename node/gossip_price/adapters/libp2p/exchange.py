"""One question, one answer, over a stream of its own between two connected peers.

Both are bytes behind a length, bounded before they are read. Knows peers and bytes; what a
question means is the responder's affair, who is asked the caller's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import trio
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from gossip_price.adapters.libp2p.counters import Counters
from gossip_price.core.limits import ANSWER_BYTES_MAX, QUESTION_BYTES_MAX
from gossip_price.ports import RequestError

log = logging.getLogger(__name__)

#: Questions of others under way at once; one of each peer. A full answer has half a megabyte.
SERVED_MAX: Final = 64
#: Taking a question, answering and the peer's reading it, together: no longer than who asks waits.
SERVE_S: Final = 5.0
_LENGTH_BYTES: Final = 4
_PIECE_BYTES: Final = 64 * 1024

Respond = Callable[[str, bytes], Awaitable[bytes]]


def name_exchange(network_id: bytes) -> str:
    """Return the libp2p protocol of a network's questions."""
    return f"/gossip-price/{network_id.hex()[:16]}/sync/1.0.0"


class _OversizeError(Exception):
    """The other side announced more than may be read."""


class Exchange:
    """Questions of ours and of others, on one host."""

    def __init__(
        self,
        host: Any,
        network_id: bytes,
        *,
        counters: Counters,
        may_ask: Callable[[str], bool],
        offended: Callable[[str, str], None],
    ) -> None:
        """Prepare. `may_ask(peer)` tells who is answered, `offended(peer, why)` cuts a liar."""
        self._host = host
        self._protocol = name_exchange(network_id)
        self._counters = counters
        self._may_ask = may_ask
        self._offended = offended
        self._asking: set[str] = set()
        self._serving: set[str] = set()

    # --- asking -------------------------------------------------------------------------------

    async def request(self, peer: str, data: bytes, deadline_s: float) -> bytes:
        """Ask a connected peer. Raises RequestError, at the deadline at the latest."""
        connections = [
            connection
            for connection in self._host.get_network().get_connections(ID.from_string(peer))
            if not connection.is_closed
        ]
        if not connections:
            raise RequestError("unconnected", f"{peer} is not connected")
        if peer in self._asking:
            raise RequestError("busy", f"{peer} has not answered the last question yet")
        self._asking.add(peer)
        self._counters.asked += 1
        try:
            with trio.fail_after(deadline_s):
                # The newest: a peer that came back may have a dead one beside it.
                return await self._ask(connections[-1], data)
        except RequestError:
            self._counters.unanswered += 1
            raise
        except trio.TooSlowError:
            self._counters.unanswered += 1
            raise RequestError("timeout", f"no answer within {deadline_s} s") from None
        except _OversizeError as error:
            self._counters.unanswered += 1
            raise RequestError("too_large", str(error)) from None
        except Exception as error:  # supervising edge: whatever libp2p calls the stream's end
            self._counters.unanswered += 1
            raise RequestError("broken", repr(error)) from error
        finally:
            self._asking.discard(peer)

    async def _ask(self, connection: Any, data: bytes) -> bytes:
        stream = await connection.new_stream()
        try:
            await self._negotiate(stream)
            await _write(stream, data)
            answer = await _read(stream, ANSWER_BYTES_MAX)
        finally:
            await _end(stream)
        if not answer:
            raise RequestError("refused", "it answers this question with nothing")
        return answer

    async def _negotiate(self, stream: Any) -> None:
        client = self._host.multiselect_client
        try:
            protocol = await client.select_one_of([self._protocol], MultiselectCommunicator(stream))
        except Exception as error:  # supervising edge: libp2p names a "no" and an end alike
            raise RequestError("refused", f"it does not speak {self._protocol}") from error
        stream.set_protocol(protocol)

    # --- being asked --------------------------------------------------------------------------

    def serve(self, respond: Respond) -> None:
        """Answer questions from now on; `respond` gives no bytes for those it refuses."""

        async def handle(stream: Any) -> None:
            peer = str(stream.muxed_conn.peer_id)
            if not self._may_ask(peer) or peer in self._serving or len(self._serving) >= SERVED_MAX:
                self._counters.refused_questions += 1
                await _end(stream)
                return
            self._serving.add(peer)
            try:
                with trio.fail_after(SERVE_S):
                    question = await _read(stream, QUESTION_BYTES_MAX)
                    answer = await _respond_while_wanted(stream, respond(peer, question))
                    await _write(stream, answer)
                    self._counters.answered += 1
                    await stream.close_write()
                    # Resetting now could overtake the answer: the asker ends the stream.
                    await _read_to_end(stream)
            except _OversizeError as error:
                self._offended(peer, f"its question is too large: {error}")
            except Exception as error:  # noqa: BLE001  # supervising edge: a peer's stream, logged
                log.debug("a question of %s ended: %r", peer, error)
            finally:
                self._serving.discard(peer)
                await _end(stream)

        self._host.set_stream_handler(self._protocol, handle)


async def _write(stream: Any, data: bytes) -> None:
    await stream.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)


async def _read(stream: Any, allowed: int) -> bytes:
    length = int.from_bytes(await _read_exactly(stream, _LENGTH_BYTES), "big")
    if length > allowed:
        raise _OversizeError(f"{length} bytes, allowed: {allowed}")
    return await _read_exactly(stream, length)


async def _read_exactly(stream: Any, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = await stream.read(min(_PIECE_BYTES, count - len(data)))
        if not piece:
            raise OSError(f"the stream ended after {len(data)} of {count} bytes")
        data += piece
    return bytes(data)


async def _read_to_end(stream: Any) -> None:
    """Wait for the other side to end the stream; it has nothing more to say."""
    with suppress(StreamEOF, StreamReset):
        if await stream.read(1):
            raise OSError("more bytes after the question")


async def _respond_while_wanted(stream: Any, answering: Awaitable[bytes]) -> bytes:
    """Return the answer. Raises OSError when the asker gives up first; it may ask again then."""

    async def watch() -> None:
        try:
            await stream.read(1)
        except StreamEOF:
            # To who is reading, libp2p tells a reset and a mere half-close alike.
            if not stream.muxed_stream.reset_received:
                return  # it has closed its own direction and waits
        raise OSError("the asker gave up, or sent more than its question")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        answer = await answering
        nursery.cancel_scope.cancel()
    return answer


async def _end(stream: Any) -> None:
    with trio.move_on_after(1) as scope:
        scope.shield = True
        await stream.reset()

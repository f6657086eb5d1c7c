"""GossipSub 1.1 on libp2p 0.8.1, with what loses messages or kills the node taken out.

Knows topics, authors and bytes; what a message means is the validators' affair. Each
override names the trap it is for; `docs/libp2p.md` has the list with their tests.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import trio
from google.protobuf.message import DecodeError
from libp2p.exceptions import ParseError
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue

from gossip_price.adapters.libp2p import records  # noqa: F401  # its patches
from gossip_price.adapters.libp2p.counters import Counters
from gossip_price.core.limits import MESSAGE_BYTES_MAX

import libp2p.pubsub.pubsub as _pubsub  # isort: skip

log = logging.getLogger(__name__)

#: Messages and bytes that wait for one peer. As shipped 32: a burst of 300 delivered 32.
QUEUE_MESSAGES: Final = 1024
QUEUE_BYTES: Final = 32 * 1024 * 1024
#: A frame holds one message and its record, or control for some thousand ids.
FRAME_BYTES_MAX: Final = MESSAGE_BYTES_MAX + 64 * 1024
READ_BYTES: Final = 64 * 1024


class BoundedQueue(RpcQueue):  # type: ignore[misc]  # libp2p is untyped to us
    """What waits for one peer: many small messages, few large ones."""

    def __init__(self) -> None:
        super().__init__(max_size=QUEUE_MESSAGES)
        self._bytes = 0

    def push(self, rpc: Any, priority: bool = False) -> bool:
        """Add, unless full; control passes a queue that is full of bytes."""
        size = rpc.ByteSize()
        if not priority and self._bytes + size > QUEUE_BYTES:
            return False
        taken: bool = super().push(rpc, priority)
        self._bytes += size if taken else 0
        return taken

    async def pop(self) -> Any:
        """Wait for the next; None once closed."""
        rpc = await super().pop()
        if rpc is not None:
            self._bytes -= rpc.ByteSize()
        return rpc


_pubsub.RpcQueue = BoundedQueue


class _Buffered:
    """A stream that is read in large pieces: the length prefix is asked for byte by byte."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._buffer = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, count: int | None = None) -> bytes:
        if not self._buffer:
            self._buffer += await self._stream.read(READ_BYTES)
        if count is None or count < 0:
            count = len(self._buffer)
        piece = bytes(self._buffer[:count])
        del self._buffer[:count]
        return piece


class Router(GossipSub):  # type: ignore[misc]  # libp2p is untyped to us
    """The mesh: our own messages go to every subscriber at once, others' along the mesh."""

    def __init__(self, connections_max: int) -> None:
        super().__init__(
            # 1.2, the default, lost 20-35 % at 55 messages a second.
            protocols=["/meshsub/1.1.0", "/meshsub/1.0.0"],
            degree=6,
            degree_low=4,
            # Above a hub's peer count: pruned leaves heard nothing for 70 s.
            degree_high=connections_max,
            heartbeat_interval=1,
            gossip_window=3,
            gossip_history=6,
            prune_back_off=15,
            # These three stretch the heartbeat to 30 s and drop honest bursts.
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
            # Kept for whoever is connected and not subscribed: the bootstrap, for ever.
            max_pending_messages_per_peer=8,
            pending_messages_ttl=5.0,
        )
        # Only the adaptive mode would empty it.
        self.recent_message_deliveries: dict[str, collections.deque[float]] = (
            collections.defaultdict(lambda: collections.deque(maxlen=1))
        )

    def _check_equivocation(self, _message: Any) -> bool:
        # It keeps up to 1000 whole messages; ids in our messages are signed by content.
        return True

    def _get_peers_to_send(
        self, topics: Any, msg_forwarder: Any, origin: Any, msg_id: Any = None
    ) -> Any:
        if origin == self.pubsub.my_id:
            return {peer for topic in topics for peer in self.pubsub.peer_topics.get(topic, ())} - {
                origin
            }
        return super()._get_peers_to_send(topics, msg_forwarder, origin, msg_id)

    async def heartbeat(self) -> None:
        """Keep the mesh; an exception in it would end the node."""
        while True:
            try:
                await super().heartbeat()
            except Exception:  # supervising edge: logged, and goes on
                log.exception("gossip_heartbeat_failed")
            await trio.sleep(self.heartbeat_interval)

    async def on_peer_subscribed(self, peer_id: Any, topic: str) -> None:
        """Graft a new subscriber; an exception in it would end the node."""
        try:
            await super().on_peer_subscribed(peer_id, topic)
        except Exception:  # supervising edge: logged; the heartbeat grafts too
            log.exception("graft_failed", extra={"peer": str(peer_id)})


@dataclass(frozen=True)
class Topic:
    """What is done with a topic's messages, on the trio thread: (author, bytes)."""

    admit: Callable[[str, bytes], bool]
    deliver: Callable[[str, bytes], None]


class Gossip(Pubsub):  # type: ignore[misc]  # libp2p is untyped to us
    """Signed messages by topic, delivered with the author whose signature they carry."""

    def __init__(
        self,
        host: Any,
        router: Router,
        topics: Mapping[str, Topic],
        counters: Counters,
        offended: Callable[[str], None],
    ) -> None:
        super().__init__(
            host,
            router,
            strict_signing=True,
            allowed_topics=set(topics),
            max_inbound_rpc_size=FRAME_BYTES_MAX,
        )
        # As shipped it starts at whole seconds: after a quick restart peers had seen our
        # numbers already, and 0 of 30 messages arrived.
        self.counter = time.time_ns()
        self._topics = topics
        self._counters = counters
        self._offended = offended
        self._writing = 0
        self._locks: WeakKeyDictionary[Any, trio.Lock] = WeakKeyDictionary()
        for topic in topics:
            # Synchronous: with an asynchronous one duplicates are delivered.
            self.set_topic_validator(topic, self._validate, False)

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be written to anybody."""
        return self._writing == 0 and not any(len(queue) for queue in self.peer_queues.values())

    def _validate(self, forwarder: Any, message: Any) -> bool:
        if forwarder == self.my_id:
            return True
        try:
            # [reject] more than one topic, or one that is not ours
            if len(message.topicIDs) != 1 or message.topicIDs[0] not in self._topics:
                return False
            # [reject] ours, back from somebody, or larger than anybody may send
            author = ID(message.from_id)
            if author == self.my_id or len(message.data) > MESSAGE_BYTES_MAX:
                return False
            return bool(self._topics[message.topicIDs[0]].admit(str(author), message.data))
        except Exception:  # supervising edge: raised here it would end the node
            log.exception("validator_failed", extra={"peer": str(forwarder)})
            self._counters.validator_errors += 1
            return False

    def notify_subscriptions(self, message: Any) -> None:
        """Deliver at once, past libp2p's subscription channel of 32."""
        author = ID(message.from_id)
        if author != self.my_id:
            self._topics[message.topicIDs[0]].deliver(str(author), message.data)

    async def push_msg(self, msg_forwarder: Any, msg: Any) -> None:
        """Take a message; a bad key or an empty author would end the node.

        Nobody is blamed: who forwarded it need not have made it.
        """
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception as error:
            if msg_forwarder == self.my_id:
                raise
            self._counters.malformed += 1
            told = {"peer": str(msg_forwarder), "reason": repr(error)}
            log.info("message_malformed", extra=told)

    async def continuously_read_stream(self, stream: Any) -> None:
        """Read a peer's frames; bytes that are no protobuf would end the node."""
        try:
            await super().continuously_read_stream(_Buffered(stream))
        except ParseError:
            raise  # libp2p's own, which its caller expects
        except Exception as error:
            peer = stream.muxed_conn.peer_id
            self._counters.malformed += 1
            log.info("frame_malformed", extra={"peer": str(peer), "reason": repr(error)})
            if isinstance(error, DecodeError):  # its own bytes, on its own connection
                self._offended(str(peer))
            raise ParseError(str(error)) from error

    async def write_msg(self, stream: Any, rpc_msg: Any) -> bool:
        """Write one frame; one at a time, or large ones run into each other."""
        self._writing += 1
        try:
            async with self._locks.setdefault(stream, trio.Lock()):
                written: bool = await super().write_msg(stream, rpc_msg)
                return written
        finally:
            self._writing -= 1

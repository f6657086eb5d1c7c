"""What happens now, kept for those who look: the newest rounds, and a ring of events."""

from gossip_price.adapters.live.board import LiveBoard
from gossip_price.adapters.live.events import EventRing, Listener, TooManyListenersError
from gossip_price.adapters.live.presence_watch import PresenceWatch
from gossip_price.adapters.live.rounds import ROUNDS_MAX, RoundBook

__all__ = [
    "ROUNDS_MAX",
    "EventRing",
    "Listener",
    "LiveBoard",
    "PresenceWatch",
    "RoundBook",
    "TooManyListenersError",
]

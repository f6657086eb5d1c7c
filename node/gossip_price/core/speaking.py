"""What leaves by gossip: our own words once they are signed, and entries that were passed on.

Votes are no words: they bind us, and have been written to the journal (`voting`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gossip_price.core import events as ev
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.outbox import Outbox
from gossip_price.core.types import Entry
from gossip_price.core.wire import Heartbeat, Receipt, encode


class Speaking:
    """Heartbeats and receipts that wait for our signature, on their way to the outbox."""

    def __init__(self, outbox: Outbox, effects: StepEffects) -> None:
        self._outbox = outbox
        self._effects = effects
        self._unsigned: dict[bytes, Heartbeat | Receipt] = {}

    def say(self, word: Heartbeat | Receipt, separator: bytes) -> None:
        """Let this be signed, under the network's domain separator, and sent."""
        digest = word.compute_digest(separator)
        self._unsigned[digest] = word
        self._effects.append(ev.Sign(digest))

    def process_signed(self, event: ev.Signed, mono_ms: int) -> bool:
        """Send the word that was signed; tell whether it is one."""
        word = self._unsigned.pop(event.digest, None)
        if word is None:
            return False
        signed = msgspec.structs.replace(word, signature=event.signature)
        if isinstance(signed, Heartbeat):
            self._outbox.add_heartbeat(signed, mono_ms)
        else:
            self._outbox.add_receipt(signed, mono_ms)
        return True

    def forget_unsigned(self) -> None:
        """The journal fails, so that nothing is signed: words are made anew afterwards."""
        self._unsigned.clear()

    def publish(self, get_entry: Callable[[bytes], Entry | None], mono_ms: int) -> None:
        """Send what waits."""
        for envelope in self._outbox.drain(get_entry):
            self._outbox.count_message(mono_ms)
            self._effects.append(ev.Publish(encode(envelope)))
            self._effects.note(NoteKind.PUBLISHED, count=len(envelope.entries))

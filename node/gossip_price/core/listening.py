"""What comes by gossip: a message is taken apart, and each part judged before it is heard."""

from __future__ import annotations

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.asking import Asking
from gossip_price.core.calendar import Calendar
from gossip_price.core.checks import ACCEPT, Action, Verdict, check_heartbeat, check_receipt
from gossip_price.core.doorkeeper import Doorkeeper
from gossip_price.core.merging import Merging
from gossip_price.core.outbox import Outbox
from gossip_price.core.presence import Presence
from gossip_price.core.storing import Storing
from gossip_price.core.types import Now
from gossip_price.core.wire import WireError, decode


class Listening:
    """Hands entries, heartbeats and receipts to those whom they concern."""

    def __init__(
        self,
        *,
        calendar: Calendar,
        presence: Presence,
        outbox: Outbox,
        doorkeeper: Doorkeeper,
        asking: Asking,
        merging: Merging,
        storing: Storing,
        agenda: Agenda,
    ) -> None:
        self._calendar = calendar
        self._presence = presence
        self._outbox = outbox
        self._doorkeeper = doorkeeper
        self._asking = asking
        self._merging = merging
        self._storing = storing
        self._agenda = agenda

    def process_message(self, event: ev.Received, now: Now) -> None:
        """Take what is in a message, up to the first part that is rejected."""
        self._outbox.count_message(now.mono_ms)
        chain = self._calendar.chain
        speaker = chain.find_peer_address(event.author, now.wall_ms // 1000)
        if speaker is not None:
            self._presence.count_message(speaker)
        try:
            envelope = decode(event.data)
        except WireError as error:
            action = Action.IGNORE if error.reason == "version" else Action.REJECT
            self._doorkeeper.process_verdict(Verdict(action, error.reason), event.author)
            return
        for entry in envelope.entries:
            verdict = self._doorkeeper.process_entry(entry, now)
            if verdict is not ACCEPT and not self._doorkeeper.process_verdict(
                verdict, event.author, entry.report
            ):
                return
        for heartbeat in envelope.heartbeats:
            document = chain.find(heartbeat.epoch)
            verdict = check_heartbeat(heartbeat, document, chain, event.author, now)
            if verdict is ACCEPT and document is not None:
                if self._presence.process_heartbeat(heartbeat, document, now):
                    self._asking.process_heartbeat(heartbeat, event.author, now)
                    self._merging.process_heartbeat(heartbeat, now)
            elif not self._doorkeeper.process_verdict(verdict, event.author):
                return
        for receipt in envelope.receipts:
            verdict = check_receipt(receipt, chain, event.author, now)
            if verdict is ACCEPT:
                self._agenda.look_again()
                self._storing.process_receipt(receipt, now)
            elif not self._doorkeeper.process_verdict(verdict, event.author):
                return

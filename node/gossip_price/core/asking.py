"""Asking peers for what we lack: what their heartbeats name (heal), and their trees (catch up).

`healing` and `catchup` decide whom to ask for what; here the questions leave, and what comes back
goes through the door like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from gossip_price.core import events as ev
from gossip_price.core.agenda import Agenda
from gossip_price.core.calendar import Calendar
from gossip_price.core.catchup import Catchup, End
from gossip_price.core.checks import ACCEPT, Action, Verdict
from gossip_price.core.doorkeeper import Doorkeeper
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.healing import Healing
from gossip_price.core.limits import ASK_DEADLINE_MS, HEAL_PATIENCE_MS, HEAL_SPREAD
from gossip_price.core.outbox import Outbox
from gossip_price.core.presence import compute_heartbeat_interval_ms
from gossip_price.core.questions import (
    Question,
    Want,
    WantNodes,
    decode_answer,
    decode_nodes,
    encode_question,
)
from gossip_price.core.quorum import read_signers
from gossip_price.core.reports import Reports
from gossip_price.core.rounds import compute_jitter_ms
from gossip_price.core.types import Now
from gossip_price.core.wire import Heartbeat, WireError, decode_open
from gossip_price.network.document import DAY_S


class Asking:
    """Our questions to peers, one at a time each. `me` is our address."""

    def __init__(
        self,
        *,
        me: bytes,
        calendar: Calendar,
        reports: Reports,
        healing: Healing,
        doorkeeper: Doorkeeper,
        outbox: Outbox,
        effects: StepEffects,
        agenda: Agenda,
    ) -> None:
        self._me = me
        self._calendar = calendar
        self._reports = reports
        self._healing = healing
        self._catchup = Catchup(me)
        self._doorkeeper = doorkeeper
        self._outbox = outbox
        self._effects = effects
        self._agenda = agenda

    def forget_all_but(self, peers: frozenset[str]) -> None:
        """Drop who is on no roster any more and owes us no answer."""
        self._healing.forget_all_but(peers)
        self._catchup.forget_all_but(peers)

    def list_deadlines_ms(self) -> tuple[int | None, int | None]:
        """Return when there is somebody to ask: to heal, and to catch up."""
        return self._healing.get_deadline_ms(), self._catchup.get_deadline_ms()

    # --- what others have ---------------------------------------------------------------------

    def process_heartbeat(self, heartbeat: Heartbeat, author: str, now: Now) -> None:
        """Somebody names what it has: note what we lack."""
        claims = self._reports.pick_missing(decode_open(heartbeat.open))
        if claims or self._healing.has_claims(author):
            self._process_claims(claims, heartbeat.sequence, author, now)
        self._reports.close_rounds(now)
        forest = self._reports.forest
        if self._catchup.process_roots(author, heartbeat.roots, forest, now.mono_ms):
            self._agenda.look_again()

    def _process_claims(
        self, claims: Mapping[bytes, int], sequence: int, author: str, now: Now
    ) -> None:
        """Note what we lack of what somebody has open, to be asked for if gossip is no quicker.

        Gossip that is on its way to us may have waited for company twice.
        """
        self._agenda.look_again()
        interval_ms = compute_heartbeat_interval_ms(len(self._calendar.get_current(now).members))
        patience_ms = HEAL_PATIENCE_MS + 2 * self._outbox.compute_linger_ms(now.mono_ms)
        patience_ms += compute_jitter_ms(self._me, sequence, int(interval_ms * HEAL_SPREAD))
        self._healing.process_claims(author, claims, now.mono_ms + patience_ms)

    # --- asking -------------------------------------------------------------------------------

    def ask(self, now: Now) -> None:
        """Ask for what we still lack of what heartbeats named, then for what our trees lack."""
        while wanted := self._healing.take_question(
            self._reports.find_missing, now.mono_ms, self._catchup.is_asking
        ):
            peer, ids = wanted
            self._send(peer, Want(ids), len(ids))
        while taken := self._catchup.take_question(
            self._reports.forest, self._reports.find_missing, self._is_healing_with, now.mono_ms
        ):
            if isinstance(taken, End):
                self._note_end(taken)
                continue
            peer, question = taken
            count = len(question.ids if isinstance(question, Want) else question.nodes)
            self._send(peer, question, count)

    def _send(self, peer: str, question: Question, count: int) -> None:
        self._effects.append(ev.Ask(peer, encode_question(question), ASK_DEADLINE_MS))
        self._effects.note(NoteKind.ASKED, count=count, author=peer)

    def _is_healing_with(self, peer: str) -> bool:
        return bool(self._healing.get_question(peer))

    def _note_end(self, end: End | None) -> None:
        if end is not None and end.gained:
            self._effects.note(
                NoteKind.CAUGHT_UP, round=end.day * DAY_S, count=end.gained, author=end.peer
            )

    # --- what they answer ---------------------------------------------------------------------

    def process_answer(self, event: ev.Answered, now: Now) -> None:
        """Take what we asked for as if it had come by gossip, and hold it against who gave it.

        An honest node has checked what it gives: there is nobody else to blame.
        """
        walked = self._catchup.get_question(event.peer)
        wanted = self._healing.get_question(event.peer)
        if isinstance(walked, WantNodes):
            self._process_nodes(event, now)
        elif walked is not None:
            self._process_entries(event, frozenset(walked.ids), now)
        elif wanted:  # else it was asked by an earlier life
            self._process_entries(event, wanted, now)

    def _process_nodes(self, event: ev.Answered, now: Now) -> None:
        try:
            nodes = decode_nodes(event.data).nodes
        except WireError as error:
            reason = error.reason
        else:
            reason = self._catchup.process_nodes(
                event.peer, nodes, self._reports.forest, self._reports.find_missing, now.mono_ms
            )
        if reason:
            self._doorkeeper.reject(reason, event.peer)
            self._fail_question(event.peer, now, is_its_own=True)

    def _process_entries(self, event: ev.Answered, wanted: frozenset[bytes], now: Now) -> None:
        walked = self._catchup.get_question(event.peer) is not None
        given: dict[bytes, int] = {}
        gained = 0
        try:
            gift = decode_answer(event.data)
        except WireError as error:
            self._doorkeeper.reject(error.reason, event.peer)
            self._fail_question(event.peer, now, is_its_own=True)
            return
        for entry in gift.entries:
            id_ = entry.report.compute_id(self._calendar.chain.separator)
            bits = read_signers(entry).bits
            is_news = bool(self._reports.find_missing(id_, bits))
            is_new = id_ not in self._reports and not self._reports.forest.get_bits(id_)
            # [reject] what we did not ask for, or the same again
            if id_ not in wanted or id_ in given:
                verdict = Verdict(Action.REJECT, "unasked")
            else:
                verdict = self._doorkeeper.process_entry(entry, now)
            if not self._doorkeeper.process_verdict(verdict, event.peer, entry.report):
                break
            given[id_] = bits
            tally = self._reports.get(id_)
            if verdict is not ACCEPT or not is_news:
                continue
            gained += 1
            if not walked and tally is not None:
                self._effects.note_tally(NoteKind.HEALED, tally, author=event.peer)
            elif is_new and tally is not None and entry.report.round < self._reports.forest.cut:
                tally.is_caught_up = True
        if walked:
            self._note_end(self._catchup.process_entries(event.peer, gained, now.mono_ms))
        else:
            self._healing.process_answer(event.peer, given, now.mono_ms)

    def process_failed(self, event: ev.AskFailed, now: Now) -> None:
        """A peer that we asked has given no answer."""
        if not self._is_healing_with(event.peer) and not self._catchup.get_question(event.peer):
            return
        self._effects.note(NoteKind.UNANSWERED, reason=event.reason, author=event.peer)
        # Whom we have no connection to is no worse for it.
        self._fail_question(event.peer, now, is_its_own=event.reason != "unconnected")
        if event.reason == "too_large":
            self._effects.append(ev.Penalize(event.peer, event.reason))

    def _fail_question(self, peer: str, now: Now, *, is_its_own: bool) -> None:
        """Leave off asking a peer that gave no answer or a lie."""
        if self._is_healing_with(peer):
            self._healing.process_failure(peer, now.mono_ms, is_its_own=is_its_own)
        else:
            self._note_end(self._catchup.process_failure(peer, now.mono_ms, is_its_own=is_its_own))

"""Answering peers' questions: entries and nodes of our trees, as much as there is and as fits.

What only the journal holds is recalled first. Nothing that a question says is believed.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip_price.core import events as ev
from gossip_price.core.checks import Action, Verdict
from gossip_price.core.doorkeeper import Doorkeeper
from gossip_price.core.effects import StepEffects
from gossip_price.core.events import NoteKind
from gossip_price.core.healing import Healing
from gossip_price.core.questions import WantNodes, decode_question, encode_answer, encode_nodes
from gossip_price.core.recalls import Recalls, Reply
from gossip_price.core.reports import Reports
from gossip_price.core.types import Entry, Now
from gossip_price.core.wire import WireError


class Answering:
    """Gives what we have. Who asks is proven by the connection."""

    def __init__(
        self,
        *,
        reports: Reports,
        healing: Healing,
        doorkeeper: Doorkeeper,
        recalls: Recalls,
        effects: StepEffects,
    ) -> None:
        self._reports = reports
        self._healing = healing
        self._doorkeeper = doorkeeper
        self._recalls = recalls
        self._effects = effects

    def process_question(self, event: ev.Asked, now: Now) -> None:
        """Give what we have of what a peer asks for, or refuse it with no bytes at all."""
        try:
            question = decode_question(event.data)
        except WireError as error:
            self._doorkeeper.reject(error.reason, event.peer)
            self._effects.append(ev.Answer(event.token, b""))
            return
        if not self._healing.may_answer(event.peer, now.mono_ms):
            verdict = Verdict(Action.IGNORE, "too_many_questions")
            self._doorkeeper.process_verdict(verdict, event.peer)
            self._effects.append(ev.Answer(event.token, b""))
        elif isinstance(question, WantNodes):
            self._answer_nodes(event, question)
        else:
            reply = Reply(event.token, event.peer, question.ids)
            older = tuple(id_ for id_ in reply.ids if self._reports.is_in_journal_alone(id_))
            if older:
                self._recalls.begin(older, reply)
            else:
                self.answer(reply, ())

    def _answer_nodes(self, event: ev.Asked, question: WantNodes) -> None:
        tree = self._reports.forest.get_tree(question.day)
        nodes = [tree.find_node(*node) if tree else b"" for node in question.nodes]
        self._effects.note(NoteKind.ANSWERED, count=len(nodes), author=event.peer)
        self._effects.append(ev.Answer(event.token, encode_nodes(nodes)))

    def answer(self, reply: Reply, records: Iterable[ev.ProvenRecord]) -> None:
        """Give the entries of a question; `records` are those that the journal has given back."""
        recalled = {record.id: record for record in records}
        entries: list[Entry] = []
        for id_ in reply.ids:
            tally = self._reports.get(id_)
            if tally is not None and tally.is_open:
                entries.append(tally.to_entry())
            elif id_ in recalled:
                entries.append(recalled[id_].entry)
        self._effects.append(ev.Answer(reply.token, encode_answer(entries)))
        self._effects.note(NoteKind.ANSWERED, count=len(entries), author=reply.peer)

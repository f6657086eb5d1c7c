"""Apply a network's objects: what must be, over what is ours, and never in a loop.

Knows what to do with one rendered object and what is there of it; nothing of which are rendered.
What the server refuses, who else has the name and who undoes it, is told as a Trouble.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gossip_price_operator import kube as k
from gossip_price_operator.applied import (
    APPLIED_HASH,
    add_applied_hash,
    compute_shape,
    is_ours,
    must_apply,
)
from gossip_price_operator.contests import Contest, find_rival, note_apply, say_contest
from gossip_price_operator.drift import holds
from gossip_price_operator.gather import Gathered
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.kube import ConflictError, Kind, Kube, RefusedError
from gossip_price_operator.observed import Trouble

Key = tuple[Kind, str]


@dataclass
class Memory:
    """What one network's worker keeps between looks; losing it costs some needless writes.

    `shapes`: how the server showed what it does not show as we applied it, right after our apply.
    `refused`: what it would not take, by the hash of what we sent and the version of what was
    there. `contests`: what was applied of late, and how often.
    """

    shapes: dict[Key, str] = field(default_factory=dict)
    refused: dict[Key, tuple[str, str, str]] = field(default_factory=dict)
    contests: dict[Key, Contest] = field(default_factory=dict)


class Applier:
    """Applies in one look at one network. `pinned` is only replaced as it was read.

    `is_first`: there is nothing yet that somebody could undo.
    """

    def __init__(
        self,
        kube: Kube,
        gathered: Gathered,
        memory: Memory,
        troubles: list[Trouble],
        *,
        pinned: Key,
        is_first: bool,
    ) -> None:
        self._kube = kube
        self._gathered = gathered
        self._memory = memory
        self._troubles = troubles
        self._pinned = pinned
        self._is_first = is_first

    async def apply(self, key: Key, rendered: Manifest) -> None:
        """Apply an object if it is not as rendered. Raises KubeError."""
        wanted = add_applied_hash(rendered)
        live = self._gathered.get(*key)
        if not must_apply(wanted, live, self._memory.shapes.get(key)):
            self._may_apply(key, wanted)
            return
        if live is not None and not is_ours(live):
            self._troubles.append(_tell_foreign(key))
            return
        if not self._may_apply(key, wanted):
            return
        shown = await self._send(key, self._pin(key, wanted, live), live)
        if shown is None:
            return
        if not self._is_first:
            applied = wanted["metadata"]["annotations"][APPLIED_HASH]
            self._memory.contests[key] = note_apply(
                self._memory.contests.get(key), applied, find_rival(live), _get_time()
            )
        if holds(shown, wanted):
            self._memory.shapes.pop(key, None)
        else:
            self._memory.shapes[key] = compute_shape(wanted, shown)
        self._gathered.put(shown)

    def leave(self, key: Key, rendered: Manifest) -> None:
        """Do not apply an object in this look, but tell of who undoes it."""
        if key in self._memory.contests:
            self._may_apply(key, add_applied_hash(rendered))

    def _may_apply(self, key: Key, wanted: Manifest) -> bool:
        """Tell whether it is time to apply what somebody may have undone, and of who does."""
        contests, now_s = self._memory.contests, _get_time()
        known = contests.get(key)
        if known is None:
            return True
        is_other = known.applied != wanted["metadata"]["annotations"][APPLIED_HASH]
        if is_other or now_s >= known.calm_s:
            del contests[key]
            return True
        if known.is_contested:
            self._troubles.append(Trouble("Contested", say_contest(_say(key), known)))
        return now_s >= known.next_s

    def _pin(self, key: Key, wanted: Manifest, live: Manifest | None) -> Manifest:
        """Return what to send: where it must not hit another object, with what was read."""
        pins = {}
        if key[0] == k.SECRET:
            # Labels and owner alone: with the uid an apply cannot make an empty Secret anew.
            if live is None:
                raise ConflictError(f"apply Secret {key[1]}", 409, "it went while we looked")
            pins["uid"] = live["metadata"]["uid"]
        if key == self._pinned and live is not None:
            # Nobody goes back: what was read is what is replaced.
            pins["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {**wanted, "metadata": {**wanted["metadata"], **pins}}

    async def _send(self, key: Key, manifest: Manifest, live: Manifest | None) -> Manifest | None:
        """Return the object as the server shows it; None where it refuses, now or already."""
        version = "" if live is None else live["metadata"]["resourceVersion"]
        attempt = (str(sorted(manifest["metadata"]["annotations"].items())), version)
        known = self._memory.refused.get(key)
        if known is not None and known[:2] == attempt:
            self._troubles.append(Trouble("Refused", known[2]))
            return None
        try:
            shown = await self._kube.apply(manifest)
        except RefusedError as error:
            said = (
                f"{_say(key)} was refused by the API server: {error.message}; remedy: take back"
                " the change that needs it, or delete the object to have it made anew"
            )
            self._memory.refused[key] = (*attempt, said)
            self._troubles.append(Trouble("Refused", said))
            return None
        self._memory.refused.pop(key, None)
        return shown


def _say(key: Key) -> str:
    return f"{key[0].kind} {key[1]}"


def _tell_foreign(key: Key) -> Trouble:
    return Trouble(
        "NameTaken",
        f"{_say(key)} is there and was not made by this operator; remedy: delete or rename it,"
        " or give the PriceNetwork another name",
    )


def _get_time() -> float:
    return asyncio.get_running_loop().time()

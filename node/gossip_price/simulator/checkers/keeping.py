"""3. Nothing proven at an honest node that lives on, or returns with its disk, is lost.

Whatever became of the table: once the database has answered long enough, every such price stands
there truly, exactly once, and what was false stands in quarantine. Nobody puts a true row there.
"""

from __future__ import annotations

from gossip_price.simulator.checkers.checker import Checker, Setting
from gossip_price.simulator.facts import Claim, Moment, Row, Signed, Told


class KeepingChecker(Checker):
    """Holds each node to what it called proven, until it stands in the table, and truly."""

    name = "keeping"
    hears_of = frozenset({"journal_failed", "journal_recovered", "proven"})

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._stored: set[bytes] = set()
        #: Ids under which somebody's false row stands; foreign ones name an unknown epoch.
        self._false: set[bytes] = set()
        self._foreign: set[bytes] = set()
        #: (pair, round) → the row that stands there, and whether others may beside it.
        self._rounds: dict[tuple[str, int], tuple[bytes, bool]] = {}
        #: By node: what it called proven, and whether its disk took records then.
        self._proven: dict[int, dict[bytes, tuple[str, int, bool]]] = {}
        #: Of what was called proven, the epoch.
        self._epochs: dict[bytes, bytes] = {}
        self._failing: set[int] = set()
        self._here: set[int] = set()
        self._is_calm = False

    def calmed(self, at: Moment) -> None:
        # What is proven later is still on its way when the history ends.
        self._is_calm = True

    def began(self, at: Moment, node: int, *, lost_volume: bool) -> None:
        self._here.add(node)
        kept = {} if lost_volume else self._proven.get(node, {})
        # What a full disk did not take, the process's end has lost.
        self._proven[node] = {id_: told for id_, told in kept.items() if told[2]}
        self._failing.discard(node)

    def ended(self, at: Moment, node: int) -> None:
        self._here.discard(node)

    def kept(self, at: Moment, node: int, id_: bytes, claim: Claim, signatures: Signed) -> None:
        self._epochs[id_] = claim.epoch

    def told(self, at: Moment, node: int, told: Told) -> None:
        if told.kind == "journal_failed":
            self._failing.add(node)
        elif told.kind == "journal_recovered":
            self._failing.discard(node)
            self._proven[node] = {
                id_: (pair, round_, True) for id_, (pair, round_, _) in self._proven[node].items()
            }
        elif told.kind == "proven" and not self._is_calm:
            on_disk = node not in self._failing
            self._proven[node][told.id] = (told.pair, told.round, on_disk)

    def inserted(self, at: Moment, node: int, rows: tuple[Row, ...]) -> None:
        for row in rows:
            claim = row.claim
            law = self.law_by_epoch.get(claim.epoch)
            if row.id in self._stored:
                self.blame(at, node, f"stored {row.id.hex()[:8]} twice")
            if row.id in self._false:
                self.blame(at, node, f"stored {row.id.hex()[:8]} where a false row stands")
            self._stored.add(row.id)
            if law is None or self.is_left(law, claim.round):
                continue
            first, may_share = self._rounds.setdefault(
                (claim.pair, claim.round), (row.id, law.every_node)
            )
            if first != row.id and not (may_share and law.every_node):
                self.blame(
                    at, node, f"stored {row.id.hex()[:8]} beside {first.hex()[:8]}",
                    pair=claim.pair, round_=claim.round,
                )  # fmt: skip

    def removed(self, at: Moment, ids: tuple[bytes, ...]) -> None:
        self._stored.difference_update(ids)

    def restored(self, at: Moment, true: tuple[bytes, ...], false: tuple[bytes, ...]) -> None:
        self._stored = set(true)
        self._false = set(false)

    def falsified(self, at: Moment, id_: bytes, *, is_foreign: bool) -> None:
        self._stored.discard(id_)
        self._false.add(id_)
        if is_foreign:
            self._foreign.add(id_)

    def corrected(
        self, at: Moment, node: int, moved: tuple[bytes, ...], put: tuple[bytes, ...]
    ) -> None:
        for id_ in moved:
            if id_ in self._stored:
                self.blame(at, node, f"put the true row {id_.hex()[:8]} into quarantine")
            if id_ in self._proven.get(node, {}) and id_ not in put:
                self.blame(at, node, f"left the place of {id_.hex()[:8]} empty")
            if id_ in self._foreign:
                self.blame(at, node, f"judged {id_.hex()[:8]}, of an epoch that it does not know")
            self._stored.discard(id_)
            self._false.discard(id_)

    def is_content(self) -> bool:
        return not self._find_missing() and not self._find_false()

    def close(self, at: Moment) -> None:
        for id_, (node, pair, round_) in self._find_missing().items():
            self.blame(
                at, node, f"{id_.hex()[:8]} was proven there and is not stored", pair=pair,
                round_=round_,
            )  # fmt: skip

        for id_ in sorted(self._find_false()):
            self.blame(at, -1, f"a false row still stands under {id_.hex()[:8]}")

    def _find_false(self) -> set[bytes]:
        """Return the false rows that an honest member should have found; there must be one."""
        return self._false - self._foreign if self._here - self.liars else set()

    def _find_missing(self) -> dict[bytes, tuple[int, str, int]]:
        return {
            id_: (node, pair, round_)
            for node in sorted(self._here - self.liars)
            for id_, (pair, round_, _) in self._proven[node].items()
            if id_ not in self._stored and self._may_write(node, id_)
        }

    def _may_write(self, node: int, id_: bytes) -> bool:
        """A member of the report's epoch, or now: others listen, and nobody hears them."""
        address = self.setting.addresses[node]
        law = self.law_by_epoch.get(self._epochs.get(id_, b""))
        return address in self.laws[-1].addresses or (law is not None and address in law.addresses)

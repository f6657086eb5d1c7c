"""What somebody with the database's password does to single rows: squat, tamper, delete, invent.

Knows what honest nodes have proven, as a lying member does; signs for nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from gossip_price.core.proof import ClaimedRow
from gossip_price.core.types import StoredRow
from gossip_price.simulator.database import make_claim
from gossip_price.simulator.dice import Dice
from gossip_price.simulator.world import World

Change = Callable[[ClaimedRow], ClaimedRow]

#: Rounds of this age at most: the audit of the last hours finds them within an hour. What is older
#: is found within a day (tests/unit/test_machine_audit.py), which is longer than a bad day lasts.
_AGE_MAX_S: Final = 1_800


def _list_recent(world: World) -> list[bytes]:
    oldest = world.true_ms // 1000 - _AGE_MAX_S
    return sorted(id_ for id_, row in world.table.rows.items() if row.report.round >= oldest)


def _flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def _change_digit(claim: ClaimedRow) -> ClaimedRow:
    digits = claim.price or ""
    return replace(claim, price=("2" if digits[:1] == "1" else "1") + digits[1:])


def _spoil_signature(claim: ClaimedRow) -> ClaimedRow:
    signed = json.loads(claim.signatures or "[]")
    text = signed[0]["signature"]
    signed[0]["signature"] = text[:20] + ("0" if text[20] != "0" else "1") + text[21:]
    return replace(claim, signatures=json.dumps(signed))


def _leave_one_signer(claim: ClaimedRow) -> ClaimedRow:
    signed = json.loads(claim.signatures or "[]")
    return replace(claim, signatures=json.dumps(signed[:1]))


def _change_report(claim: ClaimedRow) -> ClaimedRow:
    """Another price in the signed bytes, and in the column too."""
    return _change_digit(replace(claim, report=_flip(claim.report or bytes(256), 4 * 32 - 1)))


#: What is changed in a stored row; each must be found out.
CHANGES: Final[tuple[Change, ...]] = (
    _change_digit,
    _spoil_signature,
    _leave_one_signer,
    _change_report,
    lambda claim: replace(claim, round=(claim.round or 0) + 60),
    lambda claim: replace(claim, round=0),
    lambda claim: replace(claim, pair="BTC-USD"),
    lambda claim: replace(claim, epoch="0x" + bytes(32).hex()),
    lambda claim: replace(claim, signatures="{}"),
    lambda claim: replace(claim, report=b""),
    lambda claim: replace(claim, decimals=2),
)


def squat(world: World, dice: Dice, count: int) -> None:
    """Take the places of prices that are proven and not stored yet."""
    waiting = {
        record.id: record
        for node in world.nodes
        for record in node.journal.proven.values()
        if record.id not in world.table
    }
    for id_ in dice.sample(sorted(waiting), count):
        report = waiting[id_].entry.report
        row = StoredRow(id_, report, (), 0, (), None, report.proposer)
        world.server.falsify(id_, dice.pick(CHANGES[3:])(replace(make_claim(row), signatures="[]")))


def tamper(world: World, dice: Dice, count: int) -> None:
    """Change stored rows."""
    for id_ in dice.sample(_list_recent(world), count):
        world.server.falsify(id_, dice.pick(CHANGES)(make_claim(world.table.rows[id_])))


def delete(world: World, dice: Dice, count: int) -> None:
    """Delete stored rows."""
    world.server.delete(tuple(dice.sample(_list_recent(world), count)))


def invent(world: World, dice: Dice, count: int) -> None:
    """Insert rows that nobody has proven; every other names an epoch that nobody knows."""
    for known in _list_recent(world)[:count]:
        report = world.table.rows[known].report
        if dice.chance(500):
            report = replace(report, epoch=bytes(32))
        id_ = bytes(dice.below(256) for _ in range(32))
        invented = StoredRow(
            id_, replace(report, price=report.price + 1), (), 0, (), None, bytes(20)
        )
        world.server.falsify(id_, make_claim(invented), is_foreign=report.epoch == bytes(32))


MEDDLERS: Final = {"squat": squat, "tamper": tamper, "delete": delete, "invent": invent}

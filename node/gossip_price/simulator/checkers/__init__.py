"""What must hold in every history, checked from outside: by wire, disk, table and own arithmetic.

One file a promise. Nothing here may import the core (an import contract holds it): a checker that
shared the core's code would share its mistakes.
"""

from __future__ import annotations

from gossip_price.simulator.checkers.agreement import AgreementChecker
from gossip_price.simulator.checkers.blame import BlameChecker
from gossip_price.simulator.checkers.bounds import BoundsChecker
from gossip_price.simulator.checkers.checker import Checker, Setting, Violation
from gossip_price.simulator.checkers.cost import CostChecker
from gossip_price.simulator.checkers.evidence import Evidence
from gossip_price.simulator.checkers.keeping import KeepingChecker
from gossip_price.simulator.checkers.late import LateChecker
from gossip_price.simulator.checkers.liveness import LivenessChecker
from gossip_price.simulator.checkers.proof import ProofChecker
from gossip_price.simulator.checkers.settling import SettlingChecker
from gossip_price.simulator.checkers.votes import VotesChecker

__all__ = ["Checker", "Evidence", "Setting", "Violation", "make_checkers"]


def make_checkers(setting: Setting) -> list[Checker]:
    """Return one of every checker."""
    makers: tuple[type[Checker], ...] = (
        ProofChecker,
        VotesChecker,
        KeepingChecker,
        LateChecker,
        SettlingChecker,
        LivenessChecker,
        CostChecker,
        BlameChecker,
        BoundsChecker,
        AgreementChecker,
    )
    return [maker(setting) for maker in makers]

"""What `plan` decides: frozen values, for reconcile to carry out and for `status` to tell. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gossip_price.network.document import NetworkFile


@dataclass(frozen=True)
class Wait:
    """Why something that is wanted is not done yet. `message` holds no time that runs.

    `is_stalled`: no waiting helps, a person must act.
    """

    reason: str
    message: str
    is_stalled: bool = False


@dataclass(frozen=True)
class Plan:
    """What to do now, in this order: write `file`, apply, remove; then look again.

    `file` is what the nodes should see; None where there can be none yet, and then nothing that
    mounts it is made. `keep` are the numbers of the nodes that are rendered at all, `apply` those
    whose Deployment is created or changed now; another Deployment in `keep` is left as it is.
    `remove` are Deployments to delete (never a Secret, never a volume). `waits`: what is not
    reached yet, and why. `recheck_s`: when it is time alone that changes the plan, seconds until
    then.
    """

    file: NetworkFile | None
    keep: tuple[int, ...] = ()
    apply: tuple[int, ...] = ()
    remove: tuple[int, ...] = ()
    waits: tuple[Wait, ...] = ()
    recheck_s: int | None = None

    @property
    def is_done(self) -> bool:
        """Nothing is left of what was wanted."""
        return not self.waits and not self.remove

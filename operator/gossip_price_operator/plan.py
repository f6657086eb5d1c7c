"""What to do now with a network that should become another: a function of what is seen. Pure.

Called again after every change that it asked for; so it holds no state, each answer is one safe
step, and an operator that died between two steps is no special case. Two orders are kept:

- Growing: the newcomer is admitted, its node made, waited for until it is ready, and only then a
  member of a new epoch. Shrinking: out of the epoch first; when that is in force and proven, and
  what was open has settled, the peer is no longer admitted and its node deleted.
- Rolling: nodes that are not ready are replaced first, all of them, because they are missed
  already; of the others one at a time, each only when everybody is ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gossip_price.network.document import Document, DocumentError, Member, NetworkFile, Peers
from gossip_price.network.epochs import EpochChain
from gossip_price.network.planner import plan_next
from gossip_price.network.spec import make_document, make_network_file
from gossip_price.network.spec_parts import NetworkSpec
from gossip_price_operator.conditions import format_time, say_nodes
from gossip_price_operator.inputs import Inputs
from gossip_price_operator.observed import JobState, Observed
from gossip_price_operator.planned import Plan, Wait

#: How soon to look again when nothing but a settlement or a proven round is waited for.
_SOON_S: Final = 5
#: A ConfigMap holds a MiB, names and labels included.
FILE_BYTES_MAX: Final = 1_000_000
#: Without a settlement for so many intervals there is no flow that a rollout could disturb.
_DRY_INTERVALS: Final = 3


@dataclass(frozen=True)
class Desired:
    """What is wanted: the inputs, and what was made of them.

    `templates` holds the template hash of every wanted node by its number, `bootstrap_addresses`
    those of our own bootstraps. `network_id` (32 random bytes) is taken where the network has no
    document yet. `supplied` is the file that `documentRef` names, None without one.
    """

    inputs: Inputs
    templates: Mapping[int, str]
    bootstrap_addresses: tuple[str, ...]
    network_id: bytes
    supplied: NetworkFile | None = None

    @property
    def spec(self) -> NetworkSpec:
        """The resource's spec."""
        return self.inputs.spec

    @property
    def numbers(self) -> range:
        """The wanted nodes."""
        return range(self.spec.nodes.count)


def make_plan(desired: Desired, observed: Observed, now: int) -> Plan:
    """Return the next step from what is `observed` to what is `desired`, at `now` (Unix s).

    The same arguments give the same plan.
    """
    if desired.spec.paused:
        wait = Wait("Paused", "spec.paused is true: nothing is touched; set it to false to go on")
        return Plan(observed.file, keep=tuple(sorted(observed.nodes)), waits=(wait,))
    if observed.troubles:
        waits = tuple(
            Wait(trouble.reason, trouble.message, is_stalled=True) for trouble in observed.troubles
        )
        return Plan(observed.file, keep=tuple(sorted(observed.nodes)), waits=waits)
    missing = [number for number in desired.numbers if number not in desired.inputs.nodes]
    if missing:
        wait = Wait("IdentitiesMissing", f"{say_nodes(missing)}: the identity is being made")
        return Plan(observed.file, keep=tuple(sorted(observed.nodes)), waits=(wait,))
    epochs = _plan_epochs(desired, observed, now)
    if epochs.file is None:
        return Plan(None, keep=tuple(sorted(observed.nodes)), waits=epochs.waits)
    removal = _plan_removal(desired, observed, epochs.file, now)
    file = replace_peers(epochs.file, _make_peers(desired, observed, epochs.file, removal.remove))
    rollout = _plan_rollout(desired, observed, file, now)
    keep = {*desired.numbers, *observed.nodes} - set(removal.remove)
    rechecks = [part.recheck_s for part in (epochs, removal, rollout) if part.recheck_s is not None]
    return Plan(
        file=file,
        keep=tuple(sorted(keep)),
        apply=rollout.apply,
        remove=removal.remove,
        waits=(*epochs.waits, *removal.waits, *rollout.waits),
        recheck_s=min(rechecks, default=None),
    )


def replace_peers(file: NetworkFile, peers: Peers) -> NetworkFile:
    """Return the file with other peers."""
    return msgspec.structs.replace(file, peers=peers)


def get_live_epochs(file: NetworkFile, now: int) -> tuple[Document, ...]:
    """Return the epoch in force and those that are yet to start: all whose quorum must hold."""
    in_force = EpochChain(file.epochs).get_in_force(now) or file.epochs[0]
    return tuple(document for document in file.epochs if document.epoch >= in_force.epoch)


# --- epochs ---------------------------------------------------------------------------------


def _plan_epochs(desired: Desired, observed: Observed, now: int) -> Plan:
    """Return the file with the next epoch, where there is one to be made, and what it waits for."""
    if desired.spec.document_ref is not None:
        return _take_supplied(desired, observed)
    spec, identities = desired.spec, desired.inputs.nodes
    wanted_members = [identities[number].member for number in desired.numbers]
    try:
        if observed.file is None:
            file = make_network_file(spec, wanted_members, network_id=desired.network_id, start=now)
            return Plan(file)
        return _plan_next(desired, observed, observed.file, wanted_members, now)
    except DocumentError as error:
        return Plan(observed.file, waits=(Wait("EpochImpossible", str(error), is_stalled=True),))


def _plan_next(
    desired: Desired, observed: Observed, file: NetworkFile, wanted: Sequence[Member], now: int
) -> Plan:
    newest = file.epochs[-1]
    present = {member.address for member in newest.members}
    newcomers = [
        number for number in desired.numbers if desired.inputs.nodes[number].address not in present
    ]
    late = [number for number in newcomers if not _is_up(observed, number)]
    waits: list[Wait] = []
    spec = desired.spec
    if late:
        waits.append(Wait("NewNodesNotReady", f"{say_nodes(late)}: made a member once ready"))
        # Other changes do not wait for newcomers. What the spec says of the threshold is said
        # for all the nodes that it wants, so for fewer it is derived.
        wanted = [member for member in wanted if member.address in present] or newest.members
        consensus = spec.consensus.model_copy(update={"minimum_signers": None})
        if newcomers:
            spec = spec.model_copy(update={"consensus": consensus})
    document = make_document(spec, wanted, network_id=_get_network_id(file), start=now)
    plan = plan_next(
        newest,
        document,
        is_proven=observed.proven_epoch >= newest.epoch,
        now_s=now,
        lead_s=desired.inputs.defaults.epoch_lead_s,
    )
    if plan.document is not None:
        made = plan.document
        longer = msgspec.structs.replace(file, epochs=(*file.epochs, made))
        if len(longer.encode()) > FILE_BYTES_MAX:
            waits.append(_tell_full(file))
            return Plan(file, waits=tuple(waits))
        waits.append(_wait_for_start(made))
        return Plan(longer, waits=tuple(waits), recheck_s=made.start - now)
    if now < newest.start:
        waits.append(_wait_for_start(newest))
        return Plan(file, waits=tuple(waits), recheck_s=newest.start - now)
    if plan.steps:
        waits.append(
            Wait(
                "EpochUnproven",
                f"{len(plan.steps)} more epochs are planned; the next one is made once a round was"
                f" proven in epoch {newest.epoch}",
            )
        )
        return Plan(file, waits=tuple(waits), recheck_s=_SOON_S)
    return Plan(file, waits=tuple(waits))


def _wait_for_start(document: Document) -> Wait:
    return Wait(
        "EpochStarting",
        f"epoch {document.epoch} with {len(document.members)} members, of whom"
        f" {document.minimum_signers} must sign, starts at {format_time(document.start)}",
    )


def _tell_full(file: NetworkFile) -> Wait:
    # Nodes take no file that lost an epoch they know: nobody goes back.
    return Wait(
        "RecordFull",
        f"{len(file.epochs)} epochs fill a ConfigMap, which holds {FILE_BYTES_MAX} bytes;"
        " remedy: go on in a PriceNetwork of another name; what is stored stays provable",
        is_stalled=True,
    )


def _get_network_id(file: NetworkFile) -> bytes:
    return EpochChain(file.epochs).network_id


def _take_supplied(desired: Desired, observed: Observed) -> Plan:
    """Return the supplied file, if it goes on from what the network has."""
    supplied, file = desired.supplied, observed.file
    reference = desired.spec.document_ref
    name = "" if reference is None else f"ConfigMap {reference.name}, key {reference.key}"
    if supplied is None:
        wait = Wait(
            "DocumentMissing", f"{name}: no network document; remedy: put it there", is_stalled=True
        )
        return Plan(file, waits=(wait,))
    if file is not None and not _continues(supplied, file):
        known = file.epochs[-1]
        wait = Wait(
            "DocumentDiffers",
            f"{name}: does not contain epoch {known.epoch} (0x{known.hash.hex()}) that this network"
            " has; remedy: supply a document that goes on from there, or delete the PriceNetwork"
            " and its kept ConfigMaps to begin another network",
            is_stalled=True,
        )
        return Plan(file, waits=(wait,))
    return Plan(supplied)


def _continues(supplied: NetworkFile, file: NetworkFile) -> bool:
    hashes = [document.hash for document in supplied.epochs]
    return all(document.hash in hashes for document in file.epochs)


def _make_peers(
    desired: Desired, observed: Observed, file: NetworkFile, removed: Sequence[int]
) -> Peers:
    """Return whom nodes may meet besides members: newcomers, and who is on the way out."""
    spec, identities = desired.spec, desired.inputs.nodes
    given = desired.supplied.peers if desired.supplied is not None else Peers()
    members = {member.peer_id for member in file.epochs[-1].members}
    ours = [
        identities[number].peer_id
        for number in sorted({*desired.numbers, *observed.nodes} - set(removed))
        if number in identities
    ]
    admitted = (*given.admitted, *spec.access.peers.admitted, *ours)
    return Peers(
        bootstrap=_unique(
            (*desired.bootstrap_addresses, *given.bootstrap, *spec.access.peers.bootstrap)
        ),
        admitted=_unique(peer for peer in admitted if peer not in members),
        listeners=_unique((*given.listeners, *spec.access.peers.listeners)),
    )


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


# --- scaling down ---------------------------------------------------------------------------


def _plan_removal(desired: Desired, observed: Observed, file: NetworkFile, now: int) -> Plan:
    """Return which of the nodes that nobody wants any more may go now."""
    newest = file.epochs[-1]
    live = get_live_epochs(file, now)
    waits: list[Wait] = []
    remove: list[int] = []
    recheck = None
    for number in sorted(set(observed.nodes) - set(desired.numbers)):
        identity = desired.inputs.nodes.get(number)
        address = None if identity is None else identity.address
        past = [document for document in file.epochs if _has(document, address)]
        if _has(newest, address):
            said = (
                "the supplied document lists it as a member"
                if desired.spec.document_ref is not None
                else f"it is a member until an epoch after {newest.epoch}"
            )
            waits.append(Wait("NodeStillMember", f"node {number} is kept: {said}"))
        elif any(_has(document, address) for document in live):
            waits.append(
                Wait(
                    "NodeLeaving",
                    f"node {number} is a member until {format_time(newest.start)}",
                )
            )
            recheck = newest.start - now
        elif past and not _is_drained(observed, file, past[-1], now):
            waits.append(
                Wait(
                    "NodeDraining",
                    f"node {number} is kept until a round was proven without it and what was open"
                    " before has settled",
                )
            )
            recheck = _SOON_S
        else:
            remove.append(number)
    return Plan(file, remove=tuple(remove), waits=tuple(waits), recheck_s=recheck)


def _has(document: Document, address: str | None) -> bool:
    return any(member.address == address for member in document.members)


def _is_drained(observed: Observed, file: NetworkFile, last: Document, now: int) -> bool:
    """Whether `last`, the last epoch that had the node, is over for good."""
    after = next(document for document in file.epochs if document.epoch == last.epoch + 1)
    settled_at = after.start + last.settle_cap + last.skew
    return observed.proven_epoch >= after.epoch and now >= settled_at


# --- rolling --------------------------------------------------------------------------------


def _plan_rollout(desired: Desired, observed: Observed, file: NetworkFile, now: int) -> Plan:
    """Return which Deployments to apply now, and why others are left as they are."""
    missing = [number for number in desired.numbers if number not in observed.nodes]
    outdated = [
        number
        for number in desired.numbers
        if number in observed.nodes and _is_outdated(desired, observed, number)
    ]
    steady = [
        number for number in desired.numbers if number not in missing and number not in outdated
    ]
    down = [number for number in outdated if not _is_up(observed, number)]
    up = [number for number in outdated if number not in down]
    apply = [*missing, *down, *steady]
    waits: list[Wait] = []
    not_up = [number for number in desired.numbers if not _is_up(observed, number)]
    if not_up:
        waits.append(Wait("NodesNotReady", _say_troubles(observed, not_up)))
    recheck = None
    if up and not not_up:
        chosen, wait = _choose_next(desired, observed, file, up, now)
        if wait is not None:
            waits.append(wait)
            recheck = _SOON_S
        if chosen is not None:
            apply.append(chosen)
    elif up:
        waits.append(
            Wait(
                "RolloutWaiting",
                f"{say_nodes(up)}: changed one at a time, once all others are ready",
            )
        )
    return Plan(file, apply=tuple(apply), waits=tuple(waits), recheck_s=recheck)


def _choose_next(
    desired: Desired, observed: Observed, file: NetworkFile, up: Sequence[int], now: int
) -> tuple[int | None, Wait | None]:
    """Return the one node to change now, of those that are `up` and outdated; all are ready."""
    gate = _find_migration_wait(desired, observed, up)
    if gate is not None:
        return None, gate
    live = get_live_epochs(file, now)
    members = {member.address for document in live for member in document.members}
    others = [number for number in up if desired.inputs.nodes[number].address not in members]
    first = (others or list(up))[0]
    said = f"{say_nodes(up)}: changed one at a time, now node {first}"
    leaving = [
        number
        for number in observed.nodes
        if number not in desired.numbers
        and number in desired.inputs.nodes
        and desired.inputs.nodes[number].address in members
        and not _is_up(observed, number)
    ]
    spare = min(len(document.members) - document.minimum_signers for document in live)
    if others or spare > len(leaving):
        return first, Wait("RollingOut", said)
    said = (
        f"{say_nodes(up)}: all {live[-1].minimum_signers} signers are needed, so they are changed"
        " one at a time just after a settlement, and a round may be lost; one more node in"
        " spec.nodes.count would avoid it"
    )
    wait = Wait("RollingWithoutSpare", said)
    return (first if _is_just_settled(observed, live[0], now) else None), wait


def _is_just_settled(observed: Observed, document: Document, now: int) -> bool:
    """Whether a node may be missed now: the round is settled, or no prices flow anyway."""
    rounds = [
        health.settled_round
        for health in observed.health.values()
        if health.settled_round is not None
    ]
    interval = document.interval
    newest = max(rounds, default=None)
    if newest is None or newest < now - _DRY_INTERVALS * interval - document.settle_cap:
        return True
    # Rounds that are shorter than settling overlap: then it is the newest that can be settled.
    lag = 0 if document.settle_cap < interval else document.settle_cap + interval
    return newest >= document.get_round(now - lag)


def _find_migration_wait(
    desired: Desired, observed: Observed, numbers: Sequence[int]
) -> Wait | None:
    """Return what keeps a new image from nodes that work: the schema that it needs.

    Nodes that don't work are not kept: they lose nothing, and meet an older schema with patience.
    """
    image = desired.inputs.node_image
    if all(observed.nodes[number].image == image for number in numbers):
        return None
    match observed.migration:
        case JobState.DONE:
            return None
        case JobState.FAILED:
            return Wait(
                "MigrationFailed",
                f"the schema for {image} could not be made, so no node gets that image; remedy: see"
                " the Job's log, mend it, and delete the Job to try again",
                is_stalled=True,
            )
        case _:
            return Wait("Migrating", f"the schema for {image} comes before the nodes")


def _is_outdated(desired: Desired, observed: Observed, number: int) -> bool:
    workload = observed.nodes[number]
    return workload.is_drifted or workload.template_hash != desired.templates[number]


def _is_up(observed: Observed, number: int) -> bool:
    """Ready, and connected as far as it can be asked (a node without a peer is not ready)."""
    workload = observed.nodes.get(number)
    health = observed.health.get(number)
    return workload is not None and workload.is_ready and (health is None or health.ready)


def _say_troubles(observed: Observed, numbers: Sequence[int]) -> str:
    said = []
    for number in numbers:
        workload, health = observed.nodes.get(number), observed.health.get(number)
        trouble = None if workload is None else workload.trouble
        if trouble is None and health is not None and health.problems:
            trouble = "; ".join(health.problems.values())
        said.append(f"node {number}" + (f" ({trouble})" if trouble else ""))
    return "not ready: " + ", ".join(said)

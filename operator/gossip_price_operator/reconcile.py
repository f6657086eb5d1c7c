"""Bring one network to what its resource says: whole, every time, in the order of the steps.

Level-based: nothing is remembered that decides; an operator that died between any two steps
leaves what the next look goes on from. What is kept between looks (`Memory`) only saves writes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from gossip_price.network.document import DocumentError, NetworkFile
from gossip_price.network.spec import SpecError, parse_network
from gossip_price.network.spec_parts import PriceNetwork
from gossip_price_operator import kube as k
from gossip_price_operator import names
from gossip_price_operator.applied import add_applied_hash, is_drifted
from gossip_price_operator.applying import Applier, Key, Memory
from gossip_price_operator.events import make_events
from gossip_price_operator.gather import OWN_KINDS, Gathered, gather, gather_named
from gossip_price_operator.health import HealthReader
from gossip_price_operator.inputs import Capabilities, Database, Defaults, Inputs, Manifest
from gossip_price_operator.kube import ConflictError, Kube, RefusedError
from gossip_price_operator.made_once import Identities, ensure_database, ensure_identities
from gossip_price_operator.observed import NodeHealth, Observed, Trouble, Workload
from gossip_price_operator.plan import Desired, make_plan
from gossip_price_operator.planned import Plan
from gossip_price_operator.resources import render
from gossip_price_operator.resources.bootstrap import make_bootstrap_addresses
from gossip_price_operator.resources.metadata import get_template_hash
from gossip_price_operator.resources.migration import get_migration_name, make_migration
from gossip_price_operator.resources.network_file import FILE_KEY, read_network_file
from gossip_price_operator.resources.node import make_node
from gossip_price_operator.status import View, compute_status
from gossip_price_operator.turns import Turn
from gossip_price_operator.workloads import (
    find_addresses,
    find_last_words,
    get_labels,
    get_number,
    read_job,
    read_workload,
)

log = logging.getLogger(__name__)

#: How long we believe what kinds a cluster knows.
_CAPABILITIES_S: Final = 300.0
#: Never deleted by us: keys, passwords, journals and data go with their owner or by hand.
_KEPT_KINDS: Final = frozenset({k.SECRET, k.VOLUME_CLAIM})


@dataclass(frozen=True)
class Outcome:
    """What came of a look. `is_settled`: nothing is on its way; `recheck_s`: look again then.

    `is_ready`, `is_stalled`: what the status says of it.
    """

    exists: bool
    is_settled: bool = False
    recheck_s: float | None = None
    is_ready: bool = False
    is_stalled: bool = False


@dataclass
class _Look:
    """One look at one network, as far as it has come."""

    resource: Manifest
    network: PriceNetwork
    inputs: Inputs
    gathered: Gathered
    memory: Memory
    file: NetworkFile | None = None
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def may_write(self) -> bool:
        """Paused, or something is wrong that a person must mend: then nothing is touched."""
        return not self.network.spec.paused and not self.troubles


class Reconciler:
    """Carries out the steps. `wall_s` is the clock that epochs and conditions go by."""

    def __init__(
        self,
        kube: Kube,
        health: HealthReader,
        defaults: Defaults,
        *,
        ip_family: str = "ip4",
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._kube = kube
        self._health = health
        self._defaults = defaults
        self._ip_family = ip_family
        self._wall_s = wall_s
        self._capabilities: tuple[float, Capabilities] | None = None

    async def reconcile(self, namespace: str, name: str, memory: Memory, turn: Turn) -> Outcome:
        """Look at the network once, in its turn, and do what is to be done. Raises KubeError."""
        resource = await self._kube.get(k.NETWORK, namespace, name)
        if resource is None or resource["metadata"].get("deletionTimestamp"):
            # The garbage collector removes what has us as its owner; the rest is to be kept.
            return Outcome(exists=False)
        try:
            network = parse_network(resource)
        except SpecError as error:
            await self._tell_unreadable(resource, error)
            return Outcome(exists=True, is_settled=True, is_stalled=True)
        look = await self._gather(resource, network, memory)
        identities = await self._ensure_secrets(look)
        async with turn.lend():  # a silent node holds up its own network alone
            health = await self._health.ask(find_addresses(look.gathered.pods))
        return await self._act(look, identities, health)

    async def _act(
        self, look: _Look, identities: Identities, health: Mapping[int, NodeHealth]
    ) -> Outcome:
        """Decide what is to be done, do it, and tell."""
        network = look.network
        observed = await self._observe(look, health)
        templates = self._render_templates(look)
        observed = self._find_drift(look, observed, templates)
        desired = Desired(
            inputs=look.inputs,
            templates={
                number: get_template_hash(manifest) or ""
                for number, manifest in templates.items()
                if number < network.spec.nodes.count
            },
            bootstrap_addresses=make_bootstrap_addresses(look.inputs),
            network_id=identities.network_id,
            supplied=await self._read_supplied(look),
        )
        plan = make_plan(desired, observed, int(self._wall_s()))
        if look.may_write and plan.file is not None:
            await self._apply(look, plan)
            await self._migrate(look)
            await self._remove(look, plan)
            observed = self._observe_again(look, observed, plan)
        status = await self._tell(look, observed, plan)
        return Outcome(
            exists=True,
            is_settled=plan.is_done and _is_true(status, "Ready"),
            recheck_s=plan.recheck_s,
            is_ready=_is_true(status, "Ready"),
            is_stalled=_is_true(status, "Stalled"),
        )

    # --- the steps, in their order --------------------------------------------------------

    async def _gather(self, resource: Manifest, network: PriceNetwork, memory: Memory) -> _Look:
        """Read all that there is of the network."""
        metadata = resource["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        capabilities = await self._find_capabilities()
        kinds = [*OWN_KINDS]
        kinds += [k.POD_MONITOR] if capabilities.pod_monitor else []
        kinds += [k.PROMETHEUS_RULE] if capabilities.prometheus_rule else []
        gathered = await gather(self._kube, namespace, name, kinds)
        files = (names.epochs_record(name), names.network_file(name))
        await gather_named(self._kube, gathered, ((k.CONFIG_MAP, file) for file in files))
        inputs = Inputs(
            network=network,
            uid=metadata["uid"],
            defaults=self._defaults,
            database=Database(secret_name=""),
            capabilities=capabilities,
        )
        look = _Look(resource, network, inputs, gathered, memory)
        look.file = self._read_file(look, files)
        return look

    def _read_file(self, look: _Look, files: Iterable[str]) -> NetworkFile | None:
        """Return the epochs on record; what the nodes see stands in where the record is lost."""
        lives = [look.gathered.get(k.CONFIG_MAP, name) for name in files]
        wrong: Trouble | None = None
        for live in (live for live in lives if live is not None):
            try:
                return read_network_file(live)
            except DocumentError as error:
                name = live["metadata"]["name"]
                wrong = wrong or Trouble(
                    "RecordUnreadable",
                    f"ConfigMap {name}: {error}; remedy: restore it from a backup",
                )
        if wrong is not None:
            look.troubles.append(wrong)
        elif look.gathered.find(k.DEPLOYMENT):
            look.troubles.append(
                Trouble(
                    "RecordMissing",
                    f"ConfigMaps {' and '.join(files)} are gone, which held the network's epochs;"
                    " remedy: restore one of them from a backup, for a new network id would make"
                    " every stored price another network's",
                )
            )
        return None

    async def _ensure_secrets(self, look: _Look) -> Identities:
        """Make, once, the keys and the password; tell what is lost."""
        identities = await ensure_identities(
            self._kube, look.gathered, look.inputs, look.file, may_create=look.may_write
        )
        look.troubles += identities.troubles
        look.inputs = replace(look.inputs, nodes=identities.nodes, bootstraps=identities.bootstraps)
        database, troubles = await ensure_database(
            self._kube, look.gathered, look.inputs, may_create=look.may_write
        )
        look.troubles += troubles
        look.inputs = replace(look.inputs, database=database)
        return identities

    async def _observe(self, look: _Look, health: Mapping[int, NodeHealth]) -> Observed:
        """Say what there is, and what the nodes said, in the words of the plan."""
        gathered, name = look.gathered, look.inputs.name
        job = (k.JOB, get_migration_name(look.inputs))
        await gather_named(self._kube, gathered, [job])
        deployments = _by_number(gathered.find(k.DEPLOYMENT))
        pods = _group_by_number(gathered.pods)
        return Observed(
            nodes={
                number: read_workload(live, pods.get(number, ()))
                for number, live in deployments.items()
            },
            bootstrap=_read(gathered, names.bootstrap(name), names.BOOTSTRAP),
            postgres=_read(gathered, names.postgres(name), names.POSTGRES),
            migration=read_job(gathered.get(*job)),
            migration_trouble=find_last_words(job[1], gathered.pods),
            health=health,
            file=look.file,
            troubles=tuple(look.troubles),
        )

    def _render_templates(self, look: _Look) -> dict[int, Manifest]:
        """Return the Deployment of every node whose identity is known."""
        return {number: make_node(look.inputs, number) for number in look.inputs.nodes}

    def _find_drift(
        self, look: _Look, observed: Observed, templates: Mapping[int, Manifest]
    ) -> Observed:
        """Mark the nodes whose pods were changed by somebody else."""
        nodes = dict(observed.nodes)
        for number, live in _by_number(look.gathered.find(k.DEPLOYMENT)).items():
            if number not in templates or number not in nodes:
                continue
            wanted = templates[number]
            if get_template_hash(live) != get_template_hash(wanted):
                continue
            shape = look.memory.shapes.get(_get_key(wanted))
            if is_drifted(add_applied_hash(wanted), live, shape):
                nodes[number] = replace(nodes[number], is_drifted=True)
        return replace(observed, nodes=nodes)

    async def _read_supplied(self, look: _Look) -> NetworkFile | None:
        """Return the document that `documentRef` names, if it is there and can be read."""
        reference = look.network.spec.document_ref
        if reference is None:
            return None
        live = await self._kube.get(k.CONFIG_MAP, look.inputs.namespace, reference.name)
        try:
            return None if live is None else read_network_file(live, reference.key or FILE_KEY)
        except DocumentError as error:
            look.troubles.append(
                Trouble("DocumentUnreadable", f"ConfigMap {reference.name}: {error}")
            )
            return None

    async def _apply(self, look: _Look, plan: Plan) -> None:
        """Apply what differs, in the rendered order; a node's Deployment when the plan says so."""
        if plan.file is None:
            return
        wanted = render(look.inputs, plan.file, plan.keep)
        keys = [_get_key(manifest) for manifest in wanted]
        await gather_named(self._kube, look.gathered, keys)
        record = (k.CONFIG_MAP, names.epochs_record(look.inputs.name))
        applier = Applier(
            self._kube,
            look.gathered,
            look.memory,
            look.troubles,
            pinned=record,
            is_first=look.file is None,
        )
        for key, manifest in zip(keys, wanted, strict=True):
            number = get_number(manifest)
            if key[0] == k.DEPLOYMENT and number is not None and number not in plan.apply:
                applier.leave(key, manifest)
            else:
                await applier.apply(key, manifest)
        await self._prune(look, frozenset(keys))

    async def _prune(self, look: _Look, wanted: frozenset[Key]) -> None:
        """Delete what we made and nobody wants any more; nodes go by the plan alone."""
        job = get_migration_name(look.inputs)
        for key, live in list(look.gathered.objects.items()):
            kind, name = key
            if key in wanted or kind in _KEPT_KINDS or not self._is_owned(look, live):
                continue
            is_node = kind == k.DEPLOYMENT and get_number(live) is not None
            if is_node or (kind == k.JOB and name == job):
                continue
            await self._kube.delete(kind, look.inputs.namespace, name, live["metadata"]["uid"])
            look.gathered.drop(kind, name)

    async def _migrate(self, look: _Look) -> None:
        """Create the migration's Job where there is none for this image and database."""
        key = (k.JOB, get_migration_name(look.inputs))
        if look.gathered.get(*key) is None:
            try:
                look.gathered.put(await self._kube.create(make_migration(look.inputs)))
            except ConflictError:
                network = f"{look.inputs.namespace}/{look.inputs.name}"
                log.info("the Job %s is there already", key[1], extra={"network": network})

    async def _remove(self, look: _Look, plan: Plan) -> None:
        """Delete the Deployments of nodes that have left; their keys and journals stay."""
        for live in look.gathered.find(k.DEPLOYMENT):
            if get_number(live) in plan.remove and self._is_owned(look, live):
                metadata = live["metadata"]
                await self._kube.delete(
                    k.DEPLOYMENT, look.inputs.namespace, metadata["name"], metadata["uid"]
                )
                look.gathered.drop(k.DEPLOYMENT, metadata["name"])

    def _observe_again(self, look: _Look, observed: Observed, plan: Plan) -> Observed:
        """Return what there is after our own writes: what was just changed is not ready yet."""
        gathered, name = look.gathered, look.inputs.name
        pods = _group_by_number(gathered.pods)
        return replace(
            observed,
            nodes={
                number: read_workload(live, pods.get(number, ()))
                for number, live in _by_number(gathered.find(k.DEPLOYMENT)).items()
            },
            bootstrap=_read(gathered, names.bootstrap(name), names.BOOTSTRAP),
            postgres=_read(gathered, names.postgres(name), names.POSTGRES),
            migration=read_job(gathered.get(k.JOB, get_migration_name(look.inputs))),
            file=plan.file,
        )

    async def _tell(self, look: _Look, observed: Observed, plan: Plan) -> Mapping[str, Any]:
        """Write the status, once, if it says anything new, and the events of what is new."""
        view = View(
            name=look.inputs.name,
            generation=look.resource["metadata"]["generation"],
            created=_read_time(look.resource["metadata"]["creationTimestamp"]),
            spec=look.network.spec,
            observed=observed,
            plan=plan,
            troubles=tuple(t for t in look.troubles if t not in observed.troubles),
        )
        return await self._write_status(look.resource, view)

    async def _tell_unreadable(self, resource: Manifest, error: SpecError) -> None:
        metadata = resource["metadata"]
        said = "; ".join(str(problem) for problem in error.problems)
        view = View(
            name=metadata["name"],
            generation=metadata["generation"],
            created=_read_time(metadata["creationTimestamp"]),
            spec=None,
            observed=Observed(),
            plan=None,
            troubles=(Trouble("InvalidSpec", said),),
        )
        await self._write_status(resource, view)

    async def _write_status(self, resource: Manifest, view: View) -> Mapping[str, Any]:
        before = resource.get("status") or {}
        status = compute_status(view, int(self._wall_s()), before)
        if status == before:
            return status
        metadata = resource["metadata"]
        identity = {key: metadata[key] for key in ("name", "namespace", "uid")}
        head = {"apiVersion": resource["apiVersion"], "kind": resource["kind"]}
        for event in make_events({**resource, **head}, before, status):
            try:
                await self._kube.create(event)
            except (ConflictError, RefusedError) as error:
                log.debug("event not told: %s", error)
        await self._kube.apply({**head, "metadata": identity, "status": status}, "status")
        return status

    # --- small answers --------------------------------------------------------------------

    async def _find_capabilities(self) -> Capabilities:
        now_s = asyncio.get_running_loop().time()
        if self._capabilities is None or now_s - self._capabilities[0] > _CAPABILITIES_S:
            found = await asyncio.gather(
                *(self._kube.knows(kind) for kind in (k.POD_MONITOR, k.PROMETHEUS_RULE))
            )
            self._capabilities = (
                now_s,
                Capabilities(
                    pod_monitor=found[0], prometheus_rule=found[1], ip_family=self._ip_family
                ),
            )
        return self._capabilities[1]

    @staticmethod
    def _is_owned(look: _Look, live: Manifest) -> bool:
        owners = live["metadata"].get("ownerReferences") or ()
        return any(owner.get("uid") == look.inputs.uid for owner in owners)


def _get_key(manifest: Manifest) -> Key:
    return k.get_kind(manifest), manifest["metadata"]["name"]


def _by_number(lives: Iterable[Manifest]) -> dict[int, Manifest]:
    numbered = ((get_number(live), live) for live in lives)
    return {number: live for number, live in numbered if number is not None}


def _group_by_number(pods: Iterable[Manifest]) -> dict[int, list[Manifest]]:
    grouped: dict[int, list[Manifest]] = {}
    for pod in pods:
        number = get_number(pod)
        if number is not None and not pod["metadata"].get("deletionTimestamp"):
            grouped.setdefault(number, []).append(pod)
    return grouped


def _read(gathered: Gathered, name: str, component: str) -> Workload | None:
    live = gathered.get(k.STATEFUL_SET, name)
    pods = [pod for pod in gathered.pods if get_labels(pod).get(names.COMPONENT) == component]
    return None if live is None else read_workload(live, pods)


def _read_time(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _is_true(status: Mapping[str, Any], condition: str) -> bool:
    listed = status.get("conditions") or ()
    return any(item["type"] == condition and item["status"] == "True" for item in listed)

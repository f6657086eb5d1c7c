"""Read a network's objects from the API: all of them, at each look, by label and by name.

Reads and remembers nothing. A label that somebody removed hides an object from the lists; what
should be there and is not listed is therefore asked for by its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gossip_price_operator import kube as k
from gossip_price_operator import names
from gossip_price_operator.inputs import Manifest
from gossip_price_operator.kube import Kind, Kube

#: The kinds that a network is made of, whatever the cluster.
OWN_KINDS: Final = (
    k.SECRET,
    k.CONFIG_MAP,
    k.VOLUME_CLAIM,
    k.SERVICE,
    k.SERVICE_ACCOUNT,
    k.DEPLOYMENT,
    k.STATEFUL_SET,
    k.JOB,
    k.BUDGET,
    k.NETWORK_POLICY,
)


@dataclass
class Gathered:
    """A network's objects by kind and name, and its pods."""

    namespace: str
    objects: dict[tuple[Kind, str], Manifest] = field(default_factory=dict)
    pods: list[Manifest] = field(default_factory=list)

    def get(self, kind: Kind, name: str) -> Manifest | None:
        """Return an object that was read."""
        return self.objects.get((kind, name))

    def put(self, live: Manifest) -> None:
        """Take an object as it is now."""
        # Who wrote it matters, not what each wrote: that is half of what an object weighs.
        for entry in live["metadata"].get("managedFields") or ():
            entry.pop("fieldsV1", None)
        self.objects[k.get_kind(live), live["metadata"]["name"]] = live

    def drop(self, kind: Kind, name: str) -> None:
        """Forget an object that was deleted."""
        self.objects.pop((kind, name), None)

    def find(self, kind: Kind) -> list[Manifest]:
        """Return all objects of a kind, by name."""
        found = [(name, live) for (of, name), live in self.objects.items() if of == kind]
        return [live for _, live in sorted(found, key=lambda item: item[0])]


async def gather(
    kube: Kube, namespace: str, network: str, kinds: Iterable[Kind] = OWN_KINDS
) -> Gathered:
    """Return what there is of a network. Raises KubeError."""
    ours = names.format_selector({names.INSTANCE: network, names.MANAGED_BY: names.FIELD_MANAGER})
    pods = names.format_selector(names.make_selector(network))
    listed = await asyncio.gather(
        *(kube.list(kind, namespace, ours) for kind in kinds),
        kube.list(k.POD, namespace, pods),
    )
    gathered = Gathered(namespace, pods=listed[-1])
    for live in (live for found in listed[:-1] for live in found):
        gathered.put(live)
    return gathered


async def gather_named(kube: Kube, gathered: Gathered, wanted: Iterable[tuple[Kind, str]]) -> None:
    """Add what the lists did not show, though it may be there. Raises KubeError."""
    missing = [key for key in dict.fromkeys(wanted) if key not in gathered.objects]
    found = await asyncio.gather(
        *(kube.get(kind, gathered.namespace, name) for kind, name in missing)
    )
    for live in found:
        if live is not None:
            gathered.put(live)

"""What is made once and never again: identities, and the database's password.

Each is created under its one name, or read if that name is taken; what was lost is told, never
replaced: a new key would be another member, a new password would open nothing.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gossip_price.network.document import NetworkFile
from gossip_price.network.keys import generate_secret
from gossip_price.network.spec_parts import NetworkSpec
from gossip_price_operator import kube as k
from gossip_price_operator import names
from gossip_price_operator.gather import Gathered, gather_named
from gossip_price_operator.inputs import POSTGRES_PORT, Database, Identity, Inputs, Manifest
from gossip_price_operator.kube import ConflictError, Kube
from gossip_price_operator.observed import Trouble
from gossip_price_operator.resources.keys import (
    IdentityError,
    make_bootstrap_identity,
    make_node_identity,
    read_identity,
)
from gossip_price_operator.resources.metadata import compute_hash
from gossip_price_operator.resources.postgres import (
    find_version_trouble,
    make_managed_database,
    make_postgres_secret,
)
from gossip_price_operator.workloads import get_number


@dataclass(frozen=True)
class Identities:
    """Whose keys there are, by number and ordinal, and what is wrong with the others."""

    nodes: Mapping[int, Identity]
    bootstraps: Mapping[int, Identity]
    network_id: bytes
    troubles: tuple[Trouble, ...]


async def ensure_identities(
    kube: Kube, gathered: Gathered, inputs: Inputs, file: NetworkFile | None, *, may_create: bool
) -> Identities:
    """Return every identity, those that never were made just now. Raises KubeError."""
    spec, network = inputs.spec, inputs.name
    given = {secret.node: secret.secret_name for secret in spec.keys.existing}
    present = {get_number(live) for live in gathered.find(k.DEPLOYMENT)} - {None}
    numbers = sorted({*range(spec.nodes.count), *(n for n in present if n is not None)})
    wanted = {number: given.get(number, names.node(network, number)) for number in numbers}
    ordinals = {
        ordinal: names.bootstrap_identity(network, ordinal)
        for ordinal in range(spec.bootstrap.replicas)
    }
    secret_names = [*wanted.values(), *ordinals.values()]
    await gather_named(kube, gathered, ((k.SECRET, name) for name in secret_names))
    network_id = _find_network_id(gathered, secret_names, file) or secrets.token_bytes(32)
    id_text = "0x" + network_id.hex()

    troubles: list[Trouble] = []
    nodes = _read_all(gathered, wanted, troubles, signs=True)
    bootstraps = _read_all(gathered, ordinals, troubles, signs=False)
    lost = _find_lost(gathered, file, nodes, wanted)
    for number, name in wanted.items():
        if gathered.get(k.SECRET, name) is not None:
            continue
        if number in given:
            troubles.append(_tell_missing(name, f"spec.keys.existing names it for node {number}"))
        elif number in lost:
            troubles.append(_tell_missing(name, f"it held the keys of node {number}, a member"))
        elif may_create:
            made = make_node_identity(
                inputs,
                number,
                signing=generate_secret(),
                identity=generate_secret(),
                network_id=id_text,
            )
            nodes[number] = read_identity(await _create(kube, gathered, made))
    for ordinal, name in ordinals.items():
        if gathered.get(k.SECRET, name) is not None:
            continue
        if _is_known_bootstrap(file, name):
            troubles.append(_tell_missing(name, "nodes know that bootstrap by its key"))
        elif may_create:
            made = make_bootstrap_identity(
                inputs, ordinal, identity=generate_secret(), network_id=id_text
            )
            live = await _create(kube, gathered, made)
            bootstraps[ordinal] = read_identity(live, signs=False)
    return Identities(nodes, bootstraps, network_id, tuple(troubles))


def _find_network_id(
    gathered: Gathered, secret_names: Iterable[str], file: NetworkFile | None
) -> bytes | None:
    """Return the id that the network has already; identities bear it before any document does."""
    if file is not None:
        return bytes.fromhex(file.epochs[0].network_id[2:])
    for name in secret_names:
        live = gathered.get(k.SECRET, name) or {}
        annotations = live.get("metadata", {}).get("annotations") or {}
        try:
            found = bytes.fromhex(annotations.get(names.NETWORK_ID, "").removeprefix("0x"))
        except ValueError:
            continue
        if len(found) == 32:
            return found
    return None


def _read_all(
    gathered: Gathered, wanted: Mapping[int, str], troubles: list[Trouble], *, signs: bool
) -> dict[int, Identity]:
    found = {}
    for number, name in wanted.items():
        live = gathered.get(k.SECRET, name)
        if live is None:
            continue
        try:
            found[number] = read_identity(live, signs=signs)
        except IdentityError as error:
            troubles.append(Trouble("IdentityUnreadable", str(error)))
    return found


def _find_lost(
    gathered: Gathered,
    file: NetworkFile | None,
    nodes: Mapping[int, Identity],
    wanted: Mapping[int, str],
) -> set[int]:
    """Return the numbers whose Secret is gone though the network knows its keys.

    A node that has a Deployment was there; and so was somebody, where the newest epoch has
    members that no identity of ours accounts for.
    """
    missing = {number for number in wanted if number not in nodes}
    if file is None or not missing:
        return set()
    deployed = {get_number(live) for live in gathered.find(k.DEPLOYMENT)}
    ours = {identity.address for identity in nodes.values()}
    others = [member for member in file.epochs[-1].members if member.address not in ours]
    lost = {number for number in missing if number in deployed}
    for number in sorted(missing - lost):
        if len(lost) < len(others):
            lost.add(number)
    return lost


def _is_known_bootstrap(file: NetworkFile | None, name: str) -> bool:
    return file is not None and any(f"/dns/{name}." in known for known in file.peers.bootstrap)


def _tell_missing(name: str, why: str) -> Trouble:
    return Trouble(
        "IdentityMissing",
        f"Secret {name} is gone ({why}); remedy: restore it from a backup, for a new key would be"
        " another member",
    )


async def _create(kube: Kube, gathered: Gathered, manifest: Manifest) -> Manifest:
    """Create a Secret, or return what somebody made under its name before us."""
    # The owner is applied afterwards: so it can be taken away when deletionPolicy changes.
    metadata = {key: val for key, val in manifest["metadata"].items() if key != "ownerReferences"}
    try:
        live = await kube.create({**manifest, "metadata": metadata})
    except ConflictError:
        found = await kube.get(k.SECRET, metadata["namespace"], metadata["name"])
        if found is None:
            raise
        live = found
    gathered.put(live)
    return live


async def ensure_database(
    kube: Kube, gathered: Gathered, inputs: Inputs, *, may_create: bool
) -> tuple[Database, tuple[Trouble, ...]]:
    """Return where prices are stored; the managed password is made just now if it never was."""
    managed = inputs.spec.postgres.managed
    if managed is None:
        return await _read_database(kube, gathered, inputs.spec)
    name = names.postgres(inputs.name)
    await gather_named(kube, gathered, ((k.SECRET, name), (k.VOLUME_CLAIM, name)))
    volume = gathered.get(k.VOLUME_CLAIM, name)
    trouble = find_version_trouble(inputs, managed, volume)
    if gathered.get(k.SECRET, name) is None:
        if volume is not None:
            trouble = Trouble(
                "PasswordMissing",
                f"Secret {name} is gone, but volume {name} is there and opens to its password"
                " only; remedy: restore the Secret from a backup, or set a new password in the"
                " database by hand and make the Secret with the keys username, password, database"
                f" and url, and the label {names.MANAGED_BY}={names.FIELD_MANAGER}",
            )
        elif may_create and trouble is None:
            made = make_postgres_secret(inputs, password=secrets.token_urlsafe(24))
            await _create(kube, gathered, made)
    return make_managed_database(inputs.name), () if trouble is None else (trouble,)


async def _read_database(
    kube: Kube, gathered: Gathered, spec: NetworkSpec
) -> tuple[Database, tuple[Trouble, ...]]:
    postgres = spec.postgres
    if postgres.external is not None:
        name, key = postgres.external.secret_name, postgres.external.key
        why = "spec.postgres.external names it"
    else:
        # CloudNativePG's own convention: the application user's Secret of a Cluster.
        cluster = "" if postgres.cloud_native_pg is None else postgres.cloud_native_pg.cluster_name
        name, key, why = f"{cluster}-app", "uri", f"Cluster {cluster} makes it"
    live = await kube.get(k.SECRET, gathered.namespace, name)
    raw = ((live or {}).get("data") or {}).get(key)
    database = Database(secret_name=name, key=key)
    if raw is None:
        said = "is not there" if live is None else f"has no key {key}"
        message = f"Secret {name} {said} ({why}); remedy: make it, with the database's URL"
        return database, (Trouble("DatabaseSecretMissing", message),)
    return _describe(name, key, raw), ()


def _describe(name: str, key: str, raw: Any) -> Database:
    # The URL is in base64 here, and its hash tells a change without telling the URL.
    fingerprint = compute_hash(["gossip-price database", raw])
    try:
        port = urlsplit(base64.b64decode(raw).decode()).port
    except ValueError:
        port = None
    return Database(name, key, port or POSTGRES_PORT, fingerprint)

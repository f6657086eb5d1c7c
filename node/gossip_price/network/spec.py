"""The PriceNetwork resource: one file for `gossip-price up` and for Kubernetes. Pure.

A mapping comes in and a frozen, checked value comes out, or SpecError with every problem in it.
Node and operator share this reader, so that what one accepts the other does. It knows nothing
of keys, files or Kubernetes' API; what the operator alone uses (`nodes.affinity` …) is passed
on as it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from gossip_price.network.document import (
    PROTOCOL_VERSION,
    ZERO_HASH,
    Document,
    Member,
    Mode,
    NetworkFile,
    Peers,
    compute_fallback_delay,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.keys import parse_address
from gossip_price.network.problems import Problem, ProblemsError, collect_problems, show
from gossip_price.network.spec_parts import (
    ConsensusPart,
    KeysPart,
    NetworkSpec,
    NodesPart,
    PriceNetwork,
    PricePart,
)
from gossip_price.network.spec_values import Part
from gossip_price.network.strict_yaml import load_mapping

API_VERSION: Final = "gossip-price.io/v1alpha1"
KIND: Final = "PriceNetwork"
#: A proven price is stored after this many settle times even while new signers arrive.
SETTLE_CAP_FACTOR: Final = 3
#: What a supplied document decides; beside a documentRef these fields would only contradict it.
_DOCUMENT_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pairs": (),
    "price": ("interval", "maxDeviation"),
    "consensus": (),
}

_P = TypeVar("_P", bound=Part)


class SpecError(ProblemsError):
    """A PriceNetwork that cannot be used; `problems` holds every reason."""


def parse_network(raw: object) -> PriceNetwork:
    """Read a decoded PriceNetwork resource. Raises SpecError with every problem."""
    problems: list[Problem] = []
    network = None
    try:
        network = PriceNetwork.model_validate(raw)
    except ValidationError as error:
        problems += collect_problems(error, PriceNetwork)
    spec = raw.get("spec") if isinstance(raw, Mapping) else None
    if isinstance(spec, Mapping):
        problems += _find_contradictions(spec)
    if problems or network is None:
        raise SpecError(problems)
    return network


def parse_yaml(text: str) -> PriceNetwork:
    """Read a PriceNetwork file (YAML or JSON, one document). Raises SpecError."""
    return parse_network(load_yaml(text))


def load_yaml(text: str) -> dict[str, Any]:
    """Decode such a file without judging its fields. Raises SpecError, which names the line."""
    try:
        return load_mapping(text)
    except ProblemsError as error:
        raise SpecError(error.problems) from None


def make_resource(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decoded resource of a network on this machine with this spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "local"},
        "spec": dict(spec),
    }


def lay_over(resource: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decoded resource with `overrides`, by path (`spec.price.interval`), laid over it.

    Nothing of `resource` is judged: where it is wrong on an override's way, it stays as it is,
    so that its reader says so.
    """
    laid = dict(resource)
    for path, value in overrides.items():
        _lay(laid, path.split("."), value)
    return laid


def _lay(mapping: dict[str, Any], path: Sequence[str], value: object) -> None:
    step, *rest = path
    if not rest:
        mapping[step] = value
        return
    held = mapping.get(step)
    if held is None or isinstance(held, Mapping):
        mapping[step] = dict(held or {})
        _lay(mapping[step], rest, value)


def _find_contradictions(spec: Mapping[str, Any]) -> list[Problem]:
    """Return what no field can know alone. Parts that are themselves wrong are left aside."""
    nodes = _try(NodesPart, spec.get("nodes"))
    consensus = _try(ConsensusPart, spec.get("consensus"))
    price = _try(PricePart, spec.get("price"))
    keys = _try(KeysPart, spec.get("keys"))
    problems: list[Problem] = []
    if nodes and consensus and spec.get("documentRef") is None:
        problems += _find_quorum_problems(nodes.count, consensus)
    if price:
        if price.min_sources > len(price.sources):
            problems.append(
                Problem(
                    "spec.price.minSources",
                    str(price.min_sources),
                    f"at most the number of sources ({len(price.sources)})",
                )
            )
        names = [source.name for source in price.sources]
        problems += _find_repeated("spec.price.sources", names)
    if isinstance(pairs := spec.get("pairs"), list | tuple):
        given = [pair.get("name") if isinstance(pair, Mapping) else pair for pair in pairs]
        problems += _find_repeated("spec.pairs", [name for name in given if isinstance(name, str)])
    if keys:
        numbers = [secret.node for secret in keys.existing]
        problems += _find_repeated("spec.keys.existing", numbers)
    if spec.get("documentRef") is not None:
        problems += _find_document_conflicts(spec)
    return problems


def _find_quorum_problems(count: int, consensus: ConsensusPart) -> Iterable[Problem]:
    faulty = compute_faulty_default(count)
    least = (count + faulty) // 2 + 1
    minimum = consensus.minimum_signers
    path = "spec.consensus.minimumSigners"
    if minimum is None:
        derived = compute_minimum_signers(consensus.mode, count, faulty)
        if derived > count:
            yield Problem(
                "spec.nodes.count",
                str(count),
                f"at least {derived}, which sign where consensus.minimumSigners is left out",
            )
    elif minimum > count:
        yield Problem(path, str(minimum), f"at most nodes.count ({count})")
    elif consensus.mode is Mode.ROUNDS and minimum < least:
        yield Problem(
            path,
            str(minimum),
            f"in Rounds at least {least}: twice the signers must exceed {count} nodes + {faulty}"
            f" that may lie, else two prices of one round could both be proven"
            f" (2·{minimum} = {2 * minimum} ≤ {count + faulty})",
        )


def _find_repeated(path: str, values: Sequence[str | int]) -> list[Problem]:
    repeated = sorted({value for value in values if values.count(value) > 1}, key=str)
    return [Problem(path, show(value), "each only once") for value in repeated]


def _find_document_conflicts(spec: Mapping[str, Any]) -> Iterable[Problem]:
    for part, fields in _DOCUMENT_FIELDS.items():
        given = spec.get(part)
        if given is None:
            continue
        within = given if isinstance(given, Mapping) else {}
        paths = [f"{part}.{field}" for field in fields if field in within] if fields else [part]
        for path in paths:
            yield Problem(f"spec.{path}", None, "nothing beside documentRef: the document says it")


def _try(model: type[_P], raw: object) -> _P | None:
    try:
        return model.model_validate({} if raw is None else raw)
    except ValidationError:
        return None


def make_document(
    spec: NetworkSpec, members: Iterable[Member], *, network_id: bytes, start: int
) -> Document:
    """Return the first epoch of a network with these members.

    `network_id` are 32 random bytes; `start` (Unix seconds) is rounded down to a round. The
    threshold left out is derived for the members given, which may be more than `nodes.count`
    where organisations share a network. Raises DocumentError.
    """
    roster = sorted(members, key=lambda member: parse_address(member.address))
    faulty = compute_faulty_default(len(roster))
    interval, consensus = spec.price.interval, spec.consensus
    return Document(
        protocol=PROTOCOL_VERSION,
        network_id="0x" + network_id.hex(),
        epoch=1,
        previous=ZERO_HASH,
        start=start - start % interval,
        interval=interval,
        mode=consensus.mode,
        minimum_signers=consensus.minimum_signers
        or compute_minimum_signers(consensus.mode, len(roster), faulty),
        faulty=faulty,
        fallback_delay=compute_fallback_delay(interval),
        skew=compute_skew(interval),
        settle=consensus.settle,
        settle_cap=SETTLE_CAP_FACTOR * consensus.settle,
        max_deviation=spec.price.max_deviation,
        pairs=tuple(
            sorted((pair.make_terms() for pair in spec.pairs), key=lambda terms: terms.pair)
        ),
        members=tuple(roster),
    )


def make_network_file(
    spec: NetworkSpec, members: Iterable[Member], *, network_id: bytes, start: int
) -> NetworkFile:
    """Return the file of a new network: its first epoch (see make_document) and its peers.

    Raises DocumentError.
    """
    peers = spec.access.peers
    return NetworkFile(
        epochs=(make_document(spec, members, network_id=network_id, start=start),),
        peers=Peers(bootstrap=peers.bootstrap, admitted=peers.admitted, listeners=peers.listeners),
    )


def compute_skew(interval: int) -> int:
    """Return the bound on clock skew: a twentieth of the interval, from 5 to 30 seconds."""
    return min(30, max(5, interval // 20))

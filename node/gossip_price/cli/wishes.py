"""What somebody wants a network to be: a PriceNetwork file, and options that win over it.

Common to `up` and `network new`. Each option is a field of the PriceNetwork by another name, and
the PriceNetwork's reader judges it; only its problems are told by the option's name.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from gossip_price.cli.modes import add_mode
from gossip_price.network.document import (
    Document,
    Mode,
    PairTerms,
    compute_faulty_default,
    compute_minimum_signers,
)
from gossip_price.network.durations import format_duration
from gossip_price.network.problems import Problem, collect_problems
from gossip_price.network.spec import SpecError, lay_over, load_yaml, parse_network
from gossip_price.network.spec_parts import NetworkSpec, PriceNetwork

#: Which option says which field.
_OPTION_BY_FIELD: Final[Mapping[str, str]] = {
    "spec.nodes.count": "--nodes",
    "spec.price.interval": "--interval",
    "spec.consensus.settle": "--settle",
    "spec.consensus.minimumSigners": "--minimum-signers",
    "spec.consensus.mode": "--mode",
    "spec.pairs": "--pair",
}


def add_wishes(parser: argparse.ArgumentParser, *, interval: str) -> None:
    """Add `-f` and the options that say the same as a PriceNetwork's fields.

    `interval` says how long a round is where neither says it.
    """
    add = parser.add_argument
    add("-f", "--file", type=Path, metavar="FILE", help="a PriceNetwork file, as for Kubernetes")
    add("--nodes", "--members", metavar="N", help="gossip nodes, each a member (4)")
    add("--pair", action="append", metavar="PAIR", help="may stand again (ETH-USD)")
    add("--interval", metavar="TIME", help=f"length of a round, such as 15s or 10m ({interval})")
    add("--settle", metavar="TIME", help="wait after the last signer (30s)")
    add("--minimum-signers", metavar="K", help="(the smallest safe number)")
    add_mode(parser, Mode.ROUNDS.value)


def read_resource(path: Path) -> dict[str, Any]:
    """Decode a PriceNetwork file without judging its fields. Raises SpecError, which names it."""
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except SpecError as error:
        problems = error.problems
        raise SpecError(problem.within(str(path)) for problem in problems) from None
    except OSError as error:
        reason = error.strerror or "unreadable"
    except UnicodeDecodeError:
        reason = "not UTF-8"
    words = f"cannot be read ({reason}): give a PriceNetwork file, such as examples/network.yaml"
    raise SpecError([Problem(f"-f {path}", None, words, is_sentence=True)])


@dataclass(frozen=True)
class Wishes:
    """What was said on the command line: values as given, by the path of the field they are.

    `file` is the PriceNetwork file that they go with, to name in its problems.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return the wishes among a command's options (see add_wishes)."""
        values = {
            "spec.nodes.count": _read_number(options.nodes),
            "spec.price.interval": options.interval,
            "spec.consensus.settle": options.settle,
            "spec.consensus.minimumSigners": _read_number(options.minimum_signers),
            "spec.consensus.mode": options.mode and options.mode.value,
            "spec.pairs": options.pair and [{"name": pair} for pair in options.pair],
        }
        given = {path: value for path, value in values.items() if value is not None}
        return cls(given, options.file)

    def read(self) -> NetworkSpec:
        """Return the wishes as fields, each judged alone, over defaults. Raises SpecError."""
        try:
            return NetworkSpec.model_validate(lay_over({"spec": {}}, self.given)["spec"])
        except ValidationError as error:
            problems = collect_problems(error, NetworkSpec)
        raise SpecError(
            self._name(replace(problem, path=f"spec.{problem.path}")) for problem in problems
        )

    def lay_over(self, resource: Mapping[str, Any]) -> PriceNetwork:
        """Return the network of `resource` (a decoded file) as these wishes change it.

        Raises SpecError with every problem of both.
        """
        try:
            return parse_network(lay_over(resource, self.given))
        except SpecError as error:
            problems = error.problems
        raise SpecError(map(self._name, problems))

    def find_differences(self, held: Document) -> list[str]:
        """Return each wish that the network of `held` does not fulfil. Raises SpecError."""
        return [text for path, text in _compare(self.read(), held) if path in self.given]

    def _name(self, problem: Problem) -> Problem:
        """Return a problem by the name of the option that it is about, or else within the file."""
        for path, option in _OPTION_BY_FIELD.items():
            if path in self.given and problem.path.partition("[")[0] == path:
                return replace(problem, path=option)
        return problem if self.file is None else problem.within(str(self.file))


def find_differences(wanted: NetworkSpec, held: Document) -> list[str]:
    """Return each point in which `wanted` is not the network of `held`."""
    return [text for _, text in _compare(wanted, held)]


def explain_differences(folder: Path, differences: Sequence[str]) -> str:
    """Say in which points the folder's network is another one, and what to type instead."""
    numbers = itertools.count(2)
    free = next(path for n in numbers if not (path := Path(f"{folder}-{n}")).exists())
    lines = "\n  ".join(differences)
    return (
        f"{folder} holds another network:\n  {lines}\n"
        f"for a new network beside it say --data {shlex.quote(str(free))}; to go on with that one,"
        " leave out what differs"
    )


def _compare(wanted: NetworkSpec, held: Document) -> Iterator[tuple[str, str]]:
    """Yield the path of each field that differs, and what to say of it."""
    count, consensus = wanted.nodes.count, wanted.consensus
    least = compute_minimum_signers(consensus.mode, count, compute_faulty_default(count))
    for path, name, wished, has in (
        ("spec.nodes.count", "nodes", count, len(held.members)),
        (
            "spec.price.interval",
            "interval",
            format_duration(wanted.price.interval),
            format_duration(held.interval),
        ),
        (
            "spec.consensus.settle",
            "settle",
            format_duration(consensus.settle),
            format_duration(held.settle),
        ),
        (
            "spec.consensus.minimumSigners",
            "minimum signers",
            consensus.minimum_signers or least,
            held.minimum_signers,
        ),
        ("spec.consensus.mode", "mode", consensus.mode.value, held.mode.value),
        (
            "spec.price.maxDeviation",
            "max deviation",
            f"{wanted.price.max_deviation / 100:g}%",
            f"{held.max_deviation / 100:g}%",
        ),
        ("spec.pairs", "pairs", *_describe_pairs(wanted, held)),
    ):
        if wished != has:
            yield path, f"{name}: {wished} asked for, the folder's network has {has}"


def _describe_pairs(wanted: NetworkSpec, held: Document) -> tuple[str, str]:
    """Return both lists of pairs: their names, or all terms where the names are the same."""
    wished = sorted((pair.make_terms() for pair in wanted.pairs), key=lambda terms: terms.pair)
    names = [", ".join(terms.pair for terms in pairs) for pairs in (wished, held.pairs)]
    if names[0] == names[1] and wished != list(held.pairs):
        names = [", ".join(map(_describe_terms, pairs)) for pairs in (wished, held.pairs)]
    return names[0], names[1]


def _describe_terms(terms: PairTerms) -> str:
    low, high = (
        f"{Decimal(price).scaleb(-terms.decimals).normalize():f}"
        for price in (terms.min_price, terms.max_price)
    )
    return f"{terms.pair} ({terms.decimals} decimals, from {low} to {high})"


def _read_number(text: str | None) -> int | str | None:
    """Return a number, or what was given instead, which the field's reader will refuse."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else text

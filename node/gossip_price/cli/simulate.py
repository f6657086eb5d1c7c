"""`gossip-price simulate`: try seeds of bad days; for each that fails, say how to see it again.

Spreads seeds over processes, prints and counts; `simulator` decides. One seed is one history.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gossip_price.cli.modes import add_mode
from gossip_price.simulator.faults import KINDS
from gossip_price.simulator.mutants import MUTANTS, catch
from gossip_price.simulator.plan import Options, Plan, make_plan
from gossip_price.simulator.run import Outcome, run_plan
from gossip_price.simulator.scheme import CHEAP, REAL, Scheme
from gossip_price.simulator.shrinking import shrink
from gossip_price.simulator.timeline import Timeline, render_plan, render_violation

HELD: Final = 0
BROKEN: Final = 1
_FAILURES_SHOWN_MAX: Final = 10
_DAY_S: Final = 86_400
_MUTANT_SEEDS_MAX: Final = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--seed", type=int, metavar="N", help="run this seed only, and tell of it")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (0)")
    parser.add_argument("--members", type=int, metavar="N", help="members (by seed: 4, 5 or 7)")
    add_mode(parser, "by seed")
    parser.add_argument("--interval", type=int, metavar="S", help="seconds a round (by seed)")
    parser.add_argument("--days", type=float, metavar="D", help="how long (by seed: minutes)")
    parser.add_argument(
        "--faults",
        metavar="KINDS",
        help=f"'none', or some of {', '.join(KINDS)} with commas between (any)",
    )
    parser.add_argument(
        "--cheap",
        action="store_true",
        help="with --seed: signatures that cost nothing and prove nothing, to measure speed",
    )
    parser.add_argument("--trace", action="store_true", help="print a timeline per node")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (all cores)"
    )
    parser.add_argument(
        "--mutants",
        action="store_true",
        help="put deliberate bugs into the core and count the seeds until one is caught",
    )
    parser.epilog = "Exit code 0: everything held; 1: a checker was broken, or a bug not caught."


def run(options: argparse.Namespace) -> int:
    """Run what the options name; return 0 if everything held."""
    console = Console()
    try:
        fixed = _read_options(options)
    except ValueError as error:
        console.print(f"gossip-price simulate: {error}", style="red", highlight=False)
        return BROKEN
    if options.mutants:
        return _run_mutants(console, options.jobs)
    if options.seed is not None:
        return _run_one(console, options, fixed)
    return _run_many(console, options, fixed)


def _read_options(options: argparse.Namespace) -> Options:
    faults: tuple[str, ...] | None = None
    if options.faults is not None:
        names = () if options.faults == "none" else tuple(options.faults.split(","))
        unknown = [name for name in names if name not in KINDS]
        if unknown:
            raise ValueError(f"--faults: {unknown} given, allowed: none, {', '.join(KINDS)}")
        faults = names
    if options.cheap and options.seed is None:
        raise ValueError("--cheap: given without --seed; many seeds are tried for safety alone")
    rounds = interval = options.interval
    if options.days is not None:
        interval = interval or 600
        rounds = max(1, round(options.days * _DAY_S / interval))
    else:
        rounds = None
    return Options(
        members=options.members,
        mode=options.mode,
        interval=interval,
        rounds=rounds,
        faults=faults,
    )


def _render_options(options: argparse.Namespace, seed: int) -> str:
    """Return what must be given to see a seed's history again."""
    given = {
        "seed": seed,
        "members": options.members,
        "mode": options.mode and options.mode.value,
        "interval": options.interval,
        "days": options.days,
        "faults": options.faults,
    }
    flags = [f"--{name} {value}" for name, value in given.items() if value is not None]
    return " ".join([*flags, "--cheap"] if options.cheap else flags)


def _run_one(console: Console, options: argparse.Namespace, fixed: Options) -> int:
    plan, scheme, trace = make_plan(options.seed, fixed), _get_scheme(options), options.trace
    began, began_cpu = time.monotonic(), time.process_time()
    timeline = Timeline()
    watchers = (timeline,) if trace else ()
    with _collecting_seldom():
        outcome = run_plan(plan, scheme=scheme, watchers=watchers, hashed=scheme is REAL)
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - began_cpu
    console.print(render_plan(plan), highlight=False, markup=False)
    if scheme is CHEAP:
        console.print("cheap signatures: the speed is real, what held proves nothing")
    if trace and not outcome.violations:
        console.print(timeline.render(1 << 60, sys.maxsize), highlight=False, markup=False)
    history = f"history {outcome.history}, {outcome.events} events, " if outcome.events else ""
    console.print(
        f"{history}{outcome.simulated_ms / 1000:.0f} s simulated in {seconds:.2f} s"
        f" ({cpu_seconds:.2f} s of one core)",
        highlight=False,
    )
    counts = outcome.liveness
    console.print(
        f"rounds {counts.rounds}: promised {counts.promised}, stored in time {counts.stored}, "
        f"votes split {counts.split}, slowest {counts.slowest_ms / 1000:.1f} s; "
        f"statements {outcome.statements}",
        highlight=False,
    )
    if not outcome.violations:
        console.print("everything held", style="green")
        return HELD
    _tell_failure(console, outcome, _render_options(options, options.seed), scheme)
    return BROKEN


def _get_scheme(options: argparse.Namespace) -> Scheme:
    return CHEAP if options.cheap else REAL


def _tell_failure(console: Console, outcome: Outcome, given: str, scheme: Scheme) -> None:
    """Print a failing seed: what broke, the least that breaks it, and a timeline per node."""
    first = outcome.violations[0]
    for violation in outcome.violations:
        console.print(render_violation(violation), style="red", highlight=False, markup=False)
    run_alike = partial(run_plan, scheme=scheme, hashed=False)
    smaller = shrink(outcome.plan, first.checker, run_alike)
    about = (first.pair, first.round) if first.pair else None
    timeline = Timeline(about)
    again = run_alike(smaller, watchers=(timeline,))
    shown = next((v for v in again.violations if v.checker == first.checker), first)
    console.print("\nthe least that still breaks it:", style="bold")
    console.print(render_plan(smaller), highlight=False, markup=False)
    console.print(render_violation(shown), style="red", highlight=False, markup=False)
    console.print(timeline.render(shown.true_ms), highlight=False, markup=False)
    console.print(f'\nas a test: one line in tests/sim/seeds.py: "{given}": "…",', soft_wrap=True)


def _run_many(console: Console, options: argparse.Namespace, fixed: Options) -> int:
    seeds = range(options.first, options.first + options.seeds)
    failed: dict[int, tuple[str, ...]] = {}
    by_checker: Counter[str] = Counter()
    rounds = promised = split = events = 0
    simulated_ms = 0
    began = time.monotonic()
    with _make_progress(console) as progress:
        task = progress.add_task("seeds", total=len(seeds), failed=0)
        for outcome in _run_seeds(seeds, fixed, options.jobs):
            said = tuple(sorted({violation.checker for violation in outcome.violations}))
            if said:
                failed[outcome.plan.seed] = said
                by_checker.update(said)
                progress.console.print(f"seed {outcome.plan.seed}: {', '.join(said)}", style="red")
            rounds += outcome.liveness.rounds
            promised += outcome.liveness.promised
            split += outcome.liveness.split
            events += outcome.events
            simulated_ms += outcome.simulated_ms
            progress.update(task, advance=1, failed=len(failed))
    seconds = time.monotonic() - began
    console.print(
        f"{len(seeds)} seeds from {seeds.start}, {events} events, "
        f"{simulated_ms / 3_600_000:.0f} h simulated in {seconds:.0f} s\n"
        f"rounds {rounds}, promised {promised}, votes split in {split}",
        highlight=False,
    )
    if not failed:
        console.print("everything held", style="green")
        return HELD
    console.print(f"{len(failed)} seeds broke {dict(by_checker)}", style="red", highlight=False)
    for seed in sorted(failed)[:_FAILURES_SHOWN_MAX]:
        given = _render_options(options, seed)
        console.print(
            f"  gossip-price simulate {given}   ({', '.join(failed[seed])})", soft_wrap=True
        )
    return BROKEN


def _make_progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("failed {task.fields[failed]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _run_seeds(seeds: range, fixed: Options, jobs: int) -> Iterator[Outcome]:
    plans = (make_plan(seed, fixed) for seed in seeds)
    if jobs <= 1:
        yield from map(_run_planned, plans)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run_planned, plans, chunksize=4)


def _run_planned(plan: Plan) -> Outcome:
    with _collecting_seldom():
        return run_plan(plan)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Look for cycles ten thousand times less often: what a world makes by the million has none."""
    usual = gc.get_threshold()
    gc.set_threshold(10_000 * usual[0], *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _run_mutants(console: Console, jobs: int) -> int:
    table = Table("deliberate bug", "must be caught by", "seeds", "caught by")
    missed = 0
    with get_context("spawn").Pool(jobs) as pool:
        found = pool.imap(_catch, range(len(MUTANTS)))
        for mutant, (seeds_tried, caught_by) in zip(MUTANTS, found, strict=True):
            missed += not caught_by
            seeds = str(seeds_tried) if caught_by else f"not in {seeds_tried}"
            table.add_row(mutant.name, mutant.checker, seeds, ", ".join(caught_by))
            console.print(f"{mutant.name}: {seeds}", highlight=False)
    console.print(table)
    return BROKEN if missed else HELD


def _catch(index: int) -> tuple[int, tuple[str, ...]]:
    """Return how many seeds a bug took and who caught it: what can leave a process.

    A bug itself cannot, nor what it came of.
    """
    caught = catch(MUTANTS[index], _MUTANT_SEEDS_MAX)
    return caught.seeds, caught.caught_by

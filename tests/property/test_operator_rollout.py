"""Whatever fails and whenever, a rollout takes nobody whom the quorum needs, and it ends."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gossip_price.network.spec_parts import NetworkSpec
from gossip_price_operator.observed import NodeHealth, Observed, Workload
from gossip_price_operator.plan import Desired, make_plan
from operator_cases import START, make_desired, make_health, make_inputs, make_ready

INTERVAL = 600


class Cluster:
    """Applies plans at once; nodes get ready, fail and recover when the test says so."""

    def __init__(self, desired: Desired, observed: Observed) -> None:
        self.desired = desired
        self.observed = observed
        self.now = START + 100
        #: Nodes that we took down by a rollout, and that are not back yet.
        self.taken: set[int] = set()
        self.failed: set[int] = set()

    def is_down(self, number: int) -> bool:
        return not self.observed.nodes[number].is_ready

    def carry_out(self) -> bool:
        """Make a plan and do it; return whether there is nothing left."""
        plan = make_plan(self.desired, self.observed, self.now)
        nodes = dict(self.observed.nodes)
        for number in plan.apply:
            wanted = self.desired.templates[number]
            if nodes[number].template_hash != wanted:
                if not self.is_down(number):
                    # One at a time, and only while nobody else is missed.
                    assert not any(map(self.is_down, nodes))
                    assert not self.taken
                self.taken.add(number)
                nodes[number] = Workload(wanted, image=self.desired.inputs.node_image)
        assert not plan.remove
        self.observed = replace(self.observed, nodes=nodes, file=plan.file)
        return plan.is_done

    def fail(self, number: int) -> None:
        self.failed.add(number)
        load = replace(self.observed.nodes[number], ready=0)
        self.observed = replace(self.observed, nodes={**self.observed.nodes, number: load})

    def recover(self) -> None:
        self.taken.clear()
        self.failed.clear()
        nodes = {
            number: replace(load, updated=1, ready=1)
            for number, load in self.observed.nodes.items()
        }
        self.observed = replace(self.observed, nodes=nodes)

    def tick(self) -> None:
        self.now += 30
        health = {n: self.health() for n in self.observed.nodes if not self.is_down(n)}
        self.observed = replace(self.observed, health=health)

    def health(self) -> NodeHealth:
        return make_health(self.now, INTERVAL)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(3, 7),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("fail"), st.integers(0, 6)),
            st.tuples(st.sampled_from(["recover", "look", "change"]), st.just(0)),
        ),
        max_size=20,
    ),
)
def test_no_order_of_failures_lets_a_rollout_take_more_than_the_quorum_spares(
    count: int, steps: list[tuple[str, int]]
) -> None:
    desired = make_desired(make_inputs({"nodes": {"count": count}}))
    first = make_plan(desired, Observed(), START)
    observed = Observed(
        nodes=dict.fromkeys(range(count), make_ready("old")),
        file=first.file,
        health={number: make_health(START + 100) for number in range(count)},
    )
    cluster = Cluster(desired, observed)
    image = 0
    for step, number in steps:
        if step == "fail":
            cluster.fail(number % count)
        elif step == "recover":
            cluster.recover()
        elif step == "change":
            image += 1
            spec = {"count": count, "resources": {"requests": {"cpu": f"{image}m"}}}
            cluster.desired = make_desired(make_inputs({"nodes": spec}))
        cluster.tick()
        cluster.carry_out()
    for _ in range(2 * count + 2):
        cluster.recover()
        cluster.tick()
        if cluster.carry_out():
            break
    assert cluster.carry_out()
    hashes = {n: load.template_hash for n, load in cluster.observed.nodes.items()}
    assert hashes == cluster.desired.templates


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(3, 9), min_size=1, max_size=4), ready_late=st.booleans())
def test_any_way_of_scaling_ends_with_the_wanted_members_and_never_without_a_quorum(
    sizes: list[int], ready_late: bool
) -> None:
    def want(count: int) -> Desired:
        return make_desired(make_inputs({"nodes": {"count": count}}, identities=9))

    desired = want(4)
    now = START + 100
    observed = Observed(
        nodes={n: make_ready(desired.templates[n]) for n in range(4)},
        file=make_plan(desired, Observed(), START).file,
    )
    for size in sizes:
        desired = want(size)
        for turn in range(60):
            assert observed.file is not None
            health = {
                n: make_health(now, proven_epoch=_get_epoch(observed, now)) for n in observed.nodes
            }
            observed = replace(observed, health=health)
            plan = make_plan(desired, observed, now)
            assert plan.file is not None
            _check_quorum(desired.spec, observed, set(plan.remove), now)
            nodes = {n: load for n, load in observed.nodes.items() if n not in plan.remove}
            for number in plan.apply:
                if ready_late and number not in nodes and turn % 2:
                    nodes[number] = Workload(desired.templates[number])
                else:
                    nodes[number] = make_ready(desired.templates[number])
            observed = replace(observed, nodes=nodes, file=plan.file)
            if plan.is_done:
                break
            now += 300
        assert make_plan(desired, observed, now).is_done
        assert sorted(observed.nodes) == list(range(size))
        assert observed.file is not None
        assert len(observed.file.epochs[-1].members) == size


def _get_epoch(observed: Observed, now: int) -> int:
    assert observed.file is not None
    return max(document.epoch for document in observed.file.epochs if document.start <= now)


def _check_quorum(spec: NetworkSpec, observed: Observed, remove: set[int], now: int) -> None:
    """Nobody is removed who is a member of an epoch that counts, or will."""
    assert observed.file is not None
    in_force = _get_epoch(observed, now)
    everyone = make_inputs(identities=9).nodes
    for document in observed.file.epochs:
        if document.epoch >= in_force:
            leaving = {everyone[number].address for number in remove}
            assert not leaving & {member.address for member in document.members}

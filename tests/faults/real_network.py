"""A network of real nodes: feed, bootstrap and members as processes, real libp2p, real Postgres.

Rounds of five seconds, settled after four. Each process has its spot: a host, and what stands
before its command (`ip netns exec …`); a member may have an environment of its own (a faked clock)
and its journal elsewhere (a small disk). The network may be of some age, for a past of its own.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from faults import watched_node
from faults.fault_network import DEADLINE_S, FaultNetwork, Life, get_told
from faults.process_life import ForkedLife, ProgramLife
from faults.recorder import Fact
from gossip_price.adapters.datafolder import DataFolder, Identity, LocalNetwork
from gossip_price.adapters.overview import Overview, ask
from gossip_price.adapters.postgres.embedded import EmbeddedPostgres
from gossip_price.adapters.tcp_ports import choose_ports
from gossip_price.cli.launch import COMMAND
from gossip_price.cli.localnet import Layout, make_node_children
from gossip_price.network.keys import parse_address
from gossip_price.network.sources import make_coinbase_like
from gossip_price.network.spec import make_resource, parse_network
from live_network import ROOT, find_free_ports, make_environment

MEMBERS: Final = 4
_LEAVE_S: Final = 30.0


#: All of 127/8 is this machine: an address of one's own, so that tests side by side never meet.
_HOST: Final = f"127.{1 + os.getpid() // 250 % 250}.{1 + os.getpid() % 250}.1"


class Spot(NamedTuple):
    """Where a process runs."""

    host: str = _HOST
    prefix: tuple[str, ...] = ()


class RealNetwork(FaultNetwork):
    """`spots` by name (`hub` is feed and bootstrap, else a member's index as text)."""

    def __init__(
        self,
        place: Path,
        server: EmbeddedPostgres,
        template: str,
        *,
        spots: Mapping[str, Spot] | None = None,
        environments: Mapping[int, Mapping[str, str]] | None = None,
        journals: Mapping[int, Path] | None = None,
        age_s: int = 0,
    ) -> None:
        super().__init__(place, server, template)
        self._spots = spots or {}
        self._own_environments = environments or {}
        self._offset_ms = round((time.time() - time.monotonic()) * 1000)
        spec = {"price": {"interval": "5s"}, "consensus": {"settle": "4s"}}
        self._folder = DataFolder.open(place / "data")
        network = self._folder.create(
            parse_network(make_resource(spec)).spec, start=int(time.time()) - age_s
        )
        self.documents = network.file.epochs
        index = self.documents[0].index_by_address
        self._nodes: dict[int, Identity] = {
            index[parse_address(node.member.address)]: node for node in network.nodes
        }
        self.journals = {node: each.journal for node, each in self._nodes.items()}
        self.journals |= journals or {}
        self.signers = {node: each.signing_key for node, each in self._nodes.items()}
        self._helpers: list[Life] = []
        self._start_all(network)

    def to_true_ms(self, ns: int) -> int:
        return ns // 1_000_000 + self._offset_ms

    def _start_all(self, network: LocalNetwork) -> None:
        http_port = find_free_ports(MEMBERS + 1)
        hub = self._get_spot("hub")
        dice = random.Random()  # noqa: S311 - chooses ports, guards no secret
        taken = range(http_port, http_port + MEMBERS + 1)
        p2p = choose_ports(MEMBERS + 2, dice, taken)
        layout = Layout(http_port, tuple(p2p[:-1]), p2p[-1])
        environment = make_environment() | {"PYTHONPATH": f"{ROOT / 'node'}:{ROOT / 'tests'}"}
        environment |= {"PYTHONUNBUFFERED": "1"}
        feed_url = f"http://{hub.host}:{layout.feed_port}/"
        children = make_node_children(
            COMMAND, environment, network, layout,
            network_path=self._folder.network_path,
            database=self.proxy.get_url(self.database),
            sources=(make_coinbase_like("simulated", feed_url, simulated=True),),
            min_sources=1,
            access="Private",
        )  # fmt: skip
        feed = (*COMMAND, "feed", "--host", hub.host, "--port", str(layout.feed_port))
        self._start_helper("feed", feed, environment)
        bootstrap = dict(children[0].environment)
        _move(bootstrap, hub.host, hub.host)
        self._start_helper("bootstrap", children[0].command, bootstrap)
        self.environments: dict[int, dict[str, str]] = {}
        for number, child in enumerate(children[1:]):
            node = self.documents[0].index_by_address[
                parse_address(network.nodes[number].member.address)
            ]
            own = dict(child.environment)
            _move(own, self._get_spot(str(node)).host, hub.host)
            own["GP_JOURNAL_FILE"] = str(self.journals[node])
            self.environments[node] = own | dict(self._own_environments.get(node, {}))

    def ask_how_it_is(self, node: int) -> Overview:
        """Return how the network is, as a member tells it over HTTP."""
        return ask(f"http://{self.environments[node]['GP_HTTPADDR']}")

    def start(self) -> None:
        """Start every member, and wait until all have signed and a price is stored."""
        with self.disturbed("the start"):
            for node in self.journals:
                self.begin(node)
            for node in self.journals:
                self.wait_until_signing(node)
            self.wait_for_told("stored", 2)

    def begin(self, node: int, mark: str | None = None, crossing: int = 1) -> None:
        """Start a life of a member; it ends at that crossing of the mark."""
        life = self.life_counts[node] = self.life_counts.get(node, 0) + 1
        log = self.place / f"node-{node}.log"
        environment = self.environments[node]
        prefix = self._get_spot(str(node)).prefix
        if prefix or node in self._own_environments:
            words = [str(self.facts.folder), str(node), str(life)]
            words += [] if mark is None else [mark, str(crossing)]
            command = (*prefix, sys.executable, "-m", "faults.watched_node", *words)
            self.lives[node] = ProgramLife(command, environment, log)
        else:
            arguments = (self.facts.folder, node, life, mark, crossing)
            self.lives[node] = ForkedLife(watched_node.run_forked, environment, str(log), arguments)

    def wait_until_signing(self, node: int, after: int = 0) -> None:
        """Wait until a member has signed a report, its own or another's."""

        def find(facts: list[Fact]) -> list[Fact]:
            return get_told(facts, "signed", node) + get_told(facts, "proposed", node)

        self.wait_for(find, f"signature of node {node}", after=after)

    def send(self, node: int, number: signal.Signals) -> None:
        """Send a member a signal."""
        os.kill(self.lives[node].pid, number)

    def end_nodes(self) -> None:
        for life in self.lives.values():
            if life.is_running():
                os.kill(life.pid, signal.SIGTERM)
        for life in self.lives.values():
            life.wait(_LEAVE_S)

    def close(self) -> None:
        for life in (*self.lives.values(), *self._helpers):
            if life.is_running():
                os.kill(life.pid, signal.SIGKILL)
                life.wait(DEADLINE_S)
        self._folder.close()
        super().close()

    def _get_spot(self, name: str) -> Spot:
        return self._spots.get(name, Spot())

    def _start_helper(
        self, name: str, command: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        prefix = self._get_spot("hub").prefix
        log = self.place / f"{name}.log"
        self._helpers.append(ProgramLife((*prefix, *command), environment, log))


def _move(environment: dict[str, str], host: str, hub: str) -> None:
    """Let a process listen at its own host and find the bootstrap at the hub."""
    here = "127.0.0.1"
    for name, place in (
        ("GP_CONNECTIONADDR", host), ("GP_HTTPADDR", host), ("GP_BOOTSTRAPADDR", hub),
    ):  # fmt: skip
        if name in environment:
            environment[name] = environment[name].replace(here, place)

"""What `up` shows while it runs: for people or as JSON, in the names that they know members by.

Told of what happens; knows no process and starts none.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from gossip_price.adapters.console import JsonLog, LiveLog, Log
from gossip_price.adapters.datafolder import DataFolder, DataFolderError, Identity, LocalNetwork
from gossip_price.adapters.supervisor import Died, Happening, Line, Restarted
from gossip_price.cli import banner


class Display:
    """One run's output. `give_up` is called where whoever reads it has gone."""

    def __init__(self, *, json: bool, give_up: Callable[[], None]) -> None:
        self._json = json
        self._give_up = give_up
        self._folder: DataFolder | None = None
        self._labels: dict[str, str] = {}
        self._log = self._make_log((), self._labels)

    def take_network(self, folder: DataFolder, network: LocalNetwork) -> None:
        """Show members by their names in the network of `folder` from now on."""
        self._folder = folder
        self._labels = banner.make_labels(network)
        self._log = self._make_log(network.nodes, self._labels)

    def show_start(self, start: banner.Start, now_s: int) -> None:
        """Show what is about to run, and where."""
        if self._json:
            self._log.say("started", "", **banner.make_fields(start, now_s))
            return
        console = Console(highlight=False)
        for line in banner.make_lines(start, now_s):
            style = "bold yellow" if "SIMULATED" in line else ""
            console.print(line, style=style, markup=False, soft_wrap=True)

    def say(self, event: str, text: str) -> None:
        """Show something of our own."""
        with self._shown():
            self._log.say(event, text)

    def hear(self, happening: Happening) -> None:
        """Show what happens to the children."""
        label = self._labels.get(happening.name, happening.name)
        with self._shown():
            match happening:
                case Line(name, text):
                    if "epoch_entered" in text:
                        self._number_anew()
                    self._log.read(name, text)
                case Died(name, how, pause_s):
                    text = f"{label} died ({how}), starting it again in {pause_s:.1f} s"
                    self._log.say(
                        "child_died", text, style="bold red", child=name, how=how, pause_s=pause_s
                    )
                case Restarted(name, pid):
                    text = f"{label} runs again (process {pid})"
                    self._log.say("child_restarted", text, style="green", child=name, pid=pid)

    def _number_anew(self) -> None:
        """Call members by their numbers in the epoch that was just entered."""
        # A file that is damaged while we run is the nodes' matter, who keep what they know.
        with contextlib.suppress(DataFolderError):
            network = None if self._folder is None else self._folder.load()
            if network is not None:
                self._labels.update(banner.make_labels(network))

    def _make_log(self, nodes: Sequence[Identity], labels: Mapping[str, str]) -> Log:
        if self._json:
            return JsonLog(lambda text: print(text, end="", flush=True), time.time)
        members = {node.member.address: node.name for node in nodes}
        return LiveLog(Console(highlight=False), members, labels, time.time)

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        """Show something. Whoever reads us may have gone: then we go too."""
        try:
            yield
        except (BrokenPipeError, SystemExit):  # the latter is how rich says it
            _silence_stdout()
            self._give_up()


def _silence_stdout() -> None:
    """Let nothing fail that is still printed."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())

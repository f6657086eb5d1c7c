"""Five minutes without a database, in the background: its network is nobody else's meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Final

from e2e.api import get_condition
from e2e.external_postgres import ExternalPostgres
from e2e.network import Network
from e2e.rounds import get_round
from e2e.watching import Watch

DURATION_S: Final = 300.0

#: What a look at the network sees: NodesReady, and PricesFlowing with its reason.
Seen = tuple[str, str, str]


class Outage:
    """Takes the database away, looks at the network meanwhile, and brings it back."""

    def __init__(self, network: Network, postgres: ExternalPostgres) -> None:
        self._network, self._postgres = network, postgres
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: Exception | None = None
        #: The round in which it began.
        self.first = 0
        self.seen: list[Seen] = []

    def begin(self) -> None:
        """Begin it; the caller goes on."""
        self._thread.start()

    def wait_over(self) -> None:
        """Wait until the database is back; raise what went wrong."""
        self._thread.join(2 * DURATION_S)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise AssertionError("the outage could not be made") from self._failure

    def _run(self) -> None:
        try:
            self.first = get_round()
            self._postgres.scale(0)
            with Watch(self._look, every_s=3) as watch:
                time.sleep(DURATION_S)  # the duration is what is tested
            self.seen = [seen for _, seen in watch.seen]
            self._postgres.scale(1)
        except Exception as error:  # noqa: BLE001 - told by the test that waits
            self._failure = error

    def _look(self) -> Seen:
        resource = self._network.get()
        flowing = get_condition(resource, "PricesFlowing")
        return (
            get_condition(resource, "NodesReady")["status"],
            flowing["status"],
            flowing["reason"],
        )

"""What waits in a node at one moment: for more signers, or for the database. Values only."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Waiting(Struct, frozen=True):
    """How many settled rows nobody is known to have stored, and when the oldest was last signed."""

    count: int
    oldest_signed_ms: int | None


class Backlog(Struct, frozen=True):
    """What waits now. Ages are of the oldest, 0 where nothing waits.

    `unsettled`: proven, and signers may still come; its age counts from the quorum. `unstored`:
    settled, and neither written by us nor vouched for by another member; its age counts from the
    last new signer. `stored_rounds`: by pair the newest round known to be stored.
    """

    unsettled: int
    unsettled_age_ms: int
    unstored: int
    unstored_age_ms: int
    stored_rounds: Mapping[str, int]

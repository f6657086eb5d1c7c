"""What comes into the machine and what comes out of it: events, effects, records, notes.

Events are what the world did; effects are what the world is asked to do. Every value is
frozen. The order in which effects are carried out is the engine's (`engine.take_turn`):
journal, then signatures, then everything that leaves the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from gossip_price.core.rows import Correction, FoundRow, Key, LateSignature, RowRange
from gossip_price.core.types import Entry, Observation, Report, StoredRow
from gossip_price.network.document import PairTerms
from gossip_price.network.epochs import EpochChain

# --- events ---------------------------------------------------------------------------------


class Tick(Struct, frozen=True):
    """Time has passed; the machine looks at its own deadlines."""


class Received(Struct, frozen=True):
    """A gossip message came. `author` is the peer id that signed it, not who forwarded it."""

    author: str
    data: bytes


class Observed(Struct, frozen=True):
    """A fetch ended well. `terms` are those of the Fetch: they say what the price's digits mean."""

    terms: PairTerms
    round: int
    observation: Observation


class NotObserved(Struct, frozen=True):
    """A fetch ended without an observation; `reason` is a metric's label, `detail` for people."""

    pair: str
    round: int
    reason: str
    detail: str = ""


class Signed(Struct, frozen=True):
    """Our signature (65 bytes) over a digest that we asked for, whose vote is synced to disk."""

    digest: bytes
    signature: bytes


class JournalFailed(Struct, frozen=True):
    """Records could not be made durable: nothing may rely on them, and nothing is signed."""

    reason: str


class JournalRecovered(Struct, frozen=True):
    """The journal takes records again."""


class Recalled(Struct, frozen=True):
    """What the journal holds of the ids that a Recall with this token named, by id."""

    token: int
    records: tuple[ProvenRecord, ...]


class RangeRecalled(Struct, frozen=True):
    """What the journal holds of the range, or the ids, that the audit asked for, in order.

    `records` is None when the journal cannot be read: that is not the same as empty.
    """

    token: int
    records: tuple[ProvenRecord, ...] | None


class StoreUp(Struct, frozen=True):
    """The database answers and names itself (`store`, 32 bytes)."""

    store: bytes


class StoreDown(Struct, frozen=True):
    """The database does not answer."""

    reason: str


class Stored(Struct, frozen=True):
    """A batch was written: these ids stand in the table now; `inserted` are those we put there."""

    ids: tuple[bytes, ...]
    inserted: tuple[bytes, ...]


class StoreRefused(Struct, frozen=True):
    """The database answered and refused this batch as a whole: one of its rows is poison."""

    ids: tuple[bytes, ...]
    reason: str


class RowsRead(Struct, frozen=True):
    """What stands in the table of what the audit asked for; ranges by round and id."""

    token: int
    rows: tuple[FoundRow, ...]


class Corrected(Struct, frozen=True):
    """One transaction moved these ids' rows into quarantine and inserted those true ones."""

    token: int
    moved: tuple[bytes, ...]
    inserted: tuple[bytes, ...]


class SignaturesAdded(Struct, frozen=True):
    """So many of the late signatures were not there before."""

    token: int
    count: int


class AuditFailed(Struct, frozen=True):
    """A statement of the audit did not succeed. `is_refusal`: these values never will."""

    token: int
    reason: str
    is_refusal: bool = False


class Asked(Struct, frozen=True):
    """A peer, proven by its connection, asks a question; answer with Answer and this token."""

    peer: str
    token: int
    data: bytes


class Answered(Struct, frozen=True):
    """The peer that we asked has answered."""

    peer: str
    data: bytes


class AskFailed(Struct, frozen=True):
    """The peer that we asked gave no answer; `reason` is one of `ports.RequestError`'s."""

    peer: str
    reason: str
    detail: str = ""


class PeersChanged(Struct, frozen=True):
    """We have live connections to these peer ids now, and to no others."""

    peers: frozenset[str]


class NetworkChanged(Struct, frozen=True):
    """The network file names these epochs now: those known, and perhaps more."""

    chain: EpochChain


class Closing(Struct, frozen=True):
    """The process is leaving: sign nothing more, send and store what is ready."""


Event = (
    Tick
    | Received
    | Observed
    | NotObserved
    | Signed
    | JournalFailed
    | JournalRecovered
    | Recalled
    | RangeRecalled
    | StoreUp
    | StoreDown
    | Stored
    | StoreRefused
    | RowsRead
    | Corrected
    | SignaturesAdded
    | AuditFailed
    | Asked
    | Answered
    | AskFailed
    | PeersChanged
    | NetworkChanged
    | Closing
)


AuditEvent = RangeRecalled | RowsRead | Corrected | SignaturesAdded | AuditFailed


# --- records: what the journal keeps --------------------------------------------------------


class Vote(Struct, frozen=True):
    """We have decided to sign `id` and, for this `key`, will never sign another.

    `key` is `pair|round` in Rounds and `pair|round|proposer` in EveryNode.
    """

    key: str
    id: bytes
    report: Report


class ProvenRecord(Struct, frozen=True):
    """A proven entry as we know it; written again when signatures are added.

    `sources` and `spread_bp` are of our own observation of that round, for the row we may write.
    """

    id: bytes
    entry: Entry
    last_signed_ms: int
    sources: tuple[str, ...] = ()
    spread_bp: int | None = None


class StoredRecord(Struct, frozen=True):
    """The id stands in the database: we wrote it (`confirmed`), or a receipt says so."""

    id: bytes
    confirmed: bool


class LeftToOthers(Struct, frozen=True):
    """The id is proven, and not ours to store: in time it may be forgotten as if it stood there."""

    id: bytes


class RoundRecord(Struct, frozen=True):
    """The highest round our clock has entered."""

    highest: int


class EpochRecord(Struct, frozen=True):
    """The newest epoch we know, by number and hash; no later life may know less."""

    epoch: int
    hash: bytes


class Forget(Struct, frozen=True):
    """Votes and entries of rounds before this one have served their time."""

    before_round: int


Record = Vote | ProvenRecord | StoredRecord | LeftToOthers | RoundRecord | EpochRecord | Forget


class Recollection(Struct, frozen=True):
    """What a journal held when the process started. `birth_ms` is when the file was made."""

    birth_ms: int
    highest_round: int
    votes: tuple[Vote, ...]
    proven: tuple[ProvenRecord, ...]
    stored: tuple[StoredRecord, ...]
    epoch: EpochRecord | None = None


# --- effects --------------------------------------------------------------------------------


class Remember(Struct, frozen=True):
    """Make the record durable before anything that relies on it leaves."""

    record: Record


class Sign(Struct, frozen=True):
    """Sign 32 bytes; answer with Signed. A vote's record was remembered in this turn or before."""

    digest: bytes


class Recall(Struct, frozen=True):
    """Read proven entries back from the journal; answered with Recalled in the same turn.

    Memory holds only the newest; `limits.RECALL_IDS_MAX` ids at most. Who asks knows its answer by
    the token. (The audit goes by ranges: RecallRange.)
    """

    token: int
    ids: tuple[bytes, ...]


class RecallRange(Struct, frozen=True):
    """Read proven entries after a key back from the journal, by round and id, at most `limit`.

    Where there are `ids`, those instead. Answered with RangeRecalled in the same turn. The audit's
    own pair of effect and event: its tokens meet nobody else's (those of Recall are dealt
    elsewhere).
    """

    token: int
    after: Key
    limit: int
    ids: tuple[bytes, ...] = ()


class Fetch(Struct, frozen=True):
    """Observe a pair for a round within `deadline_ms`; answer with Observed or NotObserved."""

    terms: PairTerms
    round: int
    deadline_ms: int


class Publish(Struct, frozen=True):
    """Send these bytes to all members."""

    data: bytes


class Write(Struct, frozen=True):
    """Insert these rows, sorted by id, in one statement."""

    rows: tuple[StoredRow, ...]


class ReadRows(Struct, frozen=True):
    """Read rows for the audit: a range, or these ids. Answered with RowsRead or AuditFailed."""

    token: int
    range: RowRange | None
    ids: tuple[bytes, ...]
    deadline_ms: int


class Correct(Struct, frozen=True):
    """Put false rows into quarantine and true ones in their place, in one transaction.

    Answered with Corrected or AuditFailed.
    """

    token: int
    corrections: tuple[Correction, ...]


class AddSignatures(Struct, frozen=True):
    """Insert late signatures, in one statement; answered with SignaturesAdded or AuditFailed."""

    token: int
    late: tuple[LateSignature, ...]


class Ask(Struct, frozen=True):
    """Ask one peer this question, directly; answer with Answered or AskFailed.

    Nobody is asked a second question before the first has its answer or has failed.
    """

    peer: str
    data: bytes
    deadline_ms: int


class Answer(Struct, frozen=True):
    """Answer the question that came with this token; no bytes at all refuse it."""

    token: int
    data: bytes


class Penalize(Struct, frozen=True):
    """Cut off the author of something provably false."""

    author: str
    reason: str


class NoteKind(Enum):
    """What people and metrics are told."""

    OBSERVED = "observed"
    NOT_OBSERVED = "not_observed"
    PROPOSED = "proposed"
    SIGNED = "signed"
    COSIGNED = "cosigned"
    PROVEN = "proven"
    SETTLED = "settled"
    STORED = "stored"
    RECEIPT = "receipt"
    ROUND_LOST = "round_lost"
    WITHHELD = "withheld"
    EQUIVOCATION = "equivocation"
    IGNORED = "ignored"
    REJECTED = "rejected"
    PUBLISHED = "published"
    ASKED = "asked"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    HEALED = "healed"
    CAUGHT_UP = "caught_up"
    POISON = "poison"
    AUDITED = "audited"
    AUDIT_FAILED = "audit_failed"
    RESTORED = "restored"
    QUARANTINED = "quarantined"
    LEFT_ALONE = "left_alone"
    LATE_SIGNED = "late_signed"
    CLOCK_STEPPED = "clock_stepped"
    JOURNAL_FAILED = "journal_failed"
    JOURNAL_RECOVERED = "journal_recovered"
    STORE_DOWN = "store_down"
    STORE_UP = "store_up"
    EPOCH_KNOWN = "epoch_known"
    EPOCH_REFUSED = "epoch_refused"
    EPOCH_ENTERED = "epoch_entered"
    PROTOCOL_UNKNOWN = "protocol_unknown"


class Note(Struct, frozen=True):
    """Something happened that people, logs or metrics want to know. Decides nothing.

    `member` is the 20-byte address of who did it, `proposer` that of a report's; `count` of
    `needed` distinct signers. `ms` is a duration: of what was proven since its round began (0 if
    it came late), of what settled or was stored since its last new signer.
    """

    kind: NoteKind
    pair: str = ""
    round: int = 0
    id: bytes = b""
    member: bytes = b""
    proposer: bytes = b""
    price: int = 0
    decimals: int = 0
    count: int = 0
    needed: int = 0
    ms: int = 0
    reason: str = ""
    detail: str = ""
    author: str = ""


AuditEffect = RecallRange | ReadRows | Correct | AddSignatures
Effect = (
    Remember
    | Sign
    | Recall
    | Fetch
    | Publish
    | Write
    | AuditEffect
    | Ask
    | Answer
    | Penalize
    | Note
)
Effects = Sequence[Effect]

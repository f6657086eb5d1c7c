"""Every number that bounds the protocol, with its reason. Times in milliseconds unless named _s."""

from __future__ import annotations

from typing import Final

from gossip_price.network.document import MEMBERS_MAX, PAIRS_MAX

#: A gossip message; py-libp2p silently drops what is over 1 MiB, and half leaves room for framing.
MESSAGE_BYTES_MAX: Final = 512 * 1024
#: Entries in one message: a full N = 256 entry is about 17 KB, a usual one under 500 bytes.
ENTRIES_MAX: Final = 1024
#: Ids in one receipt: one batch (BATCH_ROWS_MAX).
RECEIPT_IDS_MAX: Final = 256
#: Distinct reports kept for one (pair, round, proposer). An honest proposer makes one; some more,
#: so that a liar who shows us one and the others another cannot hide the one they prove.
VARIANTS_MAX: Final = 4
#: How long a message waits for company: idle, and at most under load (settling takes 30 s anyway).
LINGER_MIN_MS: Final = 20
LINGER_MAX_MS: Final = 2_000
#: Messages heard and sent in a second at which the wait has reached its maximum: with 3-5 ms of
#: CPU a message, two cores carry 20 nodes at about 25 messages a second.
LINGER_FULL_RATE: Final = 20
#: Observations start within this after the round's start, spread by node: no herd at the sources.
OBSERVE_JITTER_MS: Final = 500
#: A fetch may take this share of the interval, and never longer than OBSERVE_MAX_MS.
OBSERVE_SHARE: Final = 0.5
OBSERVE_MAX_MS: Final = 20_000
#: A writer gives the one before it this long before it takes over.
WRITER_STEP_MS: Final = 3_000
#: After the database came back, heartbeats that name it are awaited this long before writers have
#: ranks: longer than the longest linger and a message's way.
ROLL_CALL_MS: Final = 3_000
#: Rows that settle within this of each other are written together; a row is stored within a second.
WRITE_GATHER_MS: Final = 500
#: The slot that gives the writing order after an outage.
WRITE_SLOT_S: Final = 60
#: Rows in one INSERT; at N = 256 signatures each about 4 MB.
BATCH_ROWS_MAX: Final = 256
#: A refused single row is tried again this much later, in case somebody mended the database.
POISON_RETRY_MS: Final = 600_000
#: A row that only a receipt vouches for is inserted (idempotently) by ourselves after this time at
#: most; all such rows go together, so that the check costs few statements.
RECEIPT_TRUST_MS: Final = 3_600_000
#: Heartbeat interval of few members while a price is under way (neither settled nor signed by
#: all members); it grows so that all members together send about 4 a second.
HEARTBEAT_MS: Final = 5_000
#: The same while nothing is under way, which in a network of long rounds is most of the time: all
#: together send one in 3 s then. Who is asked to show itself soon is not in a hurry.
HEARTBEAT_QUIET_MS: Final = 60_000
#: Quiet begins this long after a start or a change of the store: others must hear of it, and one
#: heartbeat may be lost.
HEARTBEAT_LOUD_MS: Final = 30_000
#: A member whose newest heartbeat is older than this many intervals does not count as a writer.
HEARTBEAT_MISSED: Final = 3
#: After two it is late already: one heartbeat may be lost, and one may be on its way.
HEARTBEAT_MISSED_LATE: Final = 2
#: So many members at least must say of another that they don't hear it: one alone may be the one
#: that is cut off.
REPORTERS_MIN: Final = 2
#: What a heartbeat says of others: a bit a member; a count of messages a member, which at 25 a
#: second ends after five years (and then stands still); an index, a round and a price a pair. At
#: most 2.1 KB, of four members 34 bytes.
CONNECTED_BYTES_MAX: Final = MEMBERS_MAX // 8
HEARD_COUNT_MAX: Final = 2**32 - 1
HEARD_BYTES_MAX: Final = MEMBERS_MAX * 4
OBSERVED_BYTES_MAX: Final = PAIRS_MAX * (1 + 8 + 8)
#: Open ids in one heartbeat: at 256 members 16 KiB. With more open, the window moves at each beat.
OPEN_IDS_MAX: Final = 256
#: Beside the time that messages wait for company, gossip has this long to bring what a heartbeat
#: shows us to lack, before it is asked for.
HEAL_PATIENCE_MS: Final = 500
#: Members ask within this share of the heartbeat interval after that, spread by a hash, so that
#: the one member that has something is not asked by all at once.
HEAL_SPREAD: Final = 0.2
#: Ids asked for in one question, and the signatures expected for them: a question's answer is
#: under 100 KB then, and checking it takes a tenth of a second.
ASK_IDS_MAX: Final = 64
ASK_SIGNATURES_MAX: Final = 1_024
#: Questions of ours under way at once, one a peer.
ASKS_MAX: Final = 4
#: An answer takes this long at most. While a slow peer is waited for, nobody else is asked for
#: the same ids.
ASK_DEADLINE_MS: Final = 5_000
#: What a peer did not give, or gave to no avail, it is not asked for again for this long.
ASK_AGAIN_MS: Final = 30_000
#: A peer that breaks what its heartbeats promise is asked ever more seldom, doubling from one
#: heartbeat to this.
ASK_BACKOFF_MAX_MS: Final = 300_000
#: Questions of one peer that are answered in a second; an honest one asks a few a minute, or,
#: catching up, one after the other.
ANSWERS_A_SECOND: Final = 32
#: A question: ASK_IDS_MAX ids are 2.2 KB, WALK_NODES_ASK_MAX nodes 3.4 KB. An answer: a full
#: N = 256 entry is about 17 KB, so that at least 26 fit; one that would be larger ends early.
QUESTION_BYTES_MAX: Final = 4 * 1024
ANSWER_BYTES_MAX: Final = 512 * 1024
#: Proven entries stay in the journal this long.
JOURNAL_AGE_S: Final = 7 * 86_400
#: Entries read back from the journal at once; the turn waits for it (a few milliseconds).
RECALL_IDS_MAX: Final = 256
#: Rows in one page of an audit, and signatures: checking what we do not know already takes a tenth
#: of a second. A page is one statement, and a second one if rows of ours are not in it.
AUDIT_ROWS_MAX: Final = 256
AUDIT_SIGNATURES_MAX: Final = 2_048
#: Between two pages others have the database; a week of one pair at 15 s is read in a minute.
AUDIT_PAUSE_MS: Final = 250
#: A page is given up after this. The write that falls due meanwhile waits no longer than that.
AUDIT_READ_MS: Final = 3_000
#: The machine's own patience with a statement, for an answer that never comes: connections are
#: given up after 10 s by their adapter.
AUDIT_ANSWER_MS: Final = 30_000
#: A page that failed is tried again after this; after so many failures in a row the audit waits
#: for its next turn.
AUDIT_RETRY_MS: Final = 30_000
AUDIT_FAILURES_MAX: Final = 3
#: Each hour the rounds of the last two hours are audited, so that each is met twice while fresh.
AUDIT_RECENT_S: Final = 2 * 3_600
AUDIT_RECENT_EVERY_MS: Final = 3_600_000
#: Once a day the whole age of the journal is.
AUDIT_WHOLE_EVERY_MS: Final = 86_400_000
#: After a reconnect members audit within this, spread by a hash, behind the roll call.
AUDIT_SPREAD_MS: Final = 10_000
#: Pages in one audit: a week of 26 pairs at 15 s. What somebody floods the table with beyond that
#: waits for the next audit.
AUDIT_PAGES_MAX: Final = 4_096
#: Late signatures that wait to be added by us; what is over is found by the audit.
LATE_MAX: Final = 4_096
#: Proven entries kept in memory after they were stored, for late signatures; oldest leave first.
RECENT_MAX: Final = 4_096
#: Proven entries that wait for the database in memory (about 1 KB each at four members); beyond it
#: new ones are refused with an alarm.
WAITING_MAX: Final = 200_000
#: A wall clock that moved this much against the monotonic one has stepped.
CLOCK_STEP_MS: Final = 2_000
#: The journal is tried again this long after it failed.
JOURNAL_RETRY_MS: Final = 5_000
#: Unproven reports of one round are given up this long after signing has ended.
ROUND_GRACE_MS: Final = 30_000
#: Hash trees of what is proven: today's and those of the six days before, so that everything in
#: them is in the journal (JOURNAL_AGE_S).
FOREST_DAYS: Final = 7
#: Rounds are taken up into the trees in slots of this length, so that trees stand still between
#: and clocks that differ by the skew agree on them nearly always. Divides a day.
FOREST_SLOT_S: Final = 300
#: Ids in all trees, 120 to 270 bytes each, by how full the leaves are: 7 days at 5 s of one pair
#: are 120 960 and 20 MB. Beyond it (135 MB at most) the oldest day is dropped whole.
FOREST_IDS_MAX: Final = 500_000
#: A peer's root that differs is looked into after it has differed for this long, and up to as
#: much again, spread by a hash; gossip and the other side's own questions come first.
CATCHUP_PATIENCE_MS: Final = 30_000
#: Who has more signatures than the peer whose root differs will most likely gain nothing by
#: asking: it leaves the peer this many times as long to ask itself.
CATCHUP_PATIENCE_AHEAD: Final = 20
#: Others' trees that are walked at once, one a peer and one a day.
WALKS_MAX: Final = 2
#: Time between an answer and the next question of a walk: checking 64 entries takes 25 to 100 ms,
#: and the rest is for everything else.
WALK_PACE_MS: Final = 100
#: Nodes asked for in one question: 64 leaves of 16 ids at 256 members are 67 KB.
WALK_NODES_ASK_MAX: Final = 64
#: Nodes that a walk looks at before it has gained anything, and more for each id gained (a path
#: is 4 to 6 nodes deep; all parts of each are looked at where everything differs). A day's tree
#: of 17 280 ids has 5 000 nodes.
WALK_NODES_FREE: Final = 512
WALK_NODES_A_GAIN: Final = 16
#: Nodes of a walk that wait to be asked for: 64 parts of 16, on each of 16 levels, none skipped.
WALK_PLACES_MAX: Final = 16_384
#: After a walk that was not worth its questions, the peer is left alone for this long, doubling to
#: the maximum.
WALK_BACKOFF_MS: Final = 60_000
WALK_BACKOFF_MAX_MS: Final = 3_600_000

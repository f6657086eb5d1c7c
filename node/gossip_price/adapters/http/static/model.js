// What this page knows. Answers of the node replace it; events change it until the next answer.

const ROUNDS_KEPT = 1000;
const PRICES_KEPT = 3000;

export function makeState() {
  return {
    network: null,
    rounds: [],
    prices: [], // of the chosen pair, newest first
    next: null, // the cursor to older ones
    unproven: 0, // rows of the database that the node left out of the newest ones
    pair: null,
    bands: new Map(), // `${pair} ${round}` → the members' own observations of it, by address
    connection: { status: "connecting", sinceMs: null },
    clock: null, // the node's time when we heard it, and ours
    verdicts: new Map(), // id → what verifying it gave, and the text `of` which it is
  };
}

/** Keep the node's clock: ages are told by it, so that the reader's own does not matter. */
export function setClock(state, nowText) {
  const wallMs = Date.parse(nowText);
  if (!Number.isNaN(wallMs)) state.clock = { wallMs, atMs: performance.now() };
}

export function getNow(state) {
  if (state.clock === null) return Date.now();
  return state.clock.wallMs + (performance.now() - state.clock.atMs);
}

export function setRounds(state, answer) {
  setClock(state, answer.now);
  const isNew = new Set(answer.rounds.map(nameRound));
  const kept = state.rounds.filter((round) => !isNew.has(nameRound(round)));
  sortRounds(state, [...answer.rounds, ...kept]);
  for (const round of answer.rounds) {
    for (const seen of round.observations ?? []) keepObservation(state, round, seen);
  }
}

const nameRound = ({ pair, round }) => `${pair} ${round}`;

function sortRounds(state, rounds) {
  state.rounds = rounds.sort((a, b) => b.round - a.round).slice(0, ROUNDS_KEPT);
}

function keepObservation(state, round, { member, price }) {
  const key = nameRound(round);
  if (!state.bands.has(key)) {
    state.bands.set(key, { round: round.round, seen: new Map() });
    if (state.bands.size > ROUNDS_KEPT) {
      const [oldest] = [...state.bands].reduce((a, b) => (a[1].round <= b[1].round ? a : b));
      state.bands.delete(oldest);
    }
  }
  state.bands.get(key)?.seen.set(member, price);
}

/** The lowest and the highest that members saw themselves in a round; null if fewer than two. */
export function findBand(state, report) {
  const values = [...(state.bands.get(nameRound(report))?.seen.values() ?? [])].map(Number);
  return values.length > 1 ? [Math.min(...values), Math.max(...values)] : [null, null];
}

/** Take a page of the newest prices. False if rows are missing between these and the known ones. */
export function addNewest(state, { prices, next, unproven }) {
  const known = new Set(state.prices.map((price) => price.id));
  if (known.size > 0 && !prices.some((price) => known.has(price.id))) return false;
  const oldest = state.prices.at(-1)?.report.round ?? Infinity;
  if (prices.length === 0 || prices.at(-1).report.round <= oldest) state.next = next;
  state.unproven = unproven ?? 0;
  addPrices(state, prices);
  return true;
}

/** What verifying a price gave, as it is now; null of another content under the same id. */
export function getVerdict(state, price) {
  const verdict = state.verdicts.get(price.id);
  return verdict?.of === JSON.stringify(price) ? verdict : null;
}

/** Merge prices by id; what came last counts, for a settled one becomes a stored one. */
export function addPrices(state, prices) {
  const byId = new Map(state.prices.map((price) => [price.id, price]));
  for (const price of prices) byId.set(price.id, price);
  const order = (a, b) => b.report.round - a.report.round || (a.id < b.id ? 1 : -1);
  state.prices = [...byId.values()].sort(order).slice(0, PRICES_KEPT);
}

/** Apply one event. True if the node should be asked for the rounds, false if that is not needed. */
export function applyEvent(state, name, data) {
  const round = findRound(state, data);
  if (round === null) return false;
  if (name === "observation") {
    if (data.member && data.price) {
      keepObservation(state, round, data);
      round.observations = [
        ...(round.observations ?? []).filter((seen) => seen.member !== data.member),
        { member: data.member, price: data.price },
      ];
      if (round.state === "waiting") round.state = "observed";
    }
    return false;
  }
  if (name === "lost") {
    Object.assign(round, { state: "lost", reason: data.reason ?? null });
    return true;
  }
  const proposal = findProposal(round, data);
  if (proposal === null) return true;
  if (data.needed) proposal.needed = data.needed;
  if (data.settlesAt) proposal.settlesAt = data.settlesAt;
  if (name === "proposal" || name === "signature") {
    const signer = data.member ?? proposal.proposer;
    if (signer && !proposal.signers.includes(signer)) proposal.signers.push(signer);
    if (round.state === "waiting" || round.state === "observed") round.state = "proposed";
  } else if (["proven", "settled", "stored"].includes(name)) {
    round.state = name;
  }
  return true;
}

function findRound(state, { pair, round, time }) {
  if (typeof pair !== "string" || typeof round !== "number") return null;
  const known = state.rounds.find((one) => one.pair === pair && one.round === round);
  if (known) return known;
  const made = {
    pair,
    round,
    time,
    state: "waiting",
    proposals: [],
    observations: [],
    reason: null,
  };
  sortRounds(state, [made, ...state.rounds]);
  return made;
}

function findProposal(round, { id, member, proposer, price, needed }) {
  if (typeof id !== "string") return null;
  const known = round.proposals.find((one) => one.id === id);
  if (known) return known;
  const made = {
    id,
    proposer: proposer ?? member ?? null,
    price: price ?? null,
    signers: [],
    needed: needed ?? null,
  };
  round.proposals.push(made);
  return made;
}

/** The proposal of a round that is furthest: with `EveryNode` there are several. */
export function findLeading(round) {
  const far = (one) =>
    [one.storedAt, one.settledAt, one.provenAt].filter(Boolean).length * 1000 + one.signers.length;
  return [...round.proposals].sort((a, b) => far(b) - far(a))[0] ?? null;
}

/** Whether nobody can count on this member now. */
export const isAway = (member) => member?.state === "silent" || member?.state === "never";

/** How long ago this node heard a member, in ms; null if it never did. */
export function computeHeardMs(member, nowMs) {
  return member.lastSeen ? nowMs - Date.parse(member.lastSeen) : null;
}

/** What people should know before they read on, most urgent first: {kind, key, title, text, ticks}.
 *
 * `ticks` is of a text with an age in it, which is to be read and not to be announced each time.
 */
export function findNotices(state, nowMs, { formatAgo, formatSpan, formatTime, shorten }) {
  const notices = [];
  const add = (kind, key, title, text, ticks = false) =>
    notices.push({ kind, key, title, text, ticks });
  const { network, connection } = state;
  if (connection.status === "lost") {
    const as = state.clock
      ? ` What stands here is from ${formatTime(state.clock.wallMs)} UTC.`
      : "";
    add("bad", "connection", "The connection to this node is lost.", `Trying again.${as}`);
  }
  if (network === null) return notices;
  if (network.role === "bootstrap") {
    add(
      "note",
      "bootstrap",
      "This is the bootstrap node.",
      "It introduces members to each other, and sees no prices: look at the page of a member.",
    );
  }
  const { quorum, members, connections, isolated = [], deaf = [] } = network;
  const name = (address) => {
    const member = members.find((one) => one.address === address);
    return member ? `${member.index} (${shorten(address)})` : shorten(address);
  };
  if (quorum.alive === null) {
    // A bootstrap hears no heartbeats: it cannot tell.
  } else if (quorum.margin < 0) {
    add(
      "bad",
      "quorum",
      "Out of quorum.",
      `This node hears ${quorum.alive} of ${members.length} members, and ${quorum.needed} must sign: no price can be proven until more come back.`,
    );
  } else if (quorum.margin === 0 && members.length > quorum.needed) {
    add(
      "warn",
      "margin",
      "No margin left.",
      `Exactly the ${quorum.needed} members that must sign are here. One more away, and no price is proven.`,
    );
  }
  if (connections && connections.peers === 0) {
    add(
      "bad",
      "alone",
      "This node is connected to nobody.",
      "What it shows may be behind the network.",
    );
  }
  const silent = members.filter(isAway);
  for (const member of silent.slice(0, 3)) {
    const heardMs = computeHeardMs(member, nowMs);
    const [what, since] =
      heardMs === null
        ? ["was never heard by this node", ""]
        : ["is silent", `Last heard ${formatAgo(heardMs)}.`];
    add("warn", `silent-${member.address}`, `Member ${name(member.address)} ${what}.`, since, true);
  }
  if (silent.length > 3) add("warn", "silent-more", `So are ${silent.length - 3} more.`, "");
  const listed = new Set(silent.map((one) => one.address));
  for (const address of isolated.filter((one) => !listed.has(one)).slice(0, 3)) {
    add(
      "warn",
      `isolated-${address}`,
      `Member ${name(address)} is isolated.`,
      "By what the others report, it is not heard.",
    );
  }
  for (const address of deaf.filter((one) => !listed.has(one)).slice(0, 3)) {
    add(
      "warn",
      `deaf-${address}`,
      `Member ${name(address)} is deaf.`,
      "It does not hear whom the others hear.",
    );
  }
  const me = members.find((one) => one.me);
  if (me?.database === false) {
    add(
      "warn",
      "database",
      "This node cannot reach its database.",
      "What is proven meanwhile waits in its journal; older prices are not to be had here.",
    );
  }
  for (const [problem, text] of Object.entries(network.problems ?? {})) {
    add("warn", `problem-${problem}`, `${problem}:`, text);
  }
  if (state.unproven > 0) {
    add(
      "bad",
      "unproven",
      "The database holds what proves nothing.",
      `${state.unproven} of the newest rows are left out here: somebody changed them, or put them there.`,
    );
  }
  const newest = state.prices[0];
  const lateMs = 2000 * network.interval + 4000 * network.settle;
  if (newest && connection.status === "live" && nowMs - Date.parse(newest.time) > lateMs) {
    add(
      "warn",
      "late",
      "No new price.",
      `The newest is of ${formatTime(Date.parse(newest.time), nowMs)} UTC, and one is due every ${formatSpan(1000 * network.interval)}.`,
    );
  }
  if (network.simulated) {
    add("note", "simulated", "Simulated prices.", "A random walk, nobody’s market.");
  }
  return notices;
}

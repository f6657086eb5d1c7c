// The round as it happens: each member's signature arriving, the quorum, the settle countdown.

import { drawOnce, find, make, makeIcon, setText } from "./dom.js";
import { formatPrice, formatSpan, formatTime } from "./format.js";
import { findLeading, getNow, isAway } from "./model.js";

const LANES = 4;
/** Why a round ends without a price, by the labels that the node's metrics have too. */
const REASONS = {
  split: "the votes were split",
  short: "too few have signed",
  no_proposal: "nobody proposed one",
};
/** With more members than this, each is a small square. */
const CHIPS_MAX = 24;

export function drawRounds(state) {
  const rounds = state.rounds.filter((one) => one.pair === state.pair);
  const [current = null, ...before] = rounds;
  const now = getNow(state);
  drawCurrent(state, current, now);
  drawLanes(state, before.slice(0, LANES), now);
}

function drawCurrent(state, round, now) {
  if (round === null) return;
  const leading = findLeading(round);
  setText(find("now-time"), `${formatTime(1000 * round.round, now)} UTC`);
  setText(find("now-stage"), describe(state, round, leading, now));
  find("now-stage").dataset.state = round.state;
  drawMeter(find("now-meter"), state, round, leading, now);
  const members = state.network?.members ?? [];
  const signers = leading?.signers ?? [];
  const seen = new Map((round.observations ?? []).map((one) => [one.member, one.price]));
  drawOnce(
    find("now-chips"),
    [
      round.round,
      members.map((one) => [one.address, one.state]),
      signers,
      [...seen],
      leading?.proposer,
    ],
    () => members.map((member) => drawChip(member, signers, seen, leading)),
  );
  find("now-chips").classList.toggle("dense", members.length > CHIPS_MAX);
}

function drawChip(member, signers, seen, leading) {
  const signed = signers.includes(member.address);
  const words = signed
    ? "signed"
    : isAway(member)
      ? "silent"
      : seen.has(member.address)
        ? "observed"
        : "waiting";
  const price = seen.get(member.address);
  return make(
    "div",
    { class: `chip ${words}`, title: `${member.index} ${member.address}: ${words}` },
    make("span", { class: "dot" }, signed ? makeIcon("yes") : null),
    make("b", {}, String(member.index)),
    make(
      "span",
      { class: "word" },
      member.address === leading?.proposer && signed ? "proposed" : words,
    ),
    make("span", { class: "seen" }, price === undefined ? "" : formatPrice(price)),
  );
}

/** One sentence for where a round stands. The countdown is in whole seconds: it is read aloud. */
function describe(state, round, leading, now) {
  const count = leading
    ? `${leading.signers.length} of ${state.network?.members.length ?? "?"}`
    : "";
  const needed = leading?.needed ?? state.network?.quorum.needed ?? "?";
  switch (round.state) {
    case "waiting":
      return "The members look at the market";
    case "observed":
      return "Observed, waiting for a proposal";
    case "proposed":
      return `${count} have signed, ${needed} needed`;
    case "proven":
      return `Quorum: ${count} have signed`;
    case "settled":
      return `Settled, signed by ${count}`;
    case "stored":
      return `Stored, signed by ${count}`;
    case "lost":
      return round.reason
        ? `No price: ${REASONS[round.reason] ?? round.reason}`
        : "No price in this round";
    default:
      return round.state;
  }
}

/** The same for a round that is nearly over, in a few words. */
function describeShortly({ network }, round, leading) {
  const words = {
    proposed: "not proven",
    proven: "settling",
    observed: "no proposal",
    waiting: "nothing seen",
  };
  const state = words[round.state] ?? round.state;
  return leading
    ? `${state}, ${leading.signers.length} of ${network?.members.length ?? "?"}`
    : state;
}

/** The bar: signatures until the quorum, then the time until it settles. */
function drawMeter(meter, state, round, leading, now) {
  const bar = meter.firstElementChild;
  let part = 0;
  let words = "";
  if (round.state === "proposed" && leading) {
    part = leading.signers.length / Math.max(1, leading.needed ?? 1);
  } else if (round.state === "proven") {
    const leftMs = leading?.settlesAt ? Date.parse(leading.settlesAt) - now : null;
    if (leftMs === null) part = 1;
    else {
      part = Math.min(1, Math.max(0, leftMs / (1000 * (state.network?.settle || 1))));
      words = leftMs > 0 ? `settles in ${formatSpan(leftMs)}` : "settling";
    }
  } else if (round.state === "settled" || round.state === "stored") {
    part = 1;
  }
  meter.dataset.state = round.state;
  meter.dataset.words = words;
  bar.style.width = `${(100 * Math.min(1, part)).toFixed(1)}%`;
}

function drawLanes(state, rounds, now) {
  const lanes = find("lanes");
  const shown = rounds.map((round) => {
    const leading = findLeading(round);
    return {
      key: `${round.pair} ${round.round}`,
      round,
      leading,
      words: describeShortly(state, round, leading),
    };
  });
  drawOnce(
    lanes,
    shown.map(({ key, words, leading, round }) => [key, words, round.state, leading?.price]),
    () =>
      shown.map(({ key, round, leading, words }) => {
        const lane = make(
          "li",
          { class: "lane", "data-state": round.state },
          make("span", { class: "lane-time" }, formatTime(1000 * round.round, now)),
          make("span", { class: "lane-words" }, words),
          make("span", { class: "lane-price" }, leading?.price ? formatPrice(leading.price) : ""),
          make("div", { class: "meter small", "aria-hidden": "true" }, make("i")),
        );
        lane.dataset.key = key;
        return lane;
      }),
  );
  shown.forEach(({ round, leading }, at) =>
    drawMeter(lanes.children[at].lastElementChild, state, round, leading, now),
  );
}

// The page: asks the node, listens to it, and draws what it knows. Decides nothing by itself.

import { ApiProblem, ask, listen, load } from "./connection.js";
import { find, setText } from "./dom.js";
import { drawHeadline, drawLink, drawNotices, drawPairs } from "./headline.js";
import { drawMatrix } from "./matrix.js";
import { drawMembers } from "./members.js";
import { addNewest, addPrices, applyEvent, makeState, setClock, setRounds } from "./model.js";
import { drawRounds } from "./now.js";
import {
  changeTrusted,
  drawPrices,
  SHOWN_AT_FIRST,
  verifyAll,
  verifyChanged,
  verifyQuietly,
} from "./prices.js";

/** What is asked for first, and after each event; then the page that the chart shows. */
const FEW = 12;
const PAGE = 100;
/** A node remembers no more rounds, and refuses to be asked for more. */
const ROUNDS_MAX = 512;
/** The network is looked at this often even if no event says so: a dead line tells nothing. */
const LOOK_MS = 10_000;
/** Events come in bursts; the node is asked once for each burst. */
const BURST_MS = 300;
/** A node that is not there when the page opens is asked again. */
const RETRY_MS = 2000;
const EVENTS = [
  "observation",
  "proposal",
  "signature",
  "proven",
  "settled",
  "stored",
  "lost",
  "network",
  "gap",
];

/** The chart's library is a third of the page: the price does not wait for it. */
const chart = load(() => import("./chart.js"));

const state = makeState();
let shownCount = SHOWN_AT_FIRST;
let drawing = false;
let isListening = false;
const asked = new Map(); // what is to be asked soon → its timer

state.redraw = () => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
};

function draw() {
  verifyChanged(state, shownCount);
  drawLink(state);
  drawPairs(state, changePair);
  drawHeadline(state);
  drawRounds(state);
  drawMatrix(state);
  drawMembers(state);
  drawPrices(state, shownCount);
  drawNotices(state);
  find("older").hidden = state.prices.length <= shownCount && state.next === null;
}

function drawChart() {
  chart.then((it) => it.drawChart(state));
}

function setConnection(status) {
  if (state.connection.status !== status) state.connection = { status, sinceMs: performance.now() };
  state.redraw();
}

/** Run a question; being refused is told apart from nobody being there. */
async function attempt(what, question) {
  try {
    await question();
    if (isListening) setConnection("live");
    return true;
  } catch (error) {
    if (error instanceof ApiProblem) {
      // Too fast, or the database is away and nothing recent is known: the node says when.
      if (error.status === 429 || error.status === 503)
        soon(what, question, 1000 * error.retryAfterS);
      return true;
    }
    setConnection("lost");
    return false;
  } finally {
    state.redraw();
  }
}

/** Ask after a short while, once for all who wish it meanwhile. */
function soon(what, question, waitMs = BURST_MS) {
  if (asked.has(what)) return;
  asked.set(
    what,
    setTimeout(() => {
      asked.delete(what);
      attempt(what, question);
    }, waitMs),
  );
}

async function lookAtNetwork() {
  const network = await ask("network");
  setClock(state, network.now);
  state.network = network;
  const before = state.pair;
  choosePair(before ?? readAddress());
  if (before !== null && before !== state.pair) await lookAtPrices();
}

async function lookAtRounds(limit = FEW) {
  // They are of all pairs together.
  const count = Math.min(ROUNDS_MAX, limit * Math.max(1, state.network.pairs.length));
  setRounds(state, await ask(`rounds?limit=${count}`));
  drawChart();
}

async function lookAtPrices(limit = FEW) {
  const { pair } = state;
  if (pair === null) return;
  const answer = await ask(`prices?pair=${encodeURIComponent(pair)}&limit=${limit}`);
  if (pair !== state.pair) return;
  if (!addNewest(state, answer)) {
    // Much has happened meanwhile: begin anew, so that no hole looks like a line.
    state.prices = [];
    addNewest(state, answer);
    soon("page of prices", () => lookAtPrices(PAGE));
  }
  drawChart();
}

async function lookAtOlder() {
  const { pair } = state;
  shownCount += PAGE;
  setText(find("older-problem"), "");
  if (state.prices.length >= shownCount || state.next === null) return;
  try {
    const answer = await ask(
      `prices?pair=${encodeURIComponent(pair)}&limit=${PAGE}&cursor=${encodeURIComponent(state.next)}`,
    );
    if (pair !== state.pair) return;
    state.next = answer.next;
    addPrices(state, answer.prices);
    drawChart();
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    setText(find("older-problem"), error.message);
  }
}

/** The pair that the page's address names; it may name anything. */
function readAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function choosePair(wished) {
  const pairs = state.network.pairs.map((one) => one.pair);
  const pair = pairs.includes(wished) ? wished : (pairs[0] ?? null);
  if (pair === state.pair) return;
  if (state.pair !== null) history.replaceState(null, "", `#${pair}`);
  Object.assign(state, { pair, prices: [], next: null, unproven: 0 });
  shownCount = SHOWN_AT_FIRST;
  drawChart();
  state.redraw();
}

function changePair(wished) {
  choosePair(wished);
  attempt("prices", () => lookAtPrices(PAGE));
}

/** All anew: what happened while nobody listened is in the answers. */
async function lookAtAll() {
  const there = await attempt("network", lookAtNetwork);
  if (!there) return;
  for (const limit of [FEW, PAGE]) {
    await Promise.all([
      attempt("rounds", () => lookAtRounds(limit)),
      attempt("prices", () => lookAtPrices(limit)),
    ]);
  }
}

/** A bootstrap has no events to tell: what it knows is asked for. */
async function begin() {
  const isThere = await attempt("network", lookAtNetwork);
  if (!isThere) setTimeout(begin, RETRY_MS);
  else if (state.network?.role === "bootstrap") {
    isListening = true;
    document.body.classList.add("bootstrap");
    setConnection("live");
  } else listen(EVENTS, { opened, lost, event });
}

function opened() {
  isListening = true;
  lookAtAll();
}

function lost() {
  isListening = false;
  setConnection("lost");
}

function event(name, data) {
  if (name === "gap") lookAtAll();
  else if (name === "network") soon("network", lookAtNetwork);
  else if (applyEvent(state, name, data)) soon("rounds", lookAtRounds);
  if (name === "settled" || name === "stored") soon("prices", lookAtPrices);
  state.redraw();
}

begin();

setInterval(() => {
  if (!document.hidden) attempt("network", lookAtNetwork);
}, LOOK_MS);
setInterval(() => {
  if (!document.hidden) state.redraw();
}, 500);

find("older").addEventListener("click", () => attempt("older", lookAtOlder));
find("verify-newest").addEventListener("click", () => verifyQuietly(state, state.prices[0].id));
find("verify-all").addEventListener("click", () => verifyAll(state, shownCount));
find("trusted").addEventListener("input", () => changeTrusted(state));
changeTrusted(state); // a browser may have kept what stood there
addEventListener("hashchange", () => changePair(readAddress()));
addEventListener("themechange", () => chart.then((it) => it.redrawChart(state)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  chart.then((it) => it.redrawChart(state)),
);
new ResizeObserver(() => chart.then((it) => it.fitChart())).observe(find("chart"));

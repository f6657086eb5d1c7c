// The list of prices, and the proof of each, made here in the browser.
// What verifies is loaded at the first wish: most readers of the page never need it.

import { load } from "./connection.js";
import { find, make, makeCell, makeIcon, makeTable, setText } from "./dom.js";
import { formatPrice, formatTime, shorten } from "./format.js";
import { getNow, getVerdict } from "./model.js";

const COLUMNS = ["Round", "Price", "Signatures", "State", "Id", "Proof"];
const SHOWN_AT_FIRST = 12;
/** Nothing is said of a price that was not checked. */
const NOT_CHECKED = "not_checked";
const HASH = /^0x[0-9a-f]{64}$/;
const FIELD = "The document hash that you trust";

let verifier = null;
let body = null;

function loadVerifier() {
  verifier ??= load(() => import("./verify.js"));
  verifier.catch(() => {
    verifier = null;
  });
  return verifier;
}

/** What the reader trusts: hashes, none if the field is empty, null if it holds what is no hash.
 *
 * Null is never "none": who has a hash and mistypes it must not be shown a proof without it.
 */
function readTrusted() {
  const hashes = find("trusted").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  return hashes.every((one) => HASH.test(one)) ? hashes : null;
}

/** Say at the field what is wrong in it; all verdicts so far were by what it held before. */
export function changeTrusted(state) {
  const isWrong = readTrusted() === null;
  find("trusted").setAttribute("aria-invalid", String(isWrong));
  const words =
    "This is no hash of a document. It is 0x and 64 hex digits (several with spaces between): correct it, or empty the field. Until then nothing is verified.";
  setText(find("trusted-problem"), isWrong ? words : "");
  state.verdicts.clear();
  summarize("", null);
  state.redraw();
}

/** Draw the newest `count` rows; rows that are there already keep their place and focus. */
export function drawPrices(state, count) {
  if (body === null) {
    const table = makeTable("Prices", COLUMNS, []);
    find("prices").append(table);
    body = table.tBodies[0];
  }
  const kept = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const wanted = [];
  for (const price of state.prices.slice(0, count)) {
    const row = drawRow(state, price, kept.get(price.id));
    const verdict = getVerdict(state, price);
    mark(row, verdict);
    wanted.push(row);
    if (verdict?.open)
      wanted.push(reuse(kept.get(`proof ${price.id}`), verdict));
  }
  wanted.forEach((row, at) => {
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
  while (body.children.length > wanted.length) body.lastElementChild.remove();
  find("prices").classList.toggle("empty", wanted.length === 0);
}

function reuse(before, verdict) {
  const text = JSON.stringify(verdict);
  if (before && before.shown === text) return before;
  const row = drawProof(verdict);
  row.dataset.key = `proof ${verdict.id}`;
  row.shown = text;
  return row;
}

/** Draw a price, in the row that it had: its button stays, whoever is just pressing it. */
function drawRow(state, price, before) {
  const text = JSON.stringify(price);
  const row = before ?? makeRow(state, price.id);
  if (row.shown === text) return row;
  const act = row.lastElementChild;
  while (row.firstElementChild !== act) row.firstElementChild.remove();
  act.before(...drawCells(state, price));
  row.shown = text;
  return row;
}

function makeRow(state, id) {
  const button = make("button", { type: "button", "data-verify": id }, "Verify");
  button.addEventListener("click", () => verifyOne(state, id));
  const cell = makeCell(COLUMNS.at(-1), button, { class: "act" });
  return make("tr", { role: "row", "data-key": id }, cell);
}

function drawCells(state, price) {
  const [round, amount, signatures, at, id] = COLUMNS;
  return [
    makeCell(
      round,
      make("time", { datetime: price.time }, formatTime(Date.parse(price.time), getNow(state))),
      { class: "number when" },
    ),
    makeCell(amount, formatPrice(price.price), { class: "number amount", title: price.price }),
    makeCell(signatures, `${price.signatures.length} of ${price.document?.members.length ?? "?"}`, {
      class: "number count",
    }),
    makeCell(at, make("span", { class: `state ${price.state}` }, price.state)),
    makeCell(id, make("code", { title: price.id }, shorten(price.id))),
  ];
}

/** Verify one and say all about it; once more closes what was said. */
export function verifyOne(state, id) {
  const open = state.verdicts.get(id)?.open === true;
  return verify(state, id, () => !open);
}

/** Verify one and leave its row closed, unless it fails. */
export function verifyQuietly(state, id) {
  return verify(state, id, (verdict) => !verdict.proven);
}

/** Verify again what has changed since: what is proven stays so when it is stored. */
export function verifyChanged(state, count) {
  for (const price of state.prices.slice(0, count)) {
    const verdict = state.verdicts.get(price.id);
    if (verdict && !verdict.isOld && getVerdict(state, price) === null) {
      verdict.isOld = true; // it is under way
      verify(state, price.id, (now) => verdict.open || !now.proven);
    }
  }
}

async function verify(state, id, isOpen) {
  const verdict = await judgeShown(state, id);
  if (verdict === null) return;
  state.verdicts.set(id, { ...verdict, open: isOpen(verdict) });
  state.redraw();
}

/** Judge a price as it is shown: anew if it has changed meanwhile; null once it is gone. */
async function judgeShown(state, id) {
  for (;;) {
    const shown = state.prices.find((one) => one.id === id);
    if (shown === undefined) return null;
    const of = JSON.stringify(shown);
    const verdict = await judge(shown);
    if (JSON.stringify(state.prices.find((one) => one.id === id)) === of)
      return { id, ...verdict, of };
  }
}

async function judge(price) {
  let verifyPrice;
  try {
    ({ verifyPrice } = await loadVerifier());
  } catch {
    return {
      proven: false,
      reason: NOT_CHECKED,
      detail: "what verifies did not load; load the page again",
    };
  }
  const trusted = readTrusted();
  if (trusted === null) {
    return {
      proven: false,
      reason: NOT_CHECKED,
      detail: `“${FIELD}” does not hold a hash (0x and 64 hex digits): correct it, or empty the field`,
    };
  }
  try {
    return { proven: true, ...verifyPrice(price, trusted) };
  } catch (error) {
    return { proven: false, reason: error.reason ?? "malformed", detail: error.message };
  }
}

/** Verify all that are shown, some at a time, so that the page stays alive meanwhile. */
export async function verifyAll(state, count) {
  const shown = state.prices.slice(0, count);
  const text = find("trusted").value;
  const trusted = readTrusted() ?? [];
  const began = performance.now();
  const failed = [];
  let signatures = 0;
  for (const [at, price] of shown.entries()) {
    const verdict = await judgeShown(state, price.id);
    if (verdict === null) {
      summarize("", null); // another pair is shown by now
      return;
    }
    // Changed meanwhile: half of the verdicts would be by another trust than the sum says.
    if (find("trusted").value !== text) return;
    if (verdict.reason === NOT_CHECKED) {
      summarize(`Nothing was checked: ${verdict.detail}.`, false);
      return;
    }
    state.verdicts.set(price.id, { ...verdict, open: !verdict.proven });
    if (verdict.proven) signatures += verdict.signers.length;
    else failed.push(price);
    if (at % 4 === 3) {
      state.redraw();
      summarize(`Checked ${at + 1} of ${shown.length} …`, null);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  const took = ((performance.now() - began) / 1000).toFixed(1);
  const hashes = [...new Set(shown.map((one) => one.report.epoch))];
  if (failed.length > 0) {
    summarize(
      `${failed.length} of ${shown.length} prices are NOT PROVEN; the reasons stand below.`,
      false,
    );
  } else if (shown.length === 0) {
    summarize("There is no price to check yet.", null);
  } else {
    const trust =
      trusted.length > 0
        ? "by the document that you trust"
        : `by the document ${hashes.map(shorten).join(", ")} that this node sent`;
    summarize(
      `All ${shown.length} prices are proven, ${signatures} signatures recovered in ${took} s, ${trust}.`,
      true,
    );
  }
  state.redraw();
}

/** Show on a row's button what came of it; the button stays, and with it the focus. */
function mark(row, verdict) {
  const button = row.querySelector("button");
  button.setAttribute("aria-expanded", String(verdict?.open === true));
  const words = verdict === null ? "Verify" : name(verdict);
  if (button.textContent === words) return;
  button.dataset.good = verdict === null ? "" : String(verdict.proven);
  const icon = verdict === null ? [] : [makeIcon(verdict.proven ? "yes" : "no")];
  button.replaceChildren(...icon, words);
}

function name(verdict) {
  if (verdict.proven) return "Proven";
  return verdict.reason === NOT_CHECKED ? "Not checked" : "Not proven";
}

function summarize(text, good) {
  const summary = find("verify-summary");
  summary.dataset.good = String(good);
  setText(summary, text);
}

function drawProof(verdict) {
  const cell = make("td", {
    role: "cell",
    colspan: String(COLUMNS.length),
    class: "proof",
    "data-good": String(verdict.proven),
  });
  if (verdict.proven) {
    cell.append(
      make("p", { class: "outcome" }, makeIcon("yes"), "Proven in your browser"),
      make(
        "ul",
        {},
        make("li", {}, "The content hashes to the id ", make("code", {}, verdict.id)),
        make(
          "li",
          {},
          `${verdict.signers.length} signatures over that id recover to ${verdict.signers.length} different members, the proposer among them; ${verdict.needed} are needed:`,
          make(
            "ul",
            { class: "signed" },
            ...verdict.signers.map((one) => make("li", {}, makeIcon("yes"), make("code", {}, one))),
          ),
        ),
        make(
          "li",
          {},
          `Who is a member says the document of epoch ${verdict.epoch}, whose hash is computed here too: `,
          make("code", {}, verdict.documentHash),
          verdict.isRelative
            ? ". It came from this node: compare it with one that you have from elsewhere."
            : ". It is one that you trust.",
        ),
      ),
    );
  } else {
    const isFalse = verdict.reason !== NOT_CHECKED;
    cell.append(
      make("p", { class: "outcome" }, makeIcon("no"), isFalse ? "NOT PROVEN" : "Not checked"),
      isFalse
        ? make("p", {}, make("code", {}, verdict.reason), `: ${verdict.detail}`)
        : make("p", {}, `${verdict.detail}.`),
    );
  }
  return make("tr", { role: "row", class: "proof-row" }, cell);
}

export { SHOWN_AT_FIRST };

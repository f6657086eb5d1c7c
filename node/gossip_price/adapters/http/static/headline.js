// The newest price, how old it is, and who signed it; and what people should know first.

import { drawOnce, find, make, makeIcon, setText } from "./dom.js";
import { formatAgo, formatSpan, formatTime, shorten, splitPrice } from "./format.js";
import { findNotices, getNow, getVerdict } from "./model.js";

export function drawHeadline(state) {
  const newest = state.prices[0] ?? null;
  drawOnce(find("price"), newest && [newest.id, newest.price], () => {
    if (newest === null) return [make("span", { class: "waiting" }, "No price yet")];
    const { head, tail } = splitPrice(newest.price);
    const quote = newest.report.pair.split("-")[1] ?? "";
    return [
      make("data", { value: newest.price }, head, make("span", { class: "tail" }, tail)),
      make("span", { class: "unit" }, quote),
    ];
  });
  drawCheck(newest, newest && getVerdict(state, newest));
  if (newest === null) {
    setText(find("price-facts"), describeFirst(state));
    find("price-signers").replaceChildren();
    return;
  }
  document.title = `${splitPrice(newest.price).head} ${newest.report.pair} · gossip-price`;
  const now = getNow(state);
  const shown = [
    newest.report.pair,
    formatSpan(now - 1000 * newest.report.observedAt),
    newest.state,
    newest.time,
  ];
  setText(find("next"), describeNext(state, now));
  drawOnce(find("price-facts"), shown, () => [
    make("strong", {}, shown[0]),
    ` observed ${shown[1]} ago, round `,
    make("time", { datetime: newest.time }, formatTime(Date.parse(newest.time), now)),
    ` UTC, ${newest.state}`,
  ]);
  const members = state.network?.members ?? [];
  const signers = newest.signatures.map((one) => one.signer);
  drawOnce(find("price-signers"), [signers, members.map((one) => one.address)], () => [
    make(
      "p",
      {},
      `Signed by ${signers.length} of ${newest.document?.members.length ?? members.length} members, ${newest.document?.minimumSigners ?? "?"} are needed`,
    ),
    make(
      "ul",
      {},
      ...signers.map((address) => drawSigner(address, members, newest.report.proposer)),
    ),
  ]);
}

function drawSigner(address, members, proposer) {
  const member = members.find((one) => one.address === address);
  const role = address === proposer ? "proposed it" : "checked and signed";
  return make(
    "li",
    { title: `${address}: ${role}` },
    makeIcon("yes"),
    member ? make("b", {}, String(member.index)) : null,
    make("code", {}, shorten(address)),
    address === proposer ? make("span", { class: "tag" }, "proposer") : null,
  );
}

/** When the next one is due: the proven round that settles first tells. */
function describeNext({ rounds, pair }, now) {
  const due = rounds
    .filter((one) => one.pair === pair && one.state === "proven")
    .flatMap((one) => one.proposals.map((proposal) => Date.parse(proposal.settlesAt ?? "") - now))
    .filter((leftMs) => leftMs > 0);
  return due.length === 0 ? "" : `next in ${formatSpan(Math.min(...due))}`;
}

function describeFirst({ network }) {
  if (network === null) return "Asking the node …";
  return `The first one comes once ${network.quorum.needed} members have signed and ${formatSpan(1000 * network.settle)} have passed.`;
}

export function drawNotices(state) {
  const notices = findNotices(state, getNow(state), {
    formatAgo,
    formatSpan,
    formatTime,
    shorten,
  });
  const shown = find("notices");
  const kept = new Map([...shown.children].map((element) => [element.dataset.key, element]));
  notices.forEach(({ kind, key, title, text, ticks }, at) => {
    let element = kept.get(key);
    kept.delete(key);
    if (element === undefined) {
      element = make("p", {}, make("strong"), " ", make("span", ticks ? { "aria-live": "off" } : {}));
      element.dataset.key = key;
    }
    element.className = `notice ${kind}`;
    setText(element.querySelector("strong"), title);
    setText(element.querySelector("span"), text);
    if (shown.children[at] !== element) shown.insertBefore(element, shown.children[at] ?? null);
  });
  for (const gone of kept.values()) gone.remove();
}

/** Say at the newest price itself what verifying it gave; the whole proof stands in the list. */
function drawCheck(newest, verdict) {
  find("price-check").hidden = newest === null;
  const said = find("newest-verdict");
  const words = !verdict
    ? ""
    : verdict.proven
      ? `Proven: ${verdict.signers.length} signatures recovered, ${verdict.needed} needed`
      : `${verdict.reason === "not_checked" ? "Not checked" : "NOT PROVEN"}: ${verdict.detail}`;
  said.dataset.good = verdict ? String(verdict.proven) : "";
  setText(said, words);
}

export function drawLink({ connection, network, clock }) {
  const link = find("link");
  link.dataset.status = connection.status;
  const words = { connecting: "Connecting…", live: "Live", lost: "Not connected" };
  setText(link.querySelector("span"), words[connection.status]);
  if (network === null || clock === null) return;
  const count = network.members.length;
  setText(
    find("tagline"),
    `${count} independent members look at the market, sign what they see, and check each other. A price counts once ${network.quorum.needed} of them have signed it.`,
  );
  drawOnce(find("document"), network.epoch, () => [
    `epoch ${network.epoch.number}, `,
    make("code", {}, network.epoch.hash),
  ]);
  find("network").classList.toggle("side-by-side", count <= 7);
  const me =
    network.me === null
      ? `a ${network.role}`
      : `member ${network.members.find((one) => one.me)?.index ?? "?"}`;
  setText(
    find("about"),
    `Seen by ${me} of the network ${shorten(network.networkId)}: epoch ${network.epoch.number}, ${network.mode}, a round every ${formatSpan(1000 * network.interval)}. Times are UTC.`,
  );
}

export function drawPairs(state, choose) {
  const pairs = (state.network?.pairs ?? []).map((one) => one.pair);
  find("pairs").hidden = pairs.length === 0;
  const select = find("pair");
  drawOnce(select, pairs, () => pairs.map((pair) => make("option", { value: pair }, pair)));
  select.value = state.pair ?? "";
  select.onchange = () => choose(select.value);
}

// Who they are: version, clock, peers, when last heard, and what each sees itself.

import { drawOnce, find, make, makeCell, makeTable, setText } from "./dom.js";
import { formatOffset, formatPrice, formatSpan, shorten } from "./format.js";
import { getNow } from "./model.js";

/** A heartbeat is up to two seconds on its way: less than that says nothing of a clock. */
const CLOCK_OFF_MS = 2000;
const COLUMNS = ["Member", "State", "Sees", "Clock", "Peers", "Heard", "Version"];

export function drawMembers(state) {
  const { network } = state;
  if (network === null) return;
  const { members, quorum, connections } = network;
  setText(
    find("members-aside"),
    `${quorum.alive === null ? "" : `${quorum.alive} of ${members.length} alive, `}${quorum.needed} must sign; this node is connected to ${connections.members}`,
  );
  const now = getNow(state);
  const shown = members.map((member) => describe(member, state, now));
  drawOnce(find("members"), shown, () => [makeTable("Members", COLUMNS, shown.map(drawRow))]);
}

function describe(member, { pair, network }, now) {
  const seen = (member.observations ?? []).find((one) => one.pair === pair);
  const heardMs = member.lastSeen ? now - Date.parse(member.lastSeen) : null;
  const off = member.clockOffsetMs;
  return {
    address: member.address,
    index: member.index,
    me: member.me,
    state: member.state ?? (member.connected ? "connected" : "not connected"),
    seen: seen ? formatPrice(seen.price) : "–",
    clock: member.me || off === null || off === undefined ? "–" : formatOffset(off),
    isOff: Math.abs(off ?? 0) > CLOCK_OFF_MS,
    peers: member.peers ? `${member.peers.length} of ${network.members.length - 1}` : "–",
    isFew: member.peers
      ? member.peers.length < Math.min(network.quorum.needed - 1, network.members.length - 1)
      : false,
    // Steps of five seconds: a table that ticks is hard to read.
    heard: member.me
      ? "–"
      : heardMs === null
        ? "–"
        : heardMs < 10_000
          ? "just now"
          : `${formatSpan(5000 * Math.round(heardMs / 5000))} ago`,
    version: member.version ?? "–",
  };
}

function drawRow(member) {
  const [who, state, sees, clock, peers, heard, version] = COLUMNS;
  return make(
    "tr",
    { role: "row", "data-state": member.state, "data-member": member.index },
    makeCell(
      who,
      [
        make("b", { class: "number" }, String(member.index)),
        make("code", { title: member.address }, shorten(member.address)),
        member.me ? make("span", { class: "tag" }, "this node") : null,
      ],
      { class: "who" },
    ),
    makeCell(state, make("span", { class: `state ${member.state}` }, member.state)),
    makeCell(sees, member.seen, { class: "number" }),
    makeCell(clock, member.clock, { class: member.isOff ? "number off" : "number" }),
    makeCell(peers, member.peers, { class: member.isFew ? "number off" : "number" }),
    makeCell(heard, member.heard),
    makeCell(version, make("span", { class: "version", title: member.version }, member.version)),
  );
}

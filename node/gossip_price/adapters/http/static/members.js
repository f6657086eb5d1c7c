// Who they are: version, clock, peers, when last heard, and what each sees itself.

import { drawOnce, find, make, makeCell, makeTable, setText } from "./dom.js";
import { formatAgo, formatOffset, formatPrice, shorten } from "./format.js";
import { computeHeardMs, getNow } from "./model.js";

/** A heartbeat is up to two seconds on its way: less than that says nothing of a clock. */
const CLOCK_OFF_MS = 2000;
const COLUMNS = ["Member", "State", "Sees", "Clock", "Peers", "Heard", "Version"];
/** A bootstrap hears no heartbeats: who is connected to it is all that it knows. */
const COLUMNS_AT_BOOTSTRAP = COLUMNS.slice(0, 2);

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
  const columns = network.role === "bootstrap" ? COLUMNS_AT_BOOTSTRAP : COLUMNS;
  drawOnce(find("members"), shown, () => [
    makeTable(
      "Members",
      columns,
      shown.map((member) => drawRow(member, columns.length)),
    ),
  ]);
}

function describe(member, { pair, network }, now) {
  const seen = (member.observations ?? []).find((one) => one.pair === pair);
  const heardMs = computeHeardMs(member, now);
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
    heard: member.me || heardMs === null ? "–" : formatAgo(heardMs),
    version: member.version ?? "–",
  };
}

function drawRow(member, count) {
  const [who, state, sees, clock, peers, heard, version] = COLUMNS;
  const cells = [
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
  ];
  return make(
    "tr",
    { role: "row", "data-state": member.state, "data-member": member.index },
    ...cells.slice(0, count),
  );
}

// Who hears whom: each row one member's report of how much it received from each other.
// The node decides who is isolated and who is deaf; here it is only made to stand out.

import { drawOnce, find, make, setText } from "./dom.js";
import { formatCount, shorten } from "./format.js";
import { isAway } from "./model.js";

/** With more members than this the cells have no room for numbers: colour and title remain. */
const NUMBERS_MAX = 24;

export function drawMatrix({ network }) {
  if (network === null) return;
  const { matrix, members, isolated = [], deaf = [] } = network;
  const known = new Map(members.map((one) => [one.address, one]));
  const states = matrix.members.map((address) => known.get(address)?.state ?? "never");
  const reports = matrix.rows.filter((row) => row.heard.some((count) => count !== null)).length;
  setText(find("matrix-aside"), `${reports} of ${matrix.members.length} report`);
  drawOnce(find("matrix"), [matrix, states, isolated, deaf], () => [
    drawTable(matrix, known, isolated, deaf),
  ]);
  drawVerdict(matrix, known, isolated, deaf);
}

function drawTable(matrix, known, isolated, deaf) {
  const name = (address) => String(known.get(address)?.index ?? "?");
  const isGone = (address) => isAway(known.get(address));
  const columns = matrix.members.map((address) => {
    const lost = isolated.includes(address) || isGone(address);
    return make("th", { scope: "col", class: lost ? "lost" : null, title: address }, name(address));
  });
  const rows = matrix.rows.map((row) => {
    const isDeaf = deaf.includes(row.member);
    const isSilent = isGone(row.member);
    const most = Math.max(1, ...row.heard.map((count) => count ?? 0));
    const cells = row.heard.map((count, at) => {
      const heard = matrix.members[at];
      const cell = make(
        "td",
        {},
        heard === row.member
          ? ""
          : count === null
            ? "·"
            : matrix.members.length > NUMBERS_MAX
              ? ""
              : formatCount(count),
      );
      // The node says whom a row hears now; a count alone tells only of the past.
      const isUnheard = count === 0 || row.hears?.[at] === false;
      cell.title =
        heard === row.member
          ? "itself"
          : `${name(row.member)} has received ${count ?? "(no report)"} messages of ${name(heard)}${isUnheard ? ", and hears nothing of it now" : ""}`;
      if (heard === row.member) cell.className = "self";
      else if (count === null) cell.className = "unknown";
      else if (isolated.includes(heard) || isGone(heard)) cell.className = "lost";
      else if (isUnheard) cell.className = "none";
      else cell.className = `heat-${Math.max(1, Math.ceil((4 * count) / most))}`;
      return cell;
    });
    const head = make(
      "th",
      { scope: "row", title: row.member },
      make("b", {}, name(row.member)),
      make("code", {}, shorten(row.member)),
    );
    const tag = isDeaf
      ? "deaf"
      : isSilent
        ? "silent"
        : known.get(row.member)?.me
          ? "this node"
          : null;
    if (tag) head.append(make("span", { class: `tag ${isDeaf || isSilent ? "bad" : ""}` }, tag));
    return make("tr", { class: isDeaf ? "deaf" : isSilent ? "stale" : null }, head, ...cells);
  });
  return make(
    "table",
    {
      class: `matrix ${matrix.members.length > NUMBERS_MAX ? "dense" : ""}`,
      "aria-labelledby": "matrix-title",
    },
    make("thead", {}, make("tr", {}, make("td", { class: "corner" }, "hears →"), ...columns)),
    make("tbody", {}, ...rows),
  );
}

function drawVerdict(matrix, known, isolated, deaf) {
  const name = (address) => `${known.get(address)?.index ?? "?"} (${shorten(address)})`;
  const away = matrix.members.filter((address) => isAway(known.get(address)));
  const sentences = [];
  if (away.length > 0)
    sentences.push(`${listNames(away.map(name))} ${away.length > 1 ? "are" : "is"} silent.`);
  const others = (list) => list.filter((address) => !away.includes(address));
  for (const address of others(isolated))
    sentences.push(`${name(address)} is isolated: most of the others do not hear it.`);
  for (const address of others(deaf))
    sentences.push(`${name(address)} is deaf: it does not hear whom others hear.`);
  const verdict = find("matrix-verdict");
  verdict.dataset.good = String(sentences.length === 0);
  setText(verdict, sentences.join(" ") || "Everybody hears everybody.");
}

function listNames(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

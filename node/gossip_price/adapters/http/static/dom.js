// Elements from values. Text only ever goes in as text: nothing here reads HTML.

/** Make an element: attributes by name, `class` among them; children are elements or text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make one of the drawings that index.html holds. */
export function makeIcon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export const find = (id) => document.getElementById(id);

/** Set text only where it changes, so that a screen reader hears of it once. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Draw again only when what is shown has changed; focus and hover outlive the rest. */
export function drawOnce(element, shown, draw) {
  const key = JSON.stringify(shown);
  if (element.drawnKey === key) return;
  element.drawnKey = key;
  element.replaceChildren(...draw());
}

/** Make a table that stays one for screen readers when a narrow screen stacks its cells. */
export function makeTable(label, columns, rows) {
  const head = columns.map((name) => make("th", { scope: "col", role: "columnheader" }, name));
  return make(
    "table",
    { class: "stacking", role: "table", "aria-label": label },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...head)),
    make("tbody", { role: "rowgroup" }, ...rows),
  );
}

export function makeCell(column, content, attributes = {}) {
  return make("td", { role: "cell", "data-label": column, ...attributes }, ...[content].flat());
}

// Stored prices over time, and the band between the lowest and the highest that members saw.

import uPlot from "./vendor/uplot/dist/uPlot.esm.js";
import { find, setText } from "./dom.js";
import { formatPrice, formatTime } from "./format.js";
import { findBand } from "./model.js";

const HEIGHT = { wide: 260, narrow: 200 };
let plot = null;
let shownPrices = [];

/** Read a colour from the style sheet as the theme has it now. */
function readColour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

export function drawChart(state) {
  const prices = [...state.prices].reverse();
  const band = prices.map((price) => findBand(state, price.report));
  const data = [
    prices.map((one) => one.report.round),
    prices.map((one) => Number(one.price)),
    band.map(([low]) => low),
    band.map(([, high]) => high),
  ];
  // With `EveryNode` a round has several prices: one place on the axis for the first of each.
  const first = data[0].map((round, at) => round !== data[0][at - 1]);
  const points = data.map((column) => column.filter((_, at) => first[at]));
  shownPrices = prices.filter((_, at) => first[at]);
  if (plot === null) plot = make(points);
  else plot.setData(points);
  describe(shownPrices);
}

function describe(prices) {
  if (prices.length === 0) {
    setText(find("chart-summary"), "There is none yet.");
    return;
  }
  const sorted = [...prices].sort((a, b) => Number(a.price) - Number(b.price));
  const at = (price) => formatTime(Date.parse(price.time));
  setText(
    find("chart-summary"),
    `${prices.length} prices from ${at(prices[0])} to ${at(prices.at(-1))} UTC, lowest ${formatPrice(sorted[0].price)}, highest ${formatPrice(sorted.at(-1).price)}, newest ${formatPrice(prices.at(-1).price)}.`,
  );
}

function make(points) {
  const box = find("chart");
  const [line, band, ink, grid] = ["accent", "band", "ink-2", "rule"].map(readColour);
  const axis = {
    stroke: ink,
    font: "12px Inter, system-ui, sans-serif",
    ticks: { show: false },
    border: { show: false },
  };
  return new uPlot(
    {
      ...measure(box),
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "UTC"),
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 8, stroke: line, fill: line },
      },
      scales: { x: { time: true } },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 80,
          size: 30,
          values: (_, splits) =>
            splits.map((s) => formatTime(1000 * s).slice(0, splits[1] - splits[0] < 60 ? 8 : 5)),
        },
        {
          ...axis,
          side: 1,
          grid: { stroke: grid, width: 1 },
          space: 44,
          size: (_, values) => 16 + 7.2 * Math.max(4, ...(values ?? []).map((one) => one.length)),
          values: (_, splits) => formatTicks(splits),
        },
      ],
      series: [
        {},
        {
          stroke: line,
          width: 2,
          points: {
            show: (chart) => chart.data[0].length < chart.width / 16,
            size: 5,
            fill: line,
            stroke: line,
          },
        },
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: band }],
      hooks: { setCursor: [showReadout] },
    },
    points,
    box,
  );
}

/** Tick labels with as many decimals as their distance needs. */
function formatTicks(splits) {
  const step = Math.abs((splits[1] ?? 1) - (splits[0] ?? 0)) || 1;
  const decimals = Math.min(8, Math.max(0, Math.ceil(-Math.log10(step) + 0.001)));
  return splits.map((value) =>
    value.toLocaleString("en", {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    }),
  );
}

function measure(box) {
  const width = Math.max(200, Math.floor(box.clientWidth));
  return { width, height: width < 560 ? HEIGHT.narrow : HEIGHT.wide };
}

function showReadout(chart) {
  const price = shownPrices[chart.cursor.idx ?? -1];
  if (!price) {
    setText(find("readout"), "");
    return;
  }
  const [low, high] = [chart.data[2][chart.cursor.idx], chart.data[3][chart.cursor.idx]];
  const seen =
    low === null || low === undefined
      ? ""
      : `, seen ${formatPrice(String(low))} to ${formatPrice(String(high))}`;
  setText(
    find("readout"),
    `${formatTime(Date.parse(price.time))}  ${formatPrice(price.price)}, ${price.signatures.length} signatures${seen}`,
  );
}

/** Begin anew in the colours of now. */
export function redrawChart(state) {
  plot?.destroy();
  plot = null;
  drawChart(state);
}

export function fitChart() {
  const size = plot && measure(find("chart"));
  if (size && (size.width !== plot.width || size.height !== plot.height)) plot.setSize(size);
}

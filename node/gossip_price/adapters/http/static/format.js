// Values as people read them. Times are UTC: the network has one clock, its readers many.

/** Shorten an address or id, the same way everywhere. */
export function shorten(hex) {
  return hex.length > 12 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex;
}

/** Split a decimal string into what is read at a glance and the digits after it. */
export function splitPrice(text) {
  const [whole, fraction = ""] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  // Small prices live in their fraction: show it up to the second digit that is not zero.
  const lead = whole === "0" ? Math.max(2, fraction.search(/[1-9]/) + 2) : 2;
  const head = fraction.slice(0, lead);
  const tail = fraction.slice(lead).replace(/0+$/, "");
  return { head: head === "" ? grouped : `${grouped}.${head}`, tail };
}

export function formatPrice(text) {
  const { head, tail } = splitPrice(text);
  return head + tail;
}

const pad = (number) => String(number).padStart(2, "0");

/** 17:05:00, with the day before it if that is another than `nowMs` has. */
export function formatTime(ms, nowMs = ms) {
  const date = new Date(ms);
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(pad).join(":");
  const day = date.toISOString().slice(0, 10);
  return day === new Date(nowMs).toISOString().slice(0, 10) ? clock : `${day} ${clock}`;
}

/** A duration in its two largest units: 12 s, 3 min 5 s, 2 h 10 min, 4 d 3 h. */
export function formatSpan(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s}\u00a0s`;
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = units.findIndex(([, size]) => s >= size);
  const [[name, size], next] = [units[first], units[first + 1]];
  const rest = Math.floor((s % size) / next[1]);
  const whole = `${Math.floor(s / size)}\u00a0${name}`;
  return rest === 0 ? whole : `${whole} ${rest}\u00a0${next[0]}`;
}

/** How long ago: the same words wherever the page tells an age that it counts.
 *
 * In steps of five seconds: a table that ticks is hard to read.
 */
export function formatAgo(ms) {
  return ms < 10_000 ? "just now" : `${formatSpan(5000 * Math.round(ms / 5000))} ago`;
}

/** A clock's offset: +12 ms, −1.4 s. */
export function formatOffset(ms) {
  const sign = ms < 0 ? "−" : "+";
  const size = Math.abs(ms);
  return size < 1000
    ? `${sign}${Math.round(size)}\u00a0ms`
    : `${sign}${(size / 1000).toFixed(1)}\u00a0s`;
}

/** 12345 as 12.3k: a count among many. */
export function formatCount(count) {
  if (count < 1000) return String(count);
  return count < 1e6 ? `${(count / 1e3).toPrecision(3)}k` : `${(count / 1e6).toPrecision(3)}M`;
}

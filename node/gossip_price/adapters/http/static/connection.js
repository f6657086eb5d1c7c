// The way to this node: questions with a deadline, and one stream of events that comes back.

const DEADLINE_MS = 8000;
const MODULE_TRIES = 3;
const MODULE_RETRY_MS = 500;
const RETRY_MS = { first: 1000, last: 8000 };

/** An answer that is not what was asked for; `problem` is the node's own words (RFC 9457). */
export class ApiProblem extends Error {
  constructor(status, problem, retryAfterS) {
    super(problem?.detail ?? `the node answered ${status}`);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** Ask the node. Throws ApiProblem if it refuses, something else if it is not there. */
export async function ask(path) {
  const answer = await fetch(`api/v1/${path}`, {
    headers: { accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const body = await answer.json().catch(() => null);
  if (!answer.ok || body === null) {
    throw new ApiProblem(answer.status, body, Number(answer.headers.get("retry-after")) || 2);
  }
  return body;
}

/** Load a module; a network that changes meanwhile (a phone leaves the house) costs a second try. */
export async function load(begin) {
  for (let triesLeft = MODULE_TRIES; ; triesLeft -= 1) {
    try {
      return await begin();
    } catch (error) {
      if (triesLeft === 1) throw error;
      await new Promise((resolve) => setTimeout(resolve, MODULE_RETRY_MS));
    }
  }
}

/** Events by name, as long as the page is looked at; `opened` and `lost` tell of the stream.
 *
 * A browser gives up a stream for good at some errors and not at others. Here it is always begun
 * again, later each time; a page that nobody sees leaves the node's place to others.
 */
export function listen(names, { event, opened, lost }) {
  let stream = null;
  let waitMs = RETRY_MS.first;
  let timer = null;

  function open() {
    clearTimeout(timer);
    close();
    stream = new EventSource("api/v1/events");
    stream.addEventListener("open", () => {
      waitMs = RETRY_MS.first;
      opened();
    });
    stream.addEventListener("error", () => {
      close();
      lost();
      timer = setTimeout(open, waitMs);
      waitMs = Math.min(2 * waitMs, RETRY_MS.last);
    });
    for (const name of names) {
      stream.addEventListener(name, (message) => event(name, JSON.parse(message.data)));
    }
  }

  function close() {
    stream?.close();
    stream = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      close();
    } else if (stream === null) {
      open();
    }
  });
  addEventListener("online", open);
  open();
}

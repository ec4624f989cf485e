/** An answer as server-sent events, taken up again where the connection is lost. */

import { Problem } from "./problems.js";

/** @typedef {{id: string, name: string, data: any}} StreamEvent */

const LAST = ["message.completed", "error"];
const LONGEST_PAUSE = 8000;

/**
 * The events of an answer up to its last one, however often the connection breaks on the way.
 *
 * @param {Promise<Response>} begun the first connection
 * @param {(created: any, lastId: string) => Promise<Response>} again a new one, after that event
 * @param {AbortSignal} signal ends it without a word
 * @param {(lost: boolean) => void} onLost where the connection breaks, and when it is back
 * @returns {AsyncGenerator<StreamEvent>}
 */
export async function* follow(begun, again, signal, onLost) {
  let response = await begun;
  /** @type {any} */
  let created = null;
  let lastId = "";
  for (let failures = 0; ; failures += 1) {
    try {
      for await (const event of read(response)) {
        if (failures) onLost(false);
        failures = 0;
        lastId = event.id;
        if (event.name === "message.created") created = event.data;
        yield event;
        if (LAST.includes(event.name)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) throw error;
    }
    if (signal.aborted) return;
    if (!created) throw Problem.unreachable();
    onLost(true);
    response = await connected(() => again(created, lastId), failures, signal);
    if (signal.aborted) return;
  }
}

/**
 * Tries to connect until it does, with longer and longer pauses. Throws a Problem that will not
 * pass by itself.
 * @param {() => Promise<Response>} connect
 * @param {number} failures
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
async function connected(connect, failures, signal) {
  for (; !signal.aborted; failures += 1) {
    await pause(Math.min(LONGEST_PAUSE, 250 * 2 ** failures), signal);
    try {
      return await connect();
    } catch (error) {
      if (!(error instanceof Problem)) continue;
      if (!error.mayPass) throw error;
    }
  }
  return null;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal ends it early, as a network that is back does
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const early = () => (clearTimeout(timer), resolve(undefined));
    signal.addEventListener("abort", early, { once: true });
    window.addEventListener("online", early, { once: true });
  });
}

/**
 * The events of one connection.
 * @param {Response} response
 * @returns {AsyncGenerator<StreamEvent>}
 */
async function* read(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parsed(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {string} block the lines of one event
 * @returns {StreamEvent|null} null for a comment that keeps the connection alive
 */
function parsed(block) {
  const event = { id: "", name: "", data: "" };
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    const [field, value] = [line.slice(0, at), line.slice(at + 2)];
    if (field === "id") event.id = value;
    if (field === "event") event.name = value;
    if (field === "data") event.data += value;
  }
  return event.name ? { ...event, data: JSON.parse(event.data) } : null;
}

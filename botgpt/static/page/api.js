/** Calls of /api/v1. Each throws a Problem where it fails. */

import { randomId } from "./access.js";
import { Problem } from "./problems.js";

const BASE = "/api/v1";

/** @typedef {import("./access.js").Access} Access */

/** The API as one caller sees it. */
export class Api {
  /**
   * @param {Access} access
   * @param {() => void} onRefused called where a key is missing or no longer good
   */
  constructor(access, onRefused) {
    this.access = access;
    this.onRefused = onRefused;
    /** What calls wait for; where it fails, they fail by themselves. */
    this.connected = Promise.resolve();
  }

  /**
   * Finds out for whom calls are, before any other is made.
   * @returns {Promise<void>}
   */
  connect() {
    const probe = this.#probe();
    this.connected = probe.catch(() => {});
    return probe;
  }

  /** A user's own key answers 404 to the id of anyone else. */
  async #probe() {
    this.access.namesUser = true;
    try {
      await this.#send("GET", "/conversations", { query: { limit: 1 } });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
      this.access.namesUser = false;
    }
  }

  /**
   * @param {string} path
   * @param {Record<string, any>} [query]
   * @returns {Promise<any>}
   */
  async get(path, query = {}) {
    return (await this.#call("GET", path, { query })).json();
  }

  /**
   * @param {string} path
   * @param {any} [body]
   * @returns {Promise<any>}
   */
  async post(path, body) {
    return (await this.#call("POST", path, { body })).json();
  }

  /**
   * @param {string} path
   * @param {any} body
   * @returns {Promise<any>}
   */
  async patch(path, body) {
    return (await this.#call("PATCH", path, { body })).json();
  }

  /** @param {string} path */
  async delete(path) {
    await this.#call("DELETE", path);
  }

  /**
   * Asks for an answer as events. With the same key, a call sent again joins the first.
   * @param {string} path
   * @param {any} body
   * @param {string} key
   * @param {AbortSignal} signal
   * @returns {Promise<Response>}
   */
  ask(path, body, key, signal) {
    const headers = { Accept: "text/event-stream", "Idempotency-Key": key };
    return this.#call("POST", path, { body, headers, signal });
  }

  /**
   * The events of an answer after that one.
   * @param {string} path
   * @param {string} lastEventId empty for all
   * @param {AbortSignal} signal
   * @returns {Promise<Response>}
   */
  resume(path, lastEventId, signal) {
    const after = lastEventId ? { "Last-Event-ID": lastEventId } : {};
    return this.#call("GET", path, { headers: { Accept: "text/event-stream", ...after }, signal });
  }

  /**
   * @param {string} path
   * @returns {Promise<Blob>}
   */
  async download(path) {
    return (await this.#call("GET", path)).blob();
  }

  /**
   * Sends a file. `fetch` cannot tell how far it has come; XMLHttpRequest can.
   * @param {File} file
   * @param {(share: number) => void} onProgress from 0 to 1
   * @returns {Promise<import("./types.js").LibraryDocument>}
   */
  async upload(file, onProgress) {
    await this.connected;
    const form = new FormData();
    form.append("file", file);
    for (const [name, value] of Object.entries(this.access.user)) form.append(name, value);
    const request = new XMLHttpRequest();
    request.open("POST", `${BASE}/documents`);
    const headers = { ...this.access.headers(), "Idempotency-Key": randomId() };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    return new Promise((resolve, reject) => {
      request.addEventListener("error", () => reject(Problem.unreachable()));
      request.addEventListener("load", () => {
        if (request.status < 300) return resolve(JSON.parse(request.responseText));
        if (request.status === 401) this.onRefused();
        reject(Problem.from(request.status, request.responseText));
      });
      request.send(form);
    });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {any} [options] as those of #send
   */
  async #call(method, path, options) {
    await this.connected;
    return this.#send(method, path, options);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{query?: Record<string, any>, body?: any, headers?: Record<string, any>,
   *   signal?: AbortSignal}} [options]
   * @returns {Promise<Response>}
   */
  async #send(method, path, { query = {}, body, headers = {}, signal } = {}) {
    const address = new URL(BASE + path, location.origin);
    // Of what POST makes, the body names the user; models are nobody's; all else is found by the query.
    const isNamed = (method === "POST" && body?.user_id) || path === "/models";
    const named = isNamed ? {} : this.access.user;
    for (const [name, value] of Object.entries({ ...named, ...query })) {
      address.searchParams.set(name, value);
    }
    /** @type {Record<string, string>} */
    const json = body === undefined ? {} : { "Content-Type": "application/json" };
    let response;
    try {
      response = await fetch(address, {
        method,
        body: body === undefined ? undefined : JSON.stringify(body),
        headers: { Accept: "application/json", ...json, ...this.access.headers(), ...headers },
        signal,
        keepalive: ["PATCH", "DELETE"].includes(method), // sent even where the page is closed
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw Problem.unreachable();
    }
    if (response.ok) return response;
    if (response.status === 401) this.onRefused();
    throw await Problem.of(response);
  }
}

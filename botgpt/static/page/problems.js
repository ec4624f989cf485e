/** What went wrong, as the API tells it (RFC 9457), and what to do. */

/** A call that failed. */
export class Problem extends Error {
  /**
   * @param {Record<string, any>} body a problem detail, or what is known of one
   */
  constructor(body) {
    super(body.detail || "The server gave no reason.");
    this.status = body.status ?? 0;
    this.code = body.code ?? "";
    this.requestId = body.request_id ?? "";
    this.retryAfter = body.retry_after ?? null;
    this.resetsAt = body.resets_at ?? null;
    this.answerId = body.answer_id ?? null;
  }

  /**
   * From an answer that is no success.
   * @param {Response} response
   */
  static async of(response) {
    return Problem.from(response.status, await response.text().catch(() => ""));
  }

  /**
   * From a status and a body; a proxy's page is no problem detail, but its status tells enough.
   * @param {number} status
   * @param {string} text
   */
  static from(status, text) {
    try {
      return new Problem({ status, ...JSON.parse(text) });
    } catch {
      const detail = `The server could not answer (status ${status}). Try again in a moment.`;
      return new Problem({ status, detail });
    }
  }

  /** From a call that never got an answer. */
  static unreachable() {
    const detail = navigator.onLine
      ? "The server cannot be reached. Check that it runs, then try again."
      : "You are offline. Try again once you are connected.";
    return new Problem({ code: "unreachable", detail });
  }

  /** All that a person needs: what is wrong, when it will pass, and what to quote in a report. */
  get told() {
    const parts = [this.message];
    if (this.resetsAt && !this.message.includes("reset")) {
      parts.push(`It resets ${whenLocal(this.resetsAt)}.`);
    } else if (this.resetsAt) {
      parts.push(`Here that is ${whenLocal(this.resetsAt)}.`);
    } else if (this.retryAfter && !this.message.includes(" again in ")) {
      parts.push(`Try again in ${duration(this.retryAfter)}.`);
    }
    if (this.status >= 500 && this.requestId) parts.push(`(request ${this.requestId})`);
    return parts.join(" ");
  }

  /** Whether the same call may do better later. */
  get mayPass() {
    const waits = ["documents_not_ready", "answer_under_way", "idempotent_call_under_way"];
    return this.status === 0 || this.status === 429 || this.status >= 500
      || waits.includes(this.code);
  }
}

/** @param {string} moment ISO 8601 */
function whenLocal(moment) {
  const at = new Date(moment);
  const today = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (today) return `today at ${time}`;
  return `on ${at.toLocaleDateString([], { month: "long", day: "numeric" })} at ${time}`;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) return seconds === 1 ? "a second" : `${seconds} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

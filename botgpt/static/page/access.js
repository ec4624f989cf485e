/** Who calls: an API key where the server asks for one, else a user id kept in this browser. */

const KEY = "botgpt.key";
const USER = "botgpt.user";

/** What the browser holds, and what the server makes of it. */
export class Access {
  constructor() {
    this.key = sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "";
    /** Whether calls name their user: a user's own key needs none, and may name no other. */
    this.namesUser = true;
  }

  /** The user whom this browser stands for where nobody else says who that is. */
  get userId() {
    let id = localStorage.getItem(USER);
    if (!id) {
      id = randomId();
      localStorage.setItem(USER, id);
    }
    return id;
  }

  /** `user_id` for a query or a body, where one is to be named. */
  get user() {
    return this.namesUser ? { user_id: this.userId } : {};
  }

  /**
   * Keeps a key until this tab closes, or in this browser.
   * @param {string} key
   * @param {boolean} remembered
   */
  use(key, remembered) {
    this.forget();
    this.key = key;
    (remembered ? localStorage : sessionStorage).setItem(KEY, key);
  }

  /** Removes the key. */
  forget() {
    this.key = "";
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  }

  /**
   * The headers that say who calls. A staff session is known by its cookie, and proves by the
   * token that the call comes from a page of this server.
   * @returns {Record<string, string>}
   */
  headers() {
    const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
    return {
      ...(this.key ? { Authorization: `Bearer ${this.key}` } : {}),
      ...(token ? { "X-CSRFToken": token[1] } : {}),
    };
  }
}

/** A random UUID. `crypto.randomUUID` is missing where a page is served without TLS. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

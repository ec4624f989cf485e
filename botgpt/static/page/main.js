/** Starts the page: finds out who calls, asks for a key where one is needed, and hears the keys. */

import { Access } from "./access.js";
import { Api } from "./api.js";
import { App } from "./app.js";
import { byId } from "./elements.js";
import { askedForKey } from "./dialogs.js";
import { listen } from "./dropping.js";
import { carryOut, show, tell, watchNetwork } from "./notices.js";
import { Problem } from "./problems.js";
import { switchBy } from "./theme.js";

const access = new Access();
const api = new Api(access, () => askForKey());
const app = new App(api);
let asking = false;

async function start() {
  try {
    await api.connect();
    byId("forget-key").hidden = !access.key;
    await app.start();
  } catch (problem) {
    tell(problem, { label: "Try again", act: start });
  }
}

/** Asks until a key is given; what was refused once may have been typed wrongly. */
async function askForKey() {
  if (asking) return;
  asking = true;
  const why = access.key
    ? "The key given before is unknown, expired or revoked. Give another one."
    : "This server answers only those with a key.";
  access.forget();
  const given = await askedForKey(why);
  asking = false;
  if (!given) {
    return show("Nothing can be asked without an API key.", "problem",
      { label: "Give a key", act: askForKey });
  }
  access.use(given.key, given.remembered);
  await start();
}

async function forgetKey() {
  await carryOut();
  access.forget();
  location.assign(location.pathname);
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (document.querySelector("dialog[open]") || event.isComposing) return;
  const target = /** @type {HTMLElement} */ (event.target);
  const writing = target.matches("input:not([type=checkbox], [type=radio]), textarea");
  if (event.key === "Escape") {
    if (app.stoppable) app.stop();
    else if (document.body.classList.contains("with-drawer")) app.closeDrawer();
    else app.panel.close();
  }
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    if (byId("menu").offsetParent) app.openDrawer();
    app.sidebar.focusSearch();
  }
}

window.addEventListener("keydown", onKey);
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof Problem) tell(event.reason);
});
byId("forget-key").addEventListener("click", forgetKey);
switchBy(byId("theme"));
watchNetwork();
listen((files) => app.add(files));
// A phone would open its keyboard over what there is to read.
if (matchMedia("(hover: hover)").matches) app.composer.focus();
await start();

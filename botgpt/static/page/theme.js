/** Dark, light, or as the system has it. Runs before the first paint where browsers allow it. */

const KEY = "botgpt.theme";
const THEMES = ["system", "light", "dark"];
const LABELS = { system: "as the system", light: "light", dark: "dark" };

/** @returns {"system"|"light"|"dark"} */
export function theme() {
  const kept = localStorage.getItem(KEY) ?? "";
  return /** @type {any} */ (THEMES.includes(kept) ? kept : "system");
}

function apply() {
  document.documentElement.dataset.theme = theme();
}

/**
 * Makes a button go through the three.
 * @param {HTMLButtonElement} button
 */
export function switchBy(button) {
  const show = () => {
    const label = `Colours: ${LABELS[theme()]}. Change`;
    button.setAttribute("aria-label", label);
    button.title = label;
    button.querySelector("use")?.setAttribute("href", `#icon-${theme()}`);
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    apply();
    show();
  });
  show();
}

apply();

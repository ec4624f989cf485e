/** Files dropped anywhere on the page, pasted, or chosen by the button. */

import { byId } from "./elements.js";

/** @param {(files: File[]) => void} onFiles */
export function listen(onFiles) {
  const veil = byId("veil");
  const input = byId("file");
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  for (const id of ["attach", "begin-upload"]) {
    byId(id).addEventListener("click", () => input.click());
  }

  // Each element that the pointer crosses tells of it; only files count, and not text of the page.
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
  byId("question").addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onFiles(files);
  });
}

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

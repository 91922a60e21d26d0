/** Starts the studio's page. */
import { render } from "preact";
import { App } from "./app";
import { keepFocus } from "./focus";
import { complain, open } from "./store";

window.addEventListener("unhandledrejection", (event) => complain(event.reason));
// Otherwise, the browser would open a file that is dropped on a step without use for it, and leave the page.
for (const kind of ["dragover", "drop"] as const) {
  window.addEventListener(kind, (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "none";
  });
}
render(<App />, document.getElementById("app")!);
keepFocus();
void open();

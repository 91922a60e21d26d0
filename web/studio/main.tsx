/** Starts the studio's page. */
import { render } from "preact";
import { App } from "./app";
import { complain, open } from "./store";

window.addEventListener("unhandledrejection", (event) => complain(event.reason));
render(<App />, document.getElementById("app")!);
void open();

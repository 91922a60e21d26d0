/** The latest message, with a button that undoes what it tells; in the page, and in the dialog that lies over it. */
import { useEffect } from "preact/hooks";
import { Icon } from "./icons";
import { message, project, undo } from "./store";
import { text } from "../text";

const MESSAGE_MS = 8000;

export function Toast() {
  const current = message.value;
  useEffect(() => {
    if (!current || current.kind === "problem") return;
    const timer = window.setTimeout(() => {
      if (message.value === current) message.value = null;
    }, MESSAGE_MS);
    return () => window.clearTimeout(timer);
  }, [current]);
  return (
    <div class="toasts">
      <div role="status">
        {current?.kind === "done" && (
          <p class="toast">
            <span>{current.text}</span>
            {current.undo && project.value?.undo && (
              <button type="button" class="plain" onClick={() => void undo()}>
                {text.undo}
              </button>
            )}
          </p>
        )}
      </div>
      <div role="alert">
        {current?.kind === "problem" && (
          <p class="toast bad">
            <Icon name="warning" />
            <span>{current.text}</span>
            <button type="button" class="icon-button" aria-label={text.dismiss} onClick={() => (message.value = null)}>
              <Icon name="close" />
            </button>
          </p>
        )}
      </div>
    </div>
  );
}

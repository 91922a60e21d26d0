/** Warnings of a job, each once; photos are named as in the rest of the page, without the folder of the project. */
import { project } from "./store";
import { text } from "../text";

const FIRST = 3; // warnings that are shown at once

export function Warnings({ lines = [] }: { lines?: readonly string[] }) {
  const folder = `${project.value!.folder}/`;
  const distinct = [...new Set(lines)].map((line) => line.replaceAll(folder, ""));
  const more = distinct.slice(FIRST);
  return (
    <>
      <Lines lines={distinct.slice(0, FIRST)} />
      {more.length > 0 && (
        <details class="more-warnings">
          <summary class="note">{text.moreWarnings(more.length)}</summary>
          <Lines lines={more} />
        </details>
      )}
    </>
  );
}

function Lines({ lines }: { lines: readonly string[] }) {
  return (
    <>
      {lines.map((line) => (
        <p class="note warning" key={line}>
          {line}
        </p>
      ))}
    </>
  );
}

/** Warnings of a job, each once; photos are named as in the rest of the page, without the folder of the project. */
import { project } from "./store";

export function Warnings({ lines = [] }: { lines?: readonly string[] }) {
  const folder = `${project.value!.folder}/`;
  return (
    <>
      {[...new Set(lines)].map((line) => (
        <p class="note warning" key={line}>
          {line.replaceAll(folder, "")}
        </p>
      ))}
    </>
  );
}

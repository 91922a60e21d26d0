/** Warnings of a job, each once. */

export function Warnings({ lines = [] }: { lines?: readonly string[] }) {
  return (
    <>
      {[...new Set(lines)].map((line) => (
        <p class="note warning" key={line}>
          {line}
        </p>
      ))}
    </>
  );
}

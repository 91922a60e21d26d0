/** The confusion matrix; each cell opens its photos. */
import { number, text } from "../text";

export interface ConfusionProps {
  readonly confusion: { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] };
  openable(label: string, predicted: string): boolean;
  onOpen(label: string, predicted: string): void;
}

export function Confusion({ confusion: { labels, counts }, openable, onOpen }: ConfusionProps) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={text.train.confusion}>
      <table class="confusion">
        <thead>
          <tr>
            <th scope="col">{text.train.actual}</th>
            {labels.map((label) => (
              <th scope="col">
                <Label name={label} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {labels.map((label, row) => {
            const all = counts[row].reduce((sum, count) => sum + count, 0) || 1;
            return (
              <tr>
                <th scope="row">
                  <Label name={label} />
                </th>
                {labels.map((predicted, column) => {
                  const count = counts[row][column];
                  const right = row === column;
                  const name = right ? text.train.right(count, label) : text.train.cell(count, label, predicted);
                  return (
                    <td class={right ? "right" : ""} style={{ "--share": count / all }}>
                      {count > 0 && openable(label, predicted) ? (
                        <button type="button" aria-label={name} title={name} onClick={() => onOpen(label, predicted)}>
                          {number(count)}
                        </button>
                      ) : (
                        <span title={name}>{count ? number(count) : "·"}</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Label({ name }: { name: string }) {
  return (
    <span class="table-label" dir="auto" title={name}>
      {name}
    </span>
  );
}

/** The section that measures this device, with a button, a table with histograms, and a file. */
import { commonRange, histogram } from "./histogram";
import type { ModelDescription } from "./metadata";
import { asJson, measure, type MeasureOptions, nameOf, samplesOf, troubles, USUAL, type Variant } from "./measure";
import { describe } from "./samples";
import { sentenceFor } from "./sentence";
import { find, showProblem } from "./view";

export function offerMeasuring(modelUrl: string, model: ModelDescription, pause: () => void): void {
  const button = find<HTMLButtonElement>("measure-start");
  const progress = find<HTMLProgressElement>("measure-progress");
  button.disabled = false;
  button.addEventListener("click", async () => {
    pause();
    button.disabled = true;
    progress.hidden = false;
    find("measured").replaceChildren();
    try {
      const variants = await measure(modelUrl, options(), (done, total) => {
        progress.max = total;
        progress.value = done;
      });
      showResults(variants);
      await offerFile(await asJson(model, variants));
    } catch (error) {
      showProblem(sentenceFor(error));
    } finally {
      progress.hidden = true;
      button.disabled = false;
    }
  });
}

/** `#runs=50` in the address reduces the number of inferences. */
function options(): MeasureOptions {
  const runs = Number(new URLSearchParams(location.hash.slice(1)).get("runs"));
  return runs > 0 ? { runs, milliseconds: (USUAL.milliseconds * runs) / USUAL.runs } : USUAL;
}

function showResults(variants: readonly Variant[]): void {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const text of ["Threads", "Median", "p90", "p99"]) head.append(cell("th", text, "col"));
  const body = table.createTBody();
  const range = commonRange(variants.map(samplesOf));
  const pictures: Element[] = [];
  for (const variant of variants) {
    const { median, p90, p99 } = describe(samplesOf(variant));
    const row = body.insertRow();
    row.append(cell("th", String(variant.threads), "row"));
    for (const value of [median, p90, p99]) row.append(cell("td", `${value.toFixed(2)} ms`));
    pictures.push(histogram(samplesOf(variant), nameOf(variant), range));
  }
  const warnings = variants.flatMap(troubles).map((text) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    return paragraph;
  });
  find("measured").replaceChildren(table, ...pictures, ...warnings);
}

async function offerFile(result: object): Promise<void> {
  const link = find<HTMLAnchorElement>("measure-save");
  const share = find<HTMLButtonElement>("measure-share");
  const file = new File([`${JSON.stringify(result)}\n`], link.download, { type: "application/json" });
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(file);
  share.hidden = !navigator.canShare?.({ files: [file] });
  share.onclick = () => navigator.share({ files: [file] }).catch(() => undefined); // the user has canceled
  find("measured-files").hidden = false;
}

function cell(name: "th" | "td", text: string, scope?: string): HTMLTableCellElement {
  const made = document.createElement(name);
  made.textContent = text;
  if (scope) made.setAttribute("scope", scope);
  return made;
}

/** Small histograms of samples in milliseconds, as SVG elements with captions. */

const BINS = 40;
const WIDTH = 320;
const HEIGHT = 72;
const SHOWN = 0.99; // fraction of samples that is shown; the slowest 1 % would compress the others

/** The interval, in milliseconds, that a histogram covers. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** Returns a common range for several lists of samples, so that their histograms can be compared. */
export function commonRange(lists: readonly (readonly number[])[]): Range {
  const ordered = lists.map((samples) => [...samples].sort((a, b) => a - b));
  const low = Math.min(...ordered.map((samples) => samples[0]));
  const high = Math.max(...ordered.map((samples) => samples[Math.floor(SHOWN * (samples.length - 1))]));
  return { low, high };
}

/** Returns a figure with the histogram of the samples within a range, and with `name` as its caption. */
export function histogram(samples: readonly number[], name: string, { low, high }: Range): HTMLElement {
  const width = high - low || 1;
  const counts = new Array<number>(BINS).fill(0);
  for (const sample of samples) {
    if (sample <= high) counts[Math.min(BINS - 1, Math.floor((BINS * (sample - low)) / width))]++;
  }
  const most = Math.max(...counts);
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 16}`, role: "img", class: "histogram" });
  const title = element("title", {});
  title.textContent = `Histogram of ${name}, from ${low.toFixed(1)} to ${high.toFixed(1)} milliseconds`;
  svg.append(title, element("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  counts.forEach((count, bin) => {
    const height = (HEIGHT * count) / most;
    const x = (WIDTH * bin) / BINS;
    svg.append(element("rect", { x, y: HEIGHT - height, width: WIDTH / BINS - 1, height, rx: 1 }));
  });
  svg.append(label(0, "start", `${low.toFixed(1)} ms`), label(WIDTH, "end", `${high.toFixed(1)} ms`));
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = name;
  figure.append(caption, svg);
  return figure;
}

function label(x: number, anchor: string, text: string): SVGElement {
  const found = element("text", { x, y: HEIGHT + 13, "text-anchor": anchor });
  found.textContent = text;
  return found;
}

function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

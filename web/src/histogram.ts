/** A small histogram as SVG, for samples in milliseconds. */

const BINS = 40;
const WIDTH = 320;
const HEIGHT = 72;
const SHOWN = 0.99; // the slowest hundredth would squeeze the rest together

export function histogram(samples: readonly number[], name: string): SVGSVGElement {
  const ordered = [...samples].sort((a, b) => a - b);
  const low = ordered[0];
  const high = ordered[Math.floor(SHOWN * (ordered.length - 1))];
  const width = high - low || 1;
  const counts = new Array<number>(BINS).fill(0);
  for (const sample of ordered) {
    if (sample <= high) counts[Math.min(BINS - 1, Math.floor((BINS * (sample - low)) / width))]++;
  }
  const most = Math.max(...counts);
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 16}`, role: "img", class: "histogram" });
  const title = element("title", {});
  title.textContent = `Histogram of ${name}: most times lie between ${low.toFixed(1)} and ${high.toFixed(1)} milliseconds`;
  svg.append(title);
  counts.forEach((count, bin) => {
    const height = (HEIGHT * count) / most;
    const x = (WIDTH * bin) / BINS;
    svg.append(element("rect", { x, y: HEIGHT - height, width: WIDTH / BINS - 1, height, rx: 1 }));
  });
  svg.append(label(0, "start", `${low.toFixed(1)} ms`), label(WIDTH, "end", `${high.toFixed(1)} ms`));
  return svg as SVGSVGElement;
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

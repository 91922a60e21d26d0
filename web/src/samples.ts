/** Summary statistics of samples, as in `poets_edge/bench/samples.py`. */

export interface Distribution {
  readonly count: number;
  readonly minimum: number;
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
  readonly maximum: number;
  /** Interquartile range over the median. */
  readonly spread: number;
}

const WINDOW = 10; // number of calls in a window, which is compared with the previous window
const STEADY = 0.03; // maximum relative difference between the medians of settled windows

export function describe(samples: readonly number[]): Distribution {
  const ordered = [...samples].sort((a, b) => a - b);
  const median = percentile(ordered, 50);
  return {
    count: ordered.length,
    minimum: ordered[0],
    median,
    p90: percentile(ordered, 90),
    p99: percentile(ordered, 99),
    maximum: ordered[ordered.length - 1],
    spread: median ? (percentile(ordered, 75) - percentile(ordered, 25)) / median : 0,
  };
}

export function median(samples: readonly number[]): number {
  return percentile([...samples].sort((a, b) => a - b), 50);
}

/** Percentile of sorted samples by linear interpolation (Hyndman and Fan's type 7). */
export function percentile(ordered: readonly number[], percent: number): number {
  const position = ((ordered.length - 1) * percent) / 100;
  const low = Math.floor(position);
  const high = Math.min(low + 1, ordered.length - 1);
  return ordered[low] + (ordered[high] - ordered[low]) * (position - low);
}

/** Calls a function until its times have settled, or until `longest` milliseconds have passed. */
export function warmUp(call: () => void, longest: number): { runs: number; steady: boolean } {
  const times: number[] = [];
  const begin = performance.now();
  for (;;) {
    const before = performance.now();
    call();
    const after = performance.now();
    times.push(after - before);
    if (times.length >= 2 * WINDOW && times.length % WINDOW === 0) {
      const earlier = median(times.slice(-2 * WINDOW, -WINDOW));
      if (Math.abs(median(times.slice(-WINDOW)) - earlier) <= STEADY * earlier) return { runs: times.length, steady: true };
    }
    if (after - begin > longest) return { runs: times.length, steady: false };
  }
}

/** Returns the resolution of the clock in milliseconds, which browsers reduce, some to a whole millisecond. */
export function clockStep(): number {
  const steps: number[] = [];
  while (steps.length < 5) {
    const before = performance.now();
    let after = before;
    while (after === before) after = performance.now();
    steps.push(after - before);
  }
  return Math.min(...steps);
}

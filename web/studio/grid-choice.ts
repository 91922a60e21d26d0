/** Which point of the comparison is best within limits. */
import type { GridPoint } from "./api";

export interface Limits {
  /** Milliseconds for one photo; Infinity for no limit. */
  readonly latency: number;
  /** Share of correct answers; 0 for no limit. */
  readonly accuracy: number;
}

export function fits(point: GridPoint, limits: Limits): boolean {
  return point.latency_ms <= limits.latency && point.accuracy >= limits.accuracy;
}

/** The most accurate point within the limits; of equals the fastest. */
export function bestWithin(points: readonly GridPoint[], limits: Limits): GridPoint | undefined {
  const [best] = points
    .filter((point) => fits(point, limits))
    .sort((a, b) => b.accuracy - a.accuracy || a.latency_ms - b.latency_ms);
  return best;
}

export function nameOf(point: GridPoint): string {
  return `${point.architecture} · ${point.form}`;
}

/** Hue of a network, in degrees, spread over all of them. */
export function hueOf(architecture: string, points: readonly GridPoint[]): number {
  const names = [...new Set(points.map((point) => point.architecture))];
  return Math.round((265 + (360 * names.indexOf(architecture)) / names.length) % 360);
}

/** Which labels to show for scores. */

export interface Answer {
  readonly label: string;
  readonly score: number;
}

/** The `count` best, best first; of equal scores the one listed first. */
export function best(labels: readonly string[], scores: Float32Array, count: number): Answer[] {
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  return order.slice(0, count).map((index) => ({ label: labels[index], score: scores[index] }));
}

/**
 * The threshold to begin with: the model's own, above which its answers are right often enough, rounded up to 5 %. A
 * model that states none, or that needs none, gets 50 %, or 75 % with two labels, one of which always has 50 % or more.
 */
export function defaultThreshold(labels: number, stated: number | undefined): number {
  if (stated !== undefined && stated > 1 / labels) return Math.min(0.95, Math.ceil(stated * 20 - 1e-9) / 20);
  return labels <= 2 ? 0.75 : 0.5;
}

/** When an answer is given. */
export interface Limits {
  /** Score below which the answer is `unknown`, 0 to 1. */
  readonly threshold: number;
  /** Whether pictures unlike the training photos are answered, too. */
  readonly acceptAll: boolean;
}

/** Distance from the training photos above which a picture is unknown. */
export const FARTHEST = 1;

/** What the page says of a picture. */
export interface Verdict {
  readonly text: string;
  /** Small print, or nothing. */
  readonly note: string;
  /** The number of answers that count, from the best one: the others are pale. */
  readonly count: number;
}

/** What one calls a picture: its best label, unless the picture is unlike the training photos, or its score too low. */
export function verdict(answers: readonly Answer[], distance: number | undefined, limits: Limits): Verdict {
  const [best] = answers;
  if (!limits.acceptAll && distance !== undefined && distance > FARTHEST) {
    return { text: "I don’t know this", note: `Unlike the training photos. Nearest: ${best.label}`, count: 0 };
  }
  const count = answers.filter(({ score }) => score >= limits.threshold).length;
  return { text: count ? best.label : "unknown", note: "", count };
}

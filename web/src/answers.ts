/** The labels that the page shows for scores. */

export interface Answer {
  readonly label: string;
  readonly score: number;
}

/** Returns the `count` best labels, best first; equal scores keep the order of the labels. */
export function best(labels: readonly string[], scores: Float32Array, count: number): Answer[] {
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  return order.slice(0, count).map((index) => ({ label: labels[index], score: scores[index] }));
}

/**
 * Returns the initial threshold: the one that the model suggests, rounded up to 5 %. A model that suggests
 * none, or needs none, gets 50 %, or 75 % with two labels, one of which always has 50 % or more.
 */
export function defaultThreshold(labels: number, stated: number | undefined): number {
  if (stated !== undefined && stated > 1 / labels) return Math.min(0.95, Math.ceil(stated * 20 - 1e-9) / 20);
  return labels <= 2 ? 0.75 : 0.5;
}

/** Conditions for labeling a picture. */
export interface Limits {
  /** Score below which the label is `unknown`, 0 to 1. */
  readonly threshold: number;
  /** Whether pictures unlike the training photos are also labeled with a class. */
  readonly acceptAll: boolean;
}

/** Distance from the training photos above which a picture is unknown. */
export const FARTHEST = 1;

/** Text about a picture. */
export interface Verdict {
  readonly text: string;
  /** Additional text in small print; may be empty. */
  readonly note: string;
  /** Number of labels that are not shown in pale color, counted from the best one. */
  readonly count: number;
}

/** Returns the verdict on a picture: its best label, unless it is unlike the training photos or its score is too low. */
export function verdict(answers: readonly Answer[], distance: number | undefined, limits: Limits): Verdict {
  const [best] = answers;
  if (!limits.acceptAll && distance !== undefined && distance > FARTHEST) {
    return { text: "I don’t know this", note: `Unlike the training photos. Nearest: ${best.label}`, count: 0 };
  }
  const count = answers.filter(({ score }) => score >= limits.threshold).length;
  return { text: count ? best.label : "unknown", note: "", count };
}

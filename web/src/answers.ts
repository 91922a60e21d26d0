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

/** What one calls the picture: the best label, or `unknown` below the threshold. */
export function verdict(answers: readonly Answer[], threshold: number): string {
  return answers.length && answers[0].score >= threshold ? answers[0].label : "unknown";
}

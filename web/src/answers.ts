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

/** What one calls the picture: the best label, or `unknown` below the threshold. */
export function verdict(answers: readonly Answer[], threshold: number): string {
  return answers.length && answers[0].score >= threshold ? answers[0].label : "unknown";
}

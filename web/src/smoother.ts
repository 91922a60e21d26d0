/** Steadies the values of a live picture: each frame moves them a part of the way to its own, as in the Android app. */
export class Smoother {
  private steady?: Float32Array;

  /** @param weight of the newest frame, above 0 and at most 1 (no smoothing) */
  constructor(private readonly weight: number) {}

  add(scores: Float32Array): Float32Array {
    const { steady, weight } = this;
    this.steady = steady ? steady.map((past, i) => past + weight * (scores[i] - past)) : scores;
    return this.steady;
  }

  /** Forgets the past: the next frame shows something else. */
  reset(): void {
    this.steady = undefined;
  }
}

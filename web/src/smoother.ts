/** Exponential moving average of the values of live frames, as in the Android app. */
export class Smoother {
  private steady?: Float32Array;

  /** @param weight weight of the newest frame, above 0 and at most 1 (no smoothing) */
  constructor(private readonly weight: number) {}

  add(scores: Float32Array): Float32Array {
    const { steady, weight } = this;
    this.steady = steady ? steady.map((past, i) => past + weight * (scores[i] - past)) : scores;
    return this.steady;
  }

  /** Discards previous frames, because the next frame shows a different scene. */
  reset(): void {
    this.steady = undefined;
  }
}

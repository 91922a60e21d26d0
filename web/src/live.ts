/** Labels each frame of the camera while it runs. */
import { eachFrame } from "./camera";
import type { Scored } from "./classifier";
import type { Scorer } from "./scorer";
import { Smoother } from "./smoother";

const AT_ONCE = 2; // the next frame is read while the worker scores the previous one
const NEWEST = 0.3;
const RATE_OVER = 1000;

/** Result for one frame; times in milliseconds. */
export interface Labeled extends Scored {
  /** Time from the camera frame to the scores. */
  readonly whole: number;
  /** Number of frames that were labeled in the last second. */
  readonly rate: number;
}

export class Live {
  private readonly smoother = new Smoother(NEWEST);
  private readonly distances = new Smoother(NEWEST);
  private readonly finished: number[] = [];
  private under_way = 0;
  private cancel?: () => void;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly scorer: Scorer,
    private readonly show: (labeled: Labeled) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  start(): void {
    this.stop();
    this.smoother.reset();
    this.distances.reset();
    this.finished.length = 0;
    this.cancel = eachFrame(this.video, () => {
      if (this.under_way < AT_ONCE) void this.label();
    });
  }

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private async label(): Promise<void> {
    this.under_way++;
    const start = performance.now();
    try {
      const scored = await this.scorer.score(await centralSquare(this.video));
      if (!this.cancel) return; // stopped meanwhile
      const now = performance.now();
      this.finished.push(now);
      while (this.finished[0] < now - RATE_OVER) this.finished.shift();
      const scores = this.smoother.add(scored.scores);
      const distance = scored.distance === undefined ? undefined : this.distances.add(Float32Array.of(scored.distance))[0];
      this.show({ ...scored, scores, distance, whole: now - start, rate: this.finished.length });
    } catch (error) {
      if (this.cancel) this.fail(error);
    } finally {
      this.under_way--;
    }
  }
}

/** Returns the part of the camera's picture that the page shows. */
export function centralSquare(video: HTMLVideoElement): Promise<ImageBitmap> {
  const { videoWidth: width, videoHeight: height } = video;
  const side = Math.min(width, height);
  return createImageBitmap(video, (width - side) >> 1, (height - side) >> 1, side, side);
}

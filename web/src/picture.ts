/** Converts a picture of any size to the RGB pixels of a model's input, in strips. */
import { Resampler } from "./resample";

/** Part of a picture, in pixels of the picture. */
export interface Crop {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const STRIP_PIXELS = 1 << 20; // 4 MB: far below any browser's limit for a canvas

/** Resizer that reuses its buffers for pictures of equal size, such as camera frames. */
export class Fitter {
  private canvas?: OffscreenCanvas;
  private resampler?: Resampler;

  constructor(
    readonly width: number,
    readonly height: number,
    readonly antialias = true,
  ) {}

  /** Resizes a picture, or its part `crop`, without keeping the aspect ratio, as in Python. */
  fit(picture: ImageBitmap, crop?: Crop): Uint8Array {
    const { left, top, width, height } = crop ?? { left: 0, top: 0, width: picture.width, height: picture.height };
    if (this.resampler?.width !== width || this.resampler.height !== height) {
      this.resampler = new Resampler(width, height, this.width, this.height, this.antialias);
    }
    const stripHeight = Math.min(height, Math.max(1, Math.floor(STRIP_PIXELS / width)));
    if (this.canvas?.width !== width || this.canvas.height !== stripHeight) {
      this.canvas = new OffscreenCanvas(width, stripHeight);
    }
    const context = this.canvas.getContext("2d", { willReadFrequently: true, alpha: false })!;
    context.fillStyle = "white"; // visible behind transparent pixels
    for (let row = 0; row < height; row += stripHeight) {
      const rows = Math.min(stripHeight, height - row);
      context.fillRect(0, 0, width, rows);
      context.drawImage(picture, left, top + row, width, rows, 0, 0, width, rows);
      this.resampler.addRows(context.getImageData(0, 0, width, rows).data, row);
    }
    return this.resampler.finish();
  }
}

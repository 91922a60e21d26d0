/** From a picture of any size to the RGB pixels a model takes, strip by strip. */
import { Resampler } from "./resample";

/** Where to cut a picture, in its own pixels. */
export interface Crop {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const STRIP_PIXELS = 1 << 20; // 4 MB: far below any browser's limit for a canvas

/** Keeps what can be used again for the next picture of the same size, as a camera's are. */
export class Fitter {
  private canvas?: OffscreenCanvas;
  private resampler?: Resampler;

  constructor(
    readonly width: number,
    readonly height: number,
    readonly antialias = true,
  ) {}

  /** The whole picture, or the part `crop` of it, resized without keeping its proportions, as Python does. */
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
    context.fillStyle = "white"; // shows through what is transparent
    for (let row = 0; row < height; row += stripHeight) {
      const rows = Math.min(stripHeight, height - row);
      context.fillRect(0, 0, width, rows);
      context.drawImage(picture, left, top + row, width, rows, 0, 0, width, rows);
      this.resampler.addRows(context.getImageData(0, 0, width, rows).data, row);
    }
    return this.resampler.finish();
  }
}

/**
 * Resizes a picture exactly as Python does, to the last bit: with Pillow's antialiased bilinear filter, or without
 * antialiasing, as MediaPipe does.
 *
 * Each output sample is a weighted mean of the input samples under a triangle. When shrinking, the triangle is as wide as
 * two output pixels, so every input pixel counts. Rows are done first, then columns, each rounded to 8 bits, with weights
 * of 22 fractional bits, in integer arithmetic, so results are equal everywhere. Rows can be processed in strips, so
 * that a photo of any size needs little memory.
 */

const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);

/** Weights of the input samples first[i], first[i] + 1, ... for output sample i: fixed[from[i]] to fixed[from[i + 1] - 1]. */
interface Weights {
  readonly first: Int32Array;
  readonly from: Int32Array;
  readonly fixed: Int32Array;
}

export class Resampler {
  private readonly columns: Weights;
  private readonly rows: Weights;
  private readonly narrowed: Uint8Array;

  constructor(
    readonly width: number,
    readonly height: number,
    readonly newWidth: number,
    readonly newHeight: number,
    antialias = true,
  ) {
    const weights = antialias ? averages : neighbours;
    this.columns = weights(width, newWidth);
    this.rows = weights(height, newHeight);
    this.narrowed = new Uint8Array(height * newWidth * 3);
  }

  /** Adds rows `top`, `top` + 1, ... of the picture, as RGBA; alpha is ignored. */
  addRows(rgba: Uint8ClampedArray, top: number): void {
    const { width, newWidth, narrowed } = this;
    const { first, from, fixed } = this.columns;
    const rowCount = rgba.length / (4 * width);
    let at = top * newWidth * 3;
    for (let row = 0; row < rowCount; row++) {
      for (let x = 0; x < newWidth; x++) {
        let pixel = 4 * (row * width + first[x]);
        let red = HALF;
        let green = HALF;
        let blue = HALF;
        for (let i = from[x]; i < from[x + 1]; i++) {
          const weight = fixed[i];
          red += rgba[pixel] * weight;
          green += rgba[pixel + 1] * weight;
          blue += rgba[pixel + 2] * weight;
          pixel += 4;
        }
        // Weights can add up to a little over one, never below zero.
        narrowed[at++] = Math.min(255, red >> FRACTION_BITS);
        narrowed[at++] = Math.min(255, green >> FRACTION_BITS);
        narrowed[at++] = Math.min(255, blue >> FRACTION_BITS);
      }
    }
  }

  /** Returns the resized picture, RGB, after all rows were added. */
  finish(): Uint8Array {
    const { narrowed, newHeight } = this;
    const { first, from, fixed } = this.rows;
    const stride = this.newWidth * 3;
    const resized = new Uint8Array(newHeight * stride);
    const sums = new Int32Array(stride);
    for (let y = 0; y < newHeight; y++) {
      sums.fill(HALF);
      for (let i = from[y]; i < from[y + 1]; i++) {
        const row = (first[y] + i - from[y]) * stride;
        const weight = fixed[i];
        for (let x = 0; x < stride; x++) sums[x] += narrowed[row + x] * weight;
      }
      for (let x = 0; x < stride; x++) resized[y * stride + x] = Math.min(255, sums[x] >> FRACTION_BITS);
    }
    return resized;
  }
}

/** Returns the weights of the two samples next to index * size / newSize; at the end, there is only one sample. */
function neighbours(size: number, newSize: number): Weights {
  const first = new Int32Array(newSize);
  const from = new Int32Array(newSize + 1);
  const fixed: number[] = [];
  for (let index = 0; index < newSize; index++) {
    const place = index * (size / newSize);
    first[index] = Math.floor(place);
    const weight = Math.trunc((place - first[index]) * (1 << FRACTION_BITS) + 0.5);
    if (first[index] === size - 1) fixed.push(1 << FRACTION_BITS);
    else fixed.push((1 << FRACTION_BITS) - weight, weight);
    from[index + 1] = fixed.length;
  }
  return { first, from, fixed: Int32Array.from(fixed) };
}

function averages(size: number, newSize: number): Weights {
  const first = new Int32Array(newSize);
  const from = new Int32Array(newSize + 1);
  const fixed: number[] = [];
  const scale = size / newSize;
  const reach = Math.max(scale, 1);
  for (let index = 0; index < newSize; index++) {
    const center = (index + 0.5) * scale;
    first[index] = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(size, Math.trunc(center + reach + 0.5));
    const exact: number[] = [];
    for (let sample = first[index]; sample < end; sample++) {
      // Multiplication by the inverse instead of division, so that the last bit is equal.
      const distance = Math.abs((sample - center + 0.5) * (1 / reach));
      exact.push(distance < 1 ? 1 - distance : 0);
    }
    const sum = exact.reduce((total, weight) => total + weight, 0);
    for (const weight of exact) fixed.push(Math.trunc((weight / sum) * (1 << FRACTION_BITS) + 0.5));
    from[index + 1] = fixed.length;
  }
  return { first, from, fixed: Int32Array.from(fixed) };
}

/**
 * Conversion between pixels and the values of tensors: normalization, quantization and dequantization.
 *
 * Each of the 256 values of a color is computed once, with the order of float32 operations in Python, so
 * the tensors are equal to the last bit.
 */
import type { ModelDescription, Tensor } from "./metadata";

const LIMITS = { float32: [0, 0], uint8: [0, 255], int8: [-128, 127] } as const;

export type TensorValues = Float32Array | Uint8Array | Int8Array;

/** Returns a view of `bytes` as the values of a tensor. */
export function valuesOf(tensor: Tensor, buffer: ArrayBufferLike, offset: number): TensorValues {
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  if (tensor.type === "float32") return new Float32Array(buffer, offset, count);
  return tensor.type === "uint8" ? new Uint8Array(buffer, offset, count) : new Int8Array(buffer, offset, count);
}

/** Returns a function that writes RGB pixels of the model's size to its input tensor. */
export function encoder(model: ModelDescription): (pixels: Uint8Array, out: TensorValues) => void {
  const tables = [0, 1, 2].map((channel) =>
    levels(model.input, model.mean[channel] ?? model.mean[0], model.std[channel] ?? model.std[0]),
  );
  const [red, green, blue] = tables;
  return (pixels, out) => {
    for (let at = 0; at < pixels.length; at += 3) {
      out[at] = red[pixels[at]];
      out[at + 1] = green[pixels[at + 1]];
      out[at + 2] = blue[pixels[at + 2]];
    }
  };
}

/** Returns the real values of an output tensor: one score per label. */
export function decode(values: TensorValues, tensor: Tensor): Float32Array {
  const { scale, zeroPoint } = tensor;
  return Float32Array.from(values, (stored) => (scale ? Math.fround(stored - zeroPoint) * scale : stored));
}

function levels(input: Tensor, mean: number, std: number): Float32Array {
  const factor = Math.fround(1 / std);
  const offset = Math.fround(mean / std);
  const table = new Float32Array(256);
  for (let level = 0; level < 256; level++) {
    const real = Math.fround(Math.fround(level * factor) - offset);
    table[level] = input.type === "float32" ? real : quantize(input, real, level);
  }
  return table;
}

function quantize({ type, scale, zeroPoint }: Tensor, real: number, level: number): number {
  if (!scale) return level; // an integer tensor without a scale accepts pixels unchanged
  const [lowest, highest] = LIMITS[type];
  return Math.max(lowest, Math.min(highest, roundHalfEven(Math.fround(real / scale)) + zeroPoint));
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

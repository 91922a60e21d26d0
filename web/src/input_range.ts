/**
 * Normalization of a model's input: (pixel - mean) / std. It must be specified by the model, as in Python's
 * `tflite/input_range.py`; a model that does not specify it is refused, because it cannot be guessed.
 */
import type { Tensor } from "./metadata";
import { Sentence } from "./sentence";
import { modelText } from "../text";

/** One number for all colors, or one per color, in units of pixel values. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const BACKBONE: Normalization = { mean: [127.5], std: [127.5] }; // -1 to 1
const RAW: Normalization = { mean: [0], std: [1] };

/**
 * @param stored normalization in the model's metadata, if it has one
 * @param own whether poets_edge wrote the model
 */
export function inputRange(stored: Normalization | undefined, own: boolean, input: Tensor): Normalization {
  if (own) return stored ?? BACKBONE;
  if (input.type !== "float32" && input.scale) {
    // All other readers ignore the metadata in this case, and use the whole range of the bytes.
    const lowest = input.type === "int8" ? -128 : 0;
    return { mean: [input.zeroPoint - lowest], std: [1 / input.scale] };
  }
  if (input.type === "uint8") return RAW;
  if (stored && input.type === "float32") return stored;
  throw new Sentence(modelText.noRange);
}

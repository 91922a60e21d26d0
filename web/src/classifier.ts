/** Computes the scores of pictures; runs in the worker. */
import { describeModel, type ModelDescription, type Output } from "./metadata";
import { type Crop, Fitter } from "./picture";
import { type Runner, type Runtime, startRuntime } from "./runtime";
import type { RuntimeName } from "./runtime_choice";
import { Sentence } from "./sentence";
import { decode, encoder, type TensorValues } from "./tensors";
import { modelText } from "../text";

/** Scores of one picture, and the duration of each step in milliseconds. */
export interface Scored {
  readonly scores: Float32Array;
  /** Distance from the training photos, above 1 for a picture unlike them; undefined if the model has no detector. */
  readonly distance?: number;
  /** Time for reading and resizing the pixels and for filling the input tensor. */
  readonly prepare: number;
  readonly inference: number;
}

export class Classifier {
  private readonly fitter: Fitter;
  private readonly encode: (pixels: Uint8Array, out: TensorValues) => void;

  private constructor(
    readonly model: ModelDescription,
    readonly runner: Runner,
    /** Time for loading the model from its bytes, in milliseconds. */
    readonly load: number,
  ) {
    const [, height, width] = model.input.shape;
    this.fitter = new Fitter(width, height, model.antialias);
    this.encode = encoder(model);
  }

  /** Downloads a model and the runtime concurrently. Rejects with Sentence. */
  static async open(modelUrl: string, runtimeName: RuntimeName, threads: number): Promise<Classifier> {
    const fetching = fetchModel(modelUrl);
    const starting = startRuntime(runtimeName);
    starting.catch(() => undefined); // a problem with the model is reported first
    const file = await fetching;
    const model = await describeModel(file);
    const runtime: Runtime = await starting;
    const before = performance.now();
    const runner = await runtime.open(file, model, threads);
    return new Classifier(model, runner, performance.now() - before);
  }

  score(picture: ImageBitmap, crop?: Crop): Scored {
    const start = performance.now();
    this.fill(picture, crop);
    const prepared = performance.now();
    this.runner.invoke();
    const inference = performance.now() - prepared;
    const distance = this.model.distance && this.values(this.model.distance)[0];
    return { scores: this.values(this.model.output), distance, prepare: prepared - start, inference };
  }

  private values(output: Output): Float32Array {
    return decode(this.runner.output(output), output);
  }

  /** Writes a picture to the input tensor. */
  fill(picture: ImageBitmap, crop?: Crop): void {
    const pixels = this.fitter.fit(picture, crop);
    this.runner.setInput((values) => this.encode(pixels, values));
  }
}

async function fetchModel(url: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw new Sentence(modelText.unreachable);
  }
  if (!response.ok) {
    throw new Sentence(modelText.absent(response.status));
  }
  return new Uint8Array(await response.arrayBuffer());
}

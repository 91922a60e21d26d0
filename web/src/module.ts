/**
 * The classifier as a module for other pages: `import { Classifier } from "./poets-edge.js"`.
 *
 * It needs worker.js, runtime/ and model.tflite, which `poets-edge web` writes, in its folder.
 */
import { Scorer } from "./scorer";

const FARTHEST = 1; // distance from the training photos

export interface Label {
  readonly label: string;
  /** 0 to 1. */
  readonly score: number;
}

export interface Prediction {
  /** All labels, highest score first. */
  readonly labels: readonly Label[];
  /** Whether the picture is unlike the training photos; false if the model has no detector. */
  readonly unknown: boolean;
  /** Milliseconds that the inference took. */
  readonly inference: number;
}

/** A model that runs in a worker, so that the page stays responsive. */
export class Classifier {
  private constructor(
    private readonly scorer: Scorer,
    /** Class names, in the order of the model's output. */
    readonly labels: readonly string[],
  ) {}

  /** Loads a model. Rejects with an Error whose message is a sentence for users. */
  static async open(model: string | URL = new URL("model.tflite", import.meta.url)): Promise<Classifier> {
    const scorer = new Scorer(new URL("worker.js", import.meta.url));
    try {
      const description = await scorer.open(new URL(model, document.baseURI).href);
      return new Classifier(scorer, description.labels);
    } catch (error) {
      scorer.close();
      throw error;
    }
  }

  /** Labels a picture: a file, an <img>, a <video>, a <canvas>, ... Rejects as `open` does. */
  async classify(picture: ImageBitmapSource): Promise<Prediction> {
    const { scores, distance, inference } = await this.scorer.score(await createImageBitmap(picture));
    const labels = this.labels.map((label, at) => ({ label, score: scores[at] }));
    labels.sort((one, other) => other.score - one.score);
    return { labels, unknown: distance !== undefined && distance > FARTHEST, inference };
  }

  /** Ends the worker and releases the memory of the model. */
  close(): void {
    this.scorer.close();
  }
}

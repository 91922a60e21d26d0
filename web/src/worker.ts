/** Everything that takes time happens in here, so that the page stays smooth. One model a worker. */
import { Classifier } from "./classifier";
import type { Crop } from "./picture";
import { Resampler } from "./resample";
import { measureRound, type RoundRequest } from "./round";
import { singleThreaded } from "./runtime_choice";
import { sentenceFor } from "./sentence";

/** What the page asks; the answer has the same id, and `result` or `error`, a sentence. */
export type Task =
  | { readonly kind: "open"; readonly model: string }
  | { readonly kind: "score"; readonly picture: ImageBitmap; readonly crop?: Crop }
  | ({ readonly kind: "measure" } & RoundRequest);

let classifier: Classifier;

Object.assign(self, { Resampler }); // so that tests can hold it to Python's

self.addEventListener("message", async ({ data }: MessageEvent<{ id: number; task: Task }>) => {
  try {
    self.postMessage({ id: data.id, result: await run(data.task) });
  } catch (error) {
    console.debug(error);
    self.postMessage({ id: data.id, error: sentenceFor(error) });
  }
});

async function run(task: Task): Promise<unknown> {
  switch (task.kind) {
    case "open":
      classifier = await Classifier.open(task.model, singleThreaded(), 1);
      return classifier.model;
    case "score":
      try {
        return classifier.score(task.picture, task.crop);
      } finally {
        task.picture.close();
      }
    case "measure":
      return measureRound(task);
  }
}

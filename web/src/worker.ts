/** Web worker that runs one model, so that the page stays responsive. */
import { Classifier } from "./classifier";
import type { Crop } from "./picture";
import { Resampler } from "./resample";
import { measureRound, type RoundRequest } from "./round";
import { singleThreaded } from "./runtime_choice";
import { sentenceFor } from "./sentence";

/** Request from the page. The answer has the id of the request and either `result` or `error`, a sentence. */
export type Task =
  | { readonly kind: "open"; readonly model: string }
  | { readonly kind: "score"; readonly picture: ImageBitmap; readonly crop?: Crop }
  | ({ readonly kind: "measure" } & RoundRequest);

let classifier: Classifier;

Object.assign(self, { Resampler }); // for tests that compare it with Python

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

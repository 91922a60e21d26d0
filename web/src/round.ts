/** One round of a measurement in a new worker, which does not inherit memory, caches or threads. */
import { Classifier } from "./classifier";
import { singleThreaded, multiThreaded } from "./runtime_choice";
import { clockStep, warmUp } from "./samples";
import { Sentence } from "./sentence";
import { runtimeText } from "../text";

const LONGEST_WARM_UP = 5000;
const STAGE_RUNS = 20;
const FINE = 0.01; // maximum ratio of a clock tick to a sample

export interface RoundRequest {
  readonly model: string;
  readonly threads: number;
  /** Number of timed inferences, unless the limit `milliseconds` is reached first. */
  readonly runs: number;
  readonly milliseconds: number;
  /** JPEG for timing decoding and resizing. */
  readonly photo: Blob;
}

/** The fields of `poets_edge/bench/worker.py`; times in milliseconds. */
export interface Round {
  readonly load_ms: number;
  readonly first_ms: number;
  readonly warm_up_runs: number;
  readonly steady: boolean;
  readonly samples_ms: number[];
  /** Number of inferences per sample, above 1 if the clock is coarse; a sample is their mean. */
  readonly runs_per_sample: number;
  readonly decode_ms: number[];
  readonly resize_ms: number[];
  readonly inference_ms: number[];
  readonly peak_memory_mb: null;
  readonly accelerated: boolean;
  readonly state: object;
}

export async function measureRound({ model, threads, runs, milliseconds, photo }: RoundRequest): Promise<Round> {
  const runtime = threads === 1 ? singleThreaded() : multiThreaded();
  if (!runtime) throw new Sentence(runtimeText.threads);
  const classifier = await Classifier.open(model, runtime, threads);
  const picture = await createImageBitmap(photo);
  classifier.fill(picture);
  const { runner } = classifier;
  const first = timed(() => runner.invoke());
  const warm = warmUp(() => runner.invoke(), Math.min(LONGEST_WARM_UP, milliseconds));
  const once = timed(() => repeat(20, () => runner.invoke())) / 20;
  const runsPerSample = Math.max(1, Math.ceil(clockStep() / (FINE * once)));
  const samples: number[] = [];
  const begin = performance.now();
  while (samples.length * runsPerSample < runs && performance.now() - begin < milliseconds) {
    samples.push(timed(() => repeat(runsPerSample, () => runner.invoke())) / runsPerSample);
  }
  return {
    load_ms: classifier.load,
    first_ms: first,
    warm_up_runs: warm.runs,
    steady: warm.steady,
    samples_ms: samples,
    runs_per_sample: runsPerSample,
    ...(await stages(classifier, photo)),
    peak_memory_mb: null,
    accelerated: runner.accelerated,
    state: {},
  };
}

/** Measures each step from a file to scores separately. */
async function stages(classifier: Classifier, photo: Blob) {
  const found = { decode_ms: [] as number[], resize_ms: [] as number[], inference_ms: [] as number[] };
  for (let turn = 0; turn < STAGE_RUNS; turn++) {
    const start = performance.now();
    const picture = await createImageBitmap(photo);
    found.decode_ms.push(performance.now() - start);
    const { prepare, inference } = classifier.score(picture);
    found.resize_ms.push(prepare);
    found.inference_ms.push(inference);
    picture.close();
  }
  return found;
}

function timed(call: () => void): number {
  const before = performance.now();
  call();
  return performance.now() - before;
}

function repeat(times: number, call: () => void): void {
  for (let i = 0; i < times; i++) call();
}

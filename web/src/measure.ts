/** The benchmark on this device, with its result in the format of `poets-edge benchmark --json`. */
import type { ModelDescription } from "./metadata";
import type { Round } from "./round";
import { multiThreaded } from "./runtime_choice";
import { describe, median } from "./samples";
import { Scorer } from "./scorer";

declare const LITERT_VERSION: string; // by the build

const FORMAT = "poets_edge-benchmark-1";
const THREADS = [1, 2, 4];
const ROUNDS = 5;
const ROUNDS_DIFFER = 0.05;
const PHOTO_SIZE = [500, 375] as const;

export interface MeasureOptions {
  /** Number of timed inferences per number of threads in all rounds, unless the time limit is reached first. */
  readonly runs: number;
  /** Time limit in milliseconds. */
  readonly milliseconds: number;
}

export const USUAL: MeasureOptions = { runs: 1000, milliseconds: 30_000 };

export interface Variant {
  readonly threads: number;
  readonly rounds: readonly Round[];
}

/** Measures with one thread and, if the browser supports it, with several; variants are in random order in each round. */
export async function measure(
  model: string,
  options: MeasureOptions,
  progress: (done: number, total: number) => void,
): Promise<Variant[]> {
  const threads = THREADS.filter((n) => n === 1 || (multiThreaded() && n <= navigator.hardwareConcurrency));
  const rounds = new Map<number, Round[]>(threads.map((n) => [n, []]));
  const photo = await samplePhoto();
  let done = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const n of shuffled(threads)) {
      progress(done++, ROUNDS * threads.length);
      const scorer = new Scorer();
      try {
        const request = { threads: n, runs: options.runs / ROUNDS, milliseconds: options.milliseconds / ROUNDS };
        rounds.get(n)!.push(await scorer.measure({ model, photo, ...request }));
      } finally {
        scorer.close();
      }
    }
  }
  return threads.map((n) => ({ threads: n, rounds: rounds.get(n)! }));
}

/** Returns the result in the format that `poets-edge compare` reads. */
export async function asJson(model: ModelDescription, variants: readonly Variant[]): Promise<object> {
  return {
    format: FORMAT,
    poets_edge: null,
    date: new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
    machine: await machine(),
    warnings: variants.flatMap(troubles),
    results: variants.map((variant) => entry(model, variant)),
  };
}

export function samplesOf(variant: Variant): number[] {
  return variant.rounds.flatMap((round) => round.samples_ms);
}

/** Returns a text such as `1 thread` or `2 threads`. */
export function nameOf({ threads }: Variant): string {
  return `${threads} thread${threads > 1 ? "s" : ""}`;
}

/** Returns reasons why the times may be unreliable, for users. */
export function troubles(variant: Variant): string[] {
  const name = nameOf(variant);
  const found = [];
  const differ = roundsDiffer(variant);
  if (differ > ROUNDS_DIFFER) found.push(`${name}: noisy. The medians of its rounds differ by ${(100 * differ).toFixed(0)} %.`);
  if (variant.rounds.some((round) => !round.steady)) found.push(`${name}: the times had not settled after the warm-up.`);
  const grouped = Math.max(...variant.rounds.map((round) => round.runs_per_sample));
  if (grouped > 1) found.push(`${name}: this browser's clock is coarse; a sample is the mean of up to ${grouped} runs.`);
  return found;
}

function entry(model: ModelDescription, variant: Variant): object {
  const all = (field: "decode_ms" | "resize_ms" | "inference_ms") => variant.rounds.flatMap((round) => round[field]);
  const stages = { decode: all("decode_ms"), resize: all("resize_ms"), inference: all("inference_ms") };
  const photos = stages.decode.map((decode, i) => decode + stages.resize[i] + stages.inference[i]);
  return {
    name: model.name || "model.tflite",
    size: model.size,
    sha256: model.sha256,
    architecture: model.architecture,
    quantization: model.quantization,
    threads: variant.threads,
    latency_ms: describe(samplesOf(variant)),
    rounds_differ: roundsDiffer(variant),
    load_ms: median(variant.rounds.map((round) => round.load_ms)),
    first_ms: median(variant.rounds.map((round) => round.first_ms)),
    stages_ms: {
      decode: median(stages.decode),
      resize: median(stages.resize),
      inference: median(stages.inference),
    },
    photos_per_second: 1000 / median(photos),
    peak_memory_mb: null,
    accelerated: variant.rounds.every((round) => round.accelerated),
    rounds: variant.rounds,
  };
}

function roundsDiffer(variant: Variant): number {
  const medians = variant.rounds.map((round) => median(round.samples_ms));
  return Math.max(...medians) / Math.min(...medians) - 1;
}

interface UserAgentData {
  readonly platform: string;
  readonly mobile: boolean;
  getHighEntropyValues(hints: string[]): Promise<{ model?: string; platformVersion?: string; architecture?: string }>;
}

async function machine(): Promise<object> {
  const { userAgentData, deviceMemory } = navigator as { userAgentData?: UserAgentData; deviceMemory?: number };
  const hints = await userAgentData?.getHighEntropyValues(["model", "platformVersion", "architecture"]).catch(() => undefined);
  return {
    board: hints?.model || null,
    cpu: browserName(navigator.userAgent),
    architecture: hints?.architecture || null,
    cores: navigator.hardwareConcurrency,
    governor: null,
    max_frequency_mhz: null,
    memory_mb: deviceMemory ? deviceMemory * 1024 : null,
    system: userAgentData ? `${userAgentData.platform} ${hints?.platformVersion ?? ""}`.trim() : navigator.platform,
    python: null,
    interpreter: "LiteRT.js",
    interpreter_version: LITERT_VERSION,
    user_agent: navigator.userAgent,
    cross_origin_isolated: window.crossOriginIsolated,
  };
}

/** Returns a name such as `Chrome 156 on Android`; most browsers do not reveal the name of the device. */
export function browserName(userAgent: string): string {
  const browsers: [RegExp, string][] = [
    [/Edg\/(\d+)/, "Edge"],
    [/(?:Firefox|FxiOS)\/(\d+)/, "Firefox"],
    [/(?:Chrome|CriOS)\/(\d+)/, "Chrome"],
    [/Version\/(\d+).*Safari/, "Safari"],
  ];
  const systems = ["iPhone", "iPad", "Android", "Windows", "Mac OS X", "CrOS", "Linux"];
  const found = browsers.find(([pattern]) => pattern.test(userAgent));
  const system = systems.find((name) => userAgent.includes(name)) ?? "an unknown system";
  return found ? `${found[1]} ${found[0].exec(userAgent)![1]} on ${system}` : `a browser on ${system}`;
}

/** Returns a JPEG of the size that the benchmark in Python uses. */
async function samplePhoto(): Promise<Blob> {
  const [width, height] = PHOTO_SIZE;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d")!;
  const pixels = context.createImageData(width, height);
  let state = 1;
  for (let at = 0; at < pixels.data.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const x = (at >> 2) % width;
    pixels.data[at] = at % 4 === 3 ? 255 : 128 + 100 * Math.sin((x * (1 + (at % 4))) / 40) + (state >>> 28);
  }
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

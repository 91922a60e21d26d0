/**
 * Reads the metadata of a `.tflite`: its tensors, labels, normalization, and the facts that poets_edge adds.
 *
 * A `.tflite` is a FlatBuffer; standard TFLite metadata is a second FlatBuffer inside one of its buffers, and the label
 * file is in an appended zip archive. Field numbers are those in TensorFlow's schema.fbs and metadata_schema.fbs.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { appendedFiles } from "./archive";
import { FlatTable } from "./flatbuffer";
import { inputRange, type Normalization } from "./input_range";
import { Sentence } from "./sentence";
import { modelText } from "../text";

const METADATA = "TFLITE_METADATA";
const RESIZE = "POETS_EDGE_RESIZE"; // metadata entry of models whose pictures are resized as in MediaPipe
const INTERPOLATION = "bilinear without antialiasing";
const FACTS = "poets_edge.json";
const NORMALIZATION = 1; // ProcessUnitOptions
const AXIS_LABELS = 2; // AssociatedFileType
const DISTANCE = "distance"; // name of the output with the distance from the training photos

const TYPES = { 0: "float32", 3: "uint8", 9: "int8" } as const; // TensorType
export type TensorType = (typeof TYPES)[keyof typeof TYPES];

/** An input or output of a model: real value = (stored value - zeroPoint) * scale; scale is 0 if it is not quantized. */
export interface Tensor {
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly scale: number;
  readonly zeroPoint: number;
}

/** One of a model's outputs. */
export interface Output extends Tensor {
  /** Index among the model's outputs. */
  readonly index: number;
}

export interface ModelDescription extends Normalization {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  readonly architecture: string;
  readonly quantization: string;
  readonly input: Tensor;
  /** Scores, one per label. */
  readonly output: Output;
  /** Distance from the training photos, above 1 for a photo unlike them; undefined without a detector. */
  readonly distance?: Output;
  readonly labels: readonly string[];
  /** Whether pictures are resized with antialiasing. */
  readonly antialias: boolean;
  /** Threshold that the model suggests, 0 to 1; undefined if it suggests none. */
  readonly threshold?: number;
}

/** Reads a `.tflite`. Rejects with Sentence if it is not a model, is damaged, or is not a classifier with labels. */
export async function describeModel(file: Uint8Array): Promise<ModelDescription> {
  if (new TextDecoder().decode(file.subarray(4, 8)) !== "TFL3") {
    throw new Sentence(modelText.foreign);
  }
  let description: ModelDescription;
  try {
    description = await read(file);
  } catch (error) {
    if (error instanceof Sentence) throw error;
    throw damaged(); // reading a damaged FlatBuffer or archive can throw any error
  }
  check(description);
  return description;
}

async function read(file: Uint8Array): Promise<ModelDescription> {
  const archive = await appendedFiles(file);
  const text = archive.files.get(FACTS);
  const facts = text ? JSON.parse(new TextDecoder().decode(text)) : {};
  if (facts.sha256 && facts.sha256 !== bytesToHex(sha256(file.subarray(0, archive.start)))) throw damaged();
  const model = FlatTable.root(file);
  const graph = model.tables(2)[0];
  const tensors = graph.tables(0);
  const metadata = findEntry(model, METADATA);
  const description = metadata && FlatTable.root(metadata);
  const subgraph = description?.tables(3)[0];
  const own = text !== undefined;
  const inputs = graph.int32s(1).map((index) => readTensor(tensors[index], "input"));
  const outputs = graph.int32s(2).map((tensor, index) => ({ ...readTensor(tensors[tensor], "output"), index }));
  const described = subgraph?.tables(3) ?? [];
  const labelled = Math.max(0, described.findIndex((output) => labelFileOf(output) !== undefined));
  const distance = own ? findDistance(outputs, described, labelled) : undefined;
  checkCount(inputs.length, 1, "input");
  if (labelled >= outputs.length) throw damaged();
  const labels = lines(archive.files.get((described[labelled] && labelFileOf(described[labelled])) ?? ""));
  if (labels.length) checkCount(outputs.length, distance ? 2 : 1, "output"); // otherwise, the missing labels are reported
  const [input] = inputs;
  return {
    name: description?.text(0) ?? "",
    size: file.length,
    sha256: bytesToHex(sha256(file)),
    architecture: String(facts.training?.architecture ?? "").replace(/_quantized$/, ""),
    quantization: facts.quantization === "none" ? "float32" : String(facts.quantization ?? ""),
    input,
    output: outputs[labelled],
    distance,
    ...inputRange(subgraph && findNormalization(subgraph.tables(2)), own, input),
    labels,
    antialias: new TextDecoder().decode(findEntry(model, RESIZE)) !== INTERPOLATION,
    threshold: share(facts.training?.calibration?.threshold),
  };
}

/** Returns the value if it is a number from 0 to 1, otherwise undefined. */
function share(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= 1 ? value : undefined;
}

function findEntry(model: FlatTable, name: string): Uint8Array | undefined {
  const entry = model.tables(6).find((candidate) => candidate.text(0) === name);
  return entry && model.tables(4)[entry.uint32(1)].bytes(0);
}

function findNormalization(inputs: FlatTable[]): Normalization | undefined {
  const options = inputs
    .flatMap((input) => input.tables(4))
    .find((unit) => unit.int8(0) === NORMALIZATION)
    ?.table(1);
  if (!options) return undefined;
  const [mean, std] = [options.float32s(0), options.float32s(1)];
  return mean.length || std.length ? { mean, std } : undefined;
}

function labelFileOf(output: FlatTable): string | undefined {
  return output
    .tables(6)
    .find((file) => file.int8(2) === AXIS_LABELS)
    ?.text(0);
}

function findDistance(outputs: Output[], described: FlatTable[], labelled: number): Output | undefined {
  return outputs.find(
    ({ index, shape }) => index !== labelled && described[index]?.text(0) === DISTANCE && elements(shape) === 1,
  );
}

function checkCount(found: number, wanted: number, end: string): void {
  if (found !== wanted) throw new Sentence(modelText.count(found, end));
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function readTensor(tensor: FlatTable, end: string): Tensor {
  const type = TYPES[tensor.int8(1) as keyof typeof TYPES];
  if (!type) throw new Sentence(modelText.type(end));
  const quantization = tensor.has(4) ? tensor.table(4) : undefined;
  return {
    type,
    shape: tensor.int32s(0),
    scale: quantization?.float32s(2)[0] ?? 0,
    zeroPoint: quantization?.int64s(3)[0] ?? 0,
  };
}

function lines(file: Uint8Array | undefined): string[] {
  if (!file) return [];
  const text = new TextDecoder("utf-8", { ignoreBOM: false }).decode(file).replaceAll("\r\n", "\n").replace(/\n+$/, "");
  return text ? text.split("\n") : [];
}

function check({ input, output, mean, std, labels }: ModelDescription): void {
  const [batch, height, width, channels] = input.shape;
  if (input.shape.length !== 4 || batch !== 1 || channels !== 3 || height < 1 || width < 1) {
    throw new Sentence(modelText.shape(input.shape));
  }
  const sound = [...mean, ...std].every(Number.isFinite) && std.every((value) => value > 0);
  if (mean.length !== std.length || ![1, 3].includes(mean.length) || !sound) {
    throw new Sentence(modelText.normalization(mean, std));
  }
  const outputs = elements(output.shape);
  if (!labels.length) {
    throw new Sentence(modelText.noLabels);
  }
  if (labels.length !== outputs) {
    throw new Sentence(modelText.labels(outputs, labels.length));
  }
}

function damaged(): Sentence {
  return new Sentence(modelText.damaged);
}

/**
 * LiteRT in WebAssembly: loads a model from its bytes and runs it.
 *
 * The module in @litertjs/core is used without its wrapper, which first requests a GPU, refuses int8 tensors and
 * creates new tensors for each run. Here one input tensor is reused, so that memory use is constant. The
 * names are those in the wrapper's wasm_binding_types.ts; the version is pinned in package.json.
 */
import type { ModelDescription, Output } from "./metadata";
import type { RuntimeName } from "./runtime_choice";
import { Sentence } from "./sentence";
import { type TensorValues, valuesOf } from "./tensors";
import { runtimeText } from "../text";

interface Deletable {
  delete(): void;
}

interface TensorType extends Deletable {
  bytes(): number;
}

interface TensorBuffer extends Deletable {
  lock(mode: unknown): number;
  unlock(): void;
}

interface CompiledModel extends Deletable {
  run(signature: number, inputs: TensorBuffer[]): TensorBuffer[];
}

interface LiteRt {
  HEAPU8: Uint8Array;
  _malloc(size: number): number;
  LiteRtEnvironment: { create(device: null): Deletable };
  LiteRtTensorBuffer: {
    createManaged(environment: Deletable, kind: unknown, type: TensorType, size: number): TensorBuffer;
  };
  LiteRtTensorBufferType: { HOST_MEMORY: unknown };
  LiteRtTensorBufferLockMode: { READ: unknown; WRITE: unknown };
  loadModel(environment: Deletable, at: number, size: number): { getInputTensorType(s: number, i: number): TensorType };
  compileModel(environment: Deletable, model: unknown, options: unknown): CompiledModel | Promise<CompiledModel>;
}

declare const self: WorkerGlobalScope & {
  ModuleFactory?: (options: object) => Promise<LiteRt>;
  importScripts(url: string): void;
};

/** A loaded model, which exists as long as its worker. */
export interface Runner {
  /** Fills the input tensor; the argument of `fill` is valid only during the call. */
  setInput(fill: (values: TensorValues) => void): void;
  /** Runs one inference synchronously, so that it can be timed. */
  invoke(): void;
  /** Returns a copy of one output of the last inference. */
  output(which: Output): TensorValues;
  /** Whether XNNPACK runs the model. */
  readonly accelerated: boolean;
}

/** LiteRT without a model. */
export interface Runtime {
  open(file: Uint8Array, model: ModelDescription, threads: number): Promise<Runner>;
}

/** Loads a build of LiteRT from the folder of the page. Rejects with Sentence. */
export async function startRuntime(name: RuntimeName): Promise<Runtime> {
  const script = new URL(`runtime/${name}.js`, globalThis.location.href).href;
  const log: string[] = [];
  const note = (line: string) => log.push(line);
  try {
    self.importScripts(script);
    const litert = await self.ModuleFactory!({ mainScriptUrlOrBlob: script, print: note, printErr: note, locateFile });
    return { open: (file, model, threads) => open(litert, file, model, threads, log) };
  } catch (error) {
    console.debug(error, log);
    throw new Sentence(runtimeText.start);
  }

  function locateFile(file: string): string {
    return new URL(file, script).href;
  }
}

async function open(
  litert: LiteRt,
  file: Uint8Array,
  model: ModelDescription,
  threads: number,
  log: readonly string[],
): Promise<Runner> {
  try {
    const environment = litert.LiteRtEnvironment.create(null);
    const at = litert._malloc(file.length);
    litert.HEAPU8.set(file, at);
    const loaded = litert.loadModel(environment, at, file.length);
    const compiled = await litert.compileModel(environment, loaded, {
      environment: { liteRtEnvironment: environment },
      accelerator: "wasm",
      cpuOptions: { numThreads: threads },
      gpuOptions: {},
      webNNOptions: {},
    });
    const type = loaded.getInputTensorType(0, 0);
    const { HOST_MEMORY } = litert.LiteRtTensorBufferType;
    const input = litert.LiteRtTensorBuffer.createManaged(environment, HOST_MEMORY, type, type.bytes());
    return new LiteRtRunner(litert, compiled, input, model, log.join("\n").includes("XNNPACK delegate"));
  } catch (error) {
    console.debug(error, log);
    throw new Sentence(runtimeText.refused);
  }
}

class LiteRtRunner implements Runner {
  private outputs: TensorBuffer[] = [];

  constructor(
    private readonly litert: LiteRt,
    private readonly compiled: CompiledModel,
    private readonly input: TensorBuffer,
    private readonly model: ModelDescription,
    readonly accelerated: boolean,
  ) {}

  setInput(fill: (values: TensorValues) => void): void {
    const at = this.input.lock(this.litert.LiteRtTensorBufferLockMode.WRITE);
    try {
      fill(valuesOf(this.model.input, this.litert.HEAPU8.buffer, at));
    } finally {
      this.input.unlock();
    }
  }

  invoke(): void {
    for (const output of this.outputs) output.delete();
    this.outputs = this.compiled.run(0, [this.input]);
  }

  output(which: Output): TensorValues {
    const output = this.outputs[which.index];
    const at = output.lock(this.litert.LiteRtTensorBufferLockMode.READ);
    try {
      return valuesOf(which, this.litert.HEAPU8.buffer, at).slice();
    } finally {
      output.unlock();
    }
  }
}

/** Client of the worker, with requests as promises. */
import type { Scored } from "./classifier";
import type { ModelDescription } from "./metadata";
import type { Crop } from "./picture";
import type { Round, RoundRequest } from "./round";
import { Sentence } from "./sentence";
import type { Task } from "./worker";
import { runtimeText } from "../text";

interface Waiting {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

export class Scorer {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;

  constructor(worker: string | URL = "worker.js") {
    this.worker = new Worker(worker);
    this.worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = this.waiting.get(data.id)!;
      this.waiting.delete(data.id);
      if (data.error === undefined) resolve(data.result);
      else reject(new Sentence(data.error));
    });
    this.worker.addEventListener("error", () => {
      for (const { reject } of this.waiting.values()) {
        reject(new Sentence(runtimeText.stopped));
      }
      this.waiting.clear();
    });
  }

  open(model: string): Promise<ModelDescription> {
    return this.ask({ kind: "open", model }) as Promise<ModelDescription>;
  }

  /** Scores a picture, whose ownership is transferred to the worker. */
  score(picture: ImageBitmap, crop?: Crop): Promise<Scored> {
    return this.ask({ kind: "score", picture, crop }, [picture]) as Promise<Scored>;
  }

  measure(request: RoundRequest): Promise<Round> {
    return this.ask({ kind: "measure", ...request }) as Promise<Round>;
  }

  close(): void {
    this.worker.terminate();
  }

  private ask(task: Task, transfer: Transferable[] = []): Promise<unknown> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, task }, transfer);
    });
  }
}

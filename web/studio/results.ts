/** Results of finished jobs, each read from the server once. */
import { signal } from "@preact/signals";
import { get, type Job, type JobKind } from "./api";
import { complain, jobs } from "./store";

const results = signal<ReadonlyMap<Job["id"], unknown>>(new Map());
const requested = new Set<Job["id"]>();

/** Result of a job; undefined unless it is done, and until the result is read. */
export function resultOf<T>(job: Job | undefined): T | undefined {
  if (job?.state !== "done") return undefined;
  if (!requested.has(job.id)) void read(job.id);
  return results.value.get(job.id) as T | undefined;
}

/** The newest job of a kind that is done. */
export function latestDone(kind: JobKind): Job | undefined {
  return jobs.value.find((job) => job.kind === kind && job.state === "done");
}

async function read(id: Job["id"]): Promise<void> {
  requested.add(id);
  try {
    const result: unknown = await get(`/api/jobs/${id}/result`);
    results.value = new Map([...results.value, [id, result]]);
  } catch (error) {
    requested.delete(id);
    complain(error);
  }
}

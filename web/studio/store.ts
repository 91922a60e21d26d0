/** What the page knows of the project, as signals, and the requests that change it. */
import { batch, computed, signal } from "@preact/signals";
import { sentenceFor, Sentence } from "../src/sentence";
import {
  type CurvePoint,
  get,
  type Job,
  type JobKind,
  type Mutation,
  post,
  type Project,
  ServerError,
  type Status,
  Unreachable,
  used,
} from "./api";
import { text } from "../text";

const RETRY_MS = 2000;
const UNAUTHORIZED = 401;

export const STEPS = ["photos", "check", "train", "try", "choose", "take"] as const;
export type Step = (typeof STEPS)[number];

export interface Photo {
  readonly path: string;
  readonly stamp: string;
  readonly status: Status;
  readonly label: string;
  readonly name: string;
  /** Why the photo cannot be read. */
  readonly reason?: string;
}

interface Listed {
  readonly photos: readonly (readonly [path: string, stamp: string, status: Status])[];
  readonly kept: readonly string[];
  readonly reasons: Readonly<Record<string, string>>;
}

export interface Message {
  readonly text: string;
  readonly kind: "done" | "problem";
  /** Whether the message offers to undo what it tells. */
  readonly undo: boolean;
}

export const project = signal<Project | null>(null);
export const photos = signal<readonly Photo[]>([]);
export const photoByPath = computed(() => new Map(photos.value.map((photo) => [photo.path, photo])));
/** Photos that the person keeps as they are, in spite of what a check has found. */
export const kept = signal<ReadonlySet<string>>(new Set());
export const jobs = signal<readonly Job[]>([]);
export const curve = signal<readonly CurvePoint[]>([]);
export const message = signal<Message | null>(null);
export const connected = signal(true);
/** Whether the server was restarted: it answers, but not to the token of this page. */
export const restarted = signal(false);
/** Why the server cannot use the project folder at present; empty if it can. */
export const problem = signal("");
export const step = signal<Step>(stepOf(location.hash));

export const running = computed(() => jobs.value.find((job) => job.state === "running"));
/** Classes that have photos to train on. */
export const trainable = computed(() => (project.value?.classes ?? []).filter((each) => used(each) > 0).length >= 2);

export function latest(kind: JobKind): Job | undefined {
  return jobs.value.find((job) => job.kind === kind);
}

export function go(to: Step): void {
  location.hash = to;
}

function stepOf(hash: string): Step {
  return STEPS.find((each) => `#${each}` === hash) ?? "photos";
}

window.addEventListener("hashchange", () => {
  step.value = stepOf(location.hash);
});

export function tell(line: string, { undo = false } = {}): void {
  message.value = { text: line, kind: "done", undo };
}

/** Shows what went wrong as one line. */
export function complain(error: unknown): void {
  if (error instanceof Unreachable) {
    connected.value = false;
    return;
  }
  if (error instanceof ServerError && error.status === UNAUTHORIZED) {
    restarted.value = true;
    return;
  }
  const known = error instanceof ServerError || error instanceof Sentence;
  message.value = { text: known ? error.message : sentenceFor(error), kind: "problem", undo: false };
}

let refreshing: Promise<void> | undefined;
let again = false;

/** Reads project and photos anew; calls while one is under way are served by one more. */
export function refresh(): Promise<void> {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = (async () => {
    try {
      do {
        again = false;
        await read();
      } while (again);
    } catch (error) {
      complain(error);
    } finally {
      refreshing = undefined;
    }
  })();
  return refreshing;
}

async function read(): Promise<void> {
  const [newest, listed] = await Promise.all([
    get<Project>("/api/project"),
    get<Listed>("/api/photos"),
  ]);
  batch(() => {
    project.value = newest;
    photos.value = listed.photos.map(([path, stamp, status]) => {
      const slash = path.lastIndexOf("/");
      const label = path.slice(0, Math.max(0, slash));
      return { path, stamp, status, label, name: path.slice(slash + 1), reason: listed.reasons[path] };
    });
    kept.value = new Set(listed.kept);
    connected.value = true;
    restarted.value = false;
  });
}

/** Changes the project, tells what was done with an offer to undo it, and returns the answer, or undefined on error. */
export async function change<T extends Mutation>(path: string, body: unknown, done: string): Promise<T | undefined> {
  try {
    const answer = await post<T>(path, body);
    await refresh();
    tell(done, { undo: true });
    return answer;
  } catch (error) {
    complain(error);
    void refresh();
    return undefined;
  }
}

export async function undo(): Promise<void> {
  const what = project.value?.undo;
  if (what) await replay("/api/undo", text.undone(what));
}

export async function redo(): Promise<void> {
  const what = project.value?.redo;
  if (what) await replay("/api/redo", text.redone(what));
}

async function replay(path: string, done: string): Promise<void> {
  try {
    await post<Mutation>(path, {});
    await refresh();
    tell(done);
  } catch (error) {
    complain(error);
  }
}

/** Starts a job. Returns whether the server has taken it. */
export async function startJob(kind: JobKind, options: Record<string, unknown> = {}): Promise<boolean> {
  try {
    const { id } = await post<{ id: Job["id"] }>("/api/jobs", { kind, ...options });
    if (kind === "train") curve.value = [];
    message.value = null;
    if (!jobs.value.some((job) => job.id === id)) {
      noteJob({ id, kind, state: "running", fraction: null, text: "", seconds_left: null, error: null });
    }
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

export async function cancelJob(job: Job): Promise<void> {
  try {
    await post(`/api/jobs/${job.id}/cancel`, {});
  } catch (error) {
    complain(error);
  }
}

function noteJob(job: Job): void {
  // One job runs at a time. If it ends and another tab starts the next one at once, the events report only the latter.
  const missed = jobs.value.some((each) => each.state === "running" && each.id !== job.id);
  if (missed) void readAll();
  const known = jobs.value.find((each) => each.id === job.id);
  jobs.value = known ? jobs.value.map((each) => (each === known ? job : each)) : [job, ...jobs.value];
  if (job.curve) curve.value = job.curve;
  if (job.state === "running" || known?.state === job.state) return;
  if (job.state === "failed") complain(new Sentence(text.job.failed(job.error ?? "")));
  if (job.state === "canceled") tell(text.job.canceled);
  if (job.state === "done") tell(text.job.done[job.kind]);
  void refresh();
}

/** Reads everything, and follows the server's events while the page is in front: a hidden tab needs no connection. */
export async function open(): Promise<void> {
  await readAll();
  let events: EventSource | undefined;
  const follow = () => {
    events?.close();
    events = document.hidden ? undefined : listen();
  };
  document.addEventListener("visibilitychange", () => {
    follow();
    if (!document.hidden) void readAll();
  });
  follow();
  window.setInterval(() => {
    if (document.hidden) return;
    const closed = events?.readyState === EventSource.CLOSED; // a broken connection is opened again by the browser
    if (closed) follow();
    if (closed || !connected.value || restarted.value) void readAll();
  }, RETRY_MS);
}

async function readAll(): Promise<void> {
  await refresh();
  try {
    jobs.value = await get<Job[]>("/api/jobs");
  } catch (error) {
    complain(error);
  }
}

function listen(): EventSource {
  const events = new EventSource("/api/events");
  events.addEventListener("job", ({ data }) => noteJob(JSON.parse(data)));
  events.addEventListener("project", ({ data }) => {
    const state = JSON.parse(data) as { version: number; problem: string };
    const recovered = problem.value !== "" && state.problem === "";
    problem.value = state.problem;
    if (state.problem === "" && (recovered || state.version !== project.value?.version)) void refresh();
  });
  events.addEventListener("error", () => {
    connected.value = false;
  });
  events.addEventListener("open", () => {
    if (!connected.value) void readAll();
    connected.value = true;
  });
  return events;
}

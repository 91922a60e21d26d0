/** The studio's server: types of its answers, and requests to it. */

export interface ClassInfo {
  readonly name: string;
  /** All photos, whatever their status. */
  readonly photos: number;
  readonly excluded: number;
  readonly unreadable: number;
}

/** Number of photos that training uses. */
export function used(info: ClassInfo): number {
  return info.photos - info.excluded - info.unreadable;
}

export interface Note {
  readonly kind: string;
  readonly text: string;
}

export interface ModelFile {
  readonly form: string;
  readonly bytes: number;
  readonly accuracy: number | null;
}

export interface Model {
  readonly architecture: string;
  readonly trained: string;
  /** Accuracy on photos that it was not trained on; null if there were too few. */
  readonly accuracy: number | null;
  readonly interval: readonly [number, number] | null;
  readonly judged: number;
  /** Number of test photos, on which each file was evaluated. */
  readonly tested: number;
  readonly confusion: { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] };
  readonly words: string;
  readonly more_photos: { readonly text: string; readonly class: string | null } | null;
  /** Photos that the previous model answered differently; null for the first model. */
  readonly changes: readonly { readonly path: string; readonly before: string; readonly after: string }[] | null;
  readonly files: readonly ModelFile[];
  readonly warnings?: readonly string[];
}

export interface Project {
  readonly name: string;
  readonly folder: string;
  readonly version: number;
  readonly undo: string | null;
  readonly redo: string | null;
  readonly classes: readonly ClassInfo[];
  readonly notes: readonly Note[];
  readonly needs_training: boolean;
  readonly model: Model | null;
  readonly demo: boolean;
  readonly lan: boolean;
  readonly architectures?: readonly string[];
  /** Forms that the model can be taken in, and why one of them is not available on this computer, or "". */
  readonly takes: readonly { readonly form: string; readonly missing: string }[];
  /** Names and titles of the microcontroller boards. */
  readonly boards: readonly (readonly [string, string])[];
}

export type Status = "ok" | "excluded" | "unreadable";

/** Prediction for a photo that the model was not trained on. */
export interface Prediction {
  readonly path: string;
  readonly label: string;
  readonly predicted: string;
  readonly score: number;
}

export interface Suspect {
  readonly path: string;
  readonly label: string;
  readonly suggested: string;
  readonly confidence: number;
  readonly gain: number | null;
  /** Whether the label is probably wrong; the others are the most doubtful. */
  readonly probable?: boolean;
}

export interface Audit {
  readonly suspects: readonly Suspect[];
  readonly duplicates: readonly (readonly string[])[];
  readonly outliers: readonly string[];
  readonly strangers: readonly string[];
  readonly reasons?: Readonly<Record<string, string>>;
  readonly warnings?: readonly string[];
  readonly unreadable: readonly (readonly [string, string])[];
  readonly summary: string;
  /** How much more photos would help, and of which classes; empty if it was not estimated. */
  readonly more_photos: string;
}

export interface GridPoint {
  readonly architecture: string;
  readonly form: string;
  readonly accuracy: number;
  readonly interval: readonly [number, number];
  readonly latency_ms: number;
  readonly bytes: number;
  readonly ship: boolean;
}

export interface GridResult {
  readonly points: readonly GridPoint[];
  readonly reason: string;
  readonly warnings?: readonly string[];
}

export interface Taken {
  readonly form: string;
  readonly name: string;
  readonly bytes: number;
  readonly accuracy: number | null;
  /** Microcontroller board that firmware is for; otherwise "". */
  readonly board: string;
  /** How the download was verified. */
  readonly text: string;
}

export interface Deployed {
  readonly text: string;
  /** First lines that the device has written. */
  readonly lines: readonly string[];
}

export type JobKind = "audit" | "train" | "grid" | "deploy" | "take";

/** Training progress: step, accuracy on the training photos and on the validation photos. */
export type CurvePoint = readonly [number, number, number];

export interface Job {
  readonly id: string | number;
  readonly kind: JobKind;
  readonly state: "running" | "done" | "failed" | "canceled";
  readonly fraction: number | null;
  readonly text: string;
  readonly seconds_left: number | null;
  readonly error: string | null;
  readonly curve?: readonly CurvePoint[];
}

export interface Mutation {
  readonly version: number;
  readonly undo: string | null;
}

export interface Uploaded extends Mutation {
  readonly added: number;
  readonly skipped: readonly (readonly [string, string])[];
}

/** An answer of the server that is an error: one line for the person. */
export class ServerError extends Error {
  override readonly name = "ServerError";

  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** The server did not answer at all. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

export function get<T>(path: string): Promise<T> {
  return ask<T>(path, {});
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return ask<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Poets-Edge": "1" },
    body: JSON.stringify(body),
  });
}

/**
 * Sends one picture or archive. `label` is the class of pictures that are not in a folder of the archive. Uploads of
 * one batch are one step of undo.
 */
export function upload(content: Blob, name: string, label: string | undefined, batch: string): Promise<Uploaded> {
  const query = new URLSearchParams({ name, batch, ...(label === undefined ? {} : { class: label }) });
  return ask<Uploaded>(`/api/upload?${query}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-Poets-Edge": "1" },
    body: content,
  });
}

export function thumbUrl(path: string, stamp: string | number): string {
  return `/thumb/${encodePath(path)}?v=${encodeURIComponent(stamp)}`;
}

export function photoUrl(path: string): string {
  return `/photo/${encodePath(path)}`;
}

export function modelUrl(form: string): string {
  return `/api/model/${encodeURIComponent(form)}.tflite`;
}

export function takeUrl(form: string): string {
  return `/api/take/${encodeURIComponent(form)}`;
}

export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, cache: "no-store", credentials: "same-origin" });
  } catch {
    throw new Unreachable();
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer as T;
  const line = (answer as { error?: string } | undefined)?.error;
  throw new ServerError(line ?? `${response.status} ${response.statusText}`, response.status);
}

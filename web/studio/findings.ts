/** What the latest check has found, and which of it the person has not decided yet. */
import { computed, effect, signal } from "@preact/signals";
import { recall, remember } from "../src/settings";
import type { Audit, Job } from "./api";
import { complain, jobResult, latest, photoByPath, project } from "./store";

export const audit = signal<Audit | undefined>(undefined);
/** Photos that the person has looked at and keeps as they are, with their stamps. */
const kept = signal<ReadonlySet<string>>(new Set());

let read: Job["id"] | undefined;
effect(() => {
  const job = latest("audit");
  if (job?.state !== "done" || job.id === read) return;
  read = job.id;
  jobResult<Audit>(job).then((result) => (audit.value = result), complain);
});

const key = computed(() => (project.value ? `poets_edge studio kept ${project.value.folder}` : undefined));
effect(() => {
  if (key.value) kept.value = new Set(JSON.parse(recall(key.value) ?? "[]") as string[]);
});

export function keep(paths: readonly string[]): void {
  kept.value = new Set([...kept.value, ...paths.map(stamped)]);
  if (key.value) remember(key.value, JSON.stringify([...kept.value]));
}

/** Whether a finding about a photo still waits for a decision: the photo is used, where it was, and not kept. */
export function isOpen(path: string): boolean {
  return photoByPath.value.get(path)?.status === "ok" && !kept.value.has(stamped(path));
}

/** Photos of a group of near-duplicates that still wait for a decision; empty where fewer than two do. */
export function openGroup(group: readonly string[]): readonly string[] {
  const waiting = group.filter(isOpen);
  return waiting.length < 2 ? [] : waiting;
}

/** Number of findings that wait for a decision, or undefined before the first check. */
export const undecided = computed(() => {
  const found = audit.value;
  if (!found) return undefined;
  return (
    found.suspects.filter((suspect) => suspect.probable !== false && isOpen(suspect.path)).length +
    found.duplicates.filter((group) => openGroup(group).length).length +
    [...found.outliers, ...found.strangers].filter(isOpen).length +
    found.unreadable.filter(([path]) => photoByPath.value.has(path)).length
  );
});

function stamped(path: string): string {
  return `${path}@${photoByPath.value.get(path)?.stamp}`;
}

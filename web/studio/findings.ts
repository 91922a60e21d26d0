/** What the latest check has found, and which of it the person has not decided yet. */
import { computed } from "@preact/signals";
import type { Audit } from "./api";
import { latestDone, resultOf } from "./results";
import { kept, photoByPath } from "./store";

export const audit = computed(() => resultOf<Audit>(latestDone("audit")));

/** Whether a finding about a photo still waits for a decision: the photo is used, where it was, and not kept. */
export function isOpen(path: string): boolean {
  return photoByPath.value.get(path)?.status === "ok" && !kept.value.has(path);
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

/** Which photos the grid shows, and which of them are selected. */
import { computed, effect, signal } from "@preact/signals";
import type { Status } from "./api";
import { NOTHING, type Selection, within } from "./selection";
import { photos, project } from "./store";

export type Filter = "all" | Status;

/** Class that is shown; undefined for all. */
export const shownClass = signal<string | undefined>(undefined);
export const filter = signal<Filter>("all");
export const selection = signal<Selection>(NOTHING);

export const shown = computed(() => {
  const label = shownClass.value;
  const status = filter.value;
  return photos.value.filter(
    (photo) => (label === undefined || photo.label === label) && (status === "all" || photo.status === status),
  );
});

const order = computed(() => shown.value.map((photo) => photo.path));
effect(() => {
  selection.value = within(selection.peek(), order.value);
});
effect(() => {
  const names = project.value?.classes.map((each) => each.name);
  if (names && shownClass.value !== undefined && !names.includes(shownClass.value)) shownClass.value = undefined;
});

export function show(label: string | undefined, status: Filter = "all"): void {
  shownClass.value = label;
  filter.value = status;
  selection.value = NOTHING;
}

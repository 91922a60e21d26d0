/** Which photos of a list are selected, where the cursor is, and how clicks and keys change both. */

export interface Selection {
  readonly paths: ReadonlySet<string>;
  /** Index of the photo that keys act from; -1 before the first click or key. */
  readonly cursor: number;
  /** Index that a range selected with Shift begins at. */
  readonly anchor: number;
}

export interface Modifiers {
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
}

export const NOTHING: Selection = { paths: new Set(), cursor: -1, anchor: -1 };

/** Selects the photo at `index`: alone, with Ctrl added or removed, with Shift all from the anchor. */
export function select(selection: Selection, order: readonly string[], index: number, keys: Modifiers): Selection {
  if (keys.shiftKey && selection.anchor >= 0) {
    const range = between(order, selection.anchor, index);
    const paths = keys.ctrlKey || keys.metaKey ? new Set([...selection.paths, ...range]) : new Set(range);
    return { paths, cursor: index, anchor: selection.anchor };
  }
  if (keys.ctrlKey || keys.metaKey) return toggle(selection, order, index);
  return { paths: new Set([order[index]]), cursor: index, anchor: index };
}

export function toggle(selection: Selection, order: readonly string[], index: number): Selection {
  const paths = new Set(selection.paths);
  if (!paths.delete(order[index])) paths.add(order[index]);
  return { paths, cursor: index, anchor: index };
}

export function selectAll(selection: Selection, order: readonly string[]): Selection {
  return { ...selection, paths: new Set(order) };
}

/** Drops photos that are not in the list any more, and keeps the cursor inside it. */
export function within(selection: Selection, order: readonly string[]): Selection {
  const there = new Set(order);
  const paths = new Set([...selection.paths].filter((path) => there.has(path)));
  const last = order.length - 1;
  const cursor = Math.min(selection.cursor, last);
  const anchor = Math.min(selection.anchor, last);
  if (paths.size === selection.paths.size && cursor === selection.cursor && anchor === selection.anchor) return selection;
  return { paths, cursor, anchor };
}

/** Index that an arrow, Home, End or page key leads to, or undefined for another key. */
export function destination(key: string, cursor: number, count: number, columns: number, rowsPerPage: number): number | undefined {
  const from = Math.max(0, cursor);
  const steps: Record<string, number> = {
    ArrowLeft: from - 1,
    ArrowRight: from + 1,
    ArrowUp: from - columns,
    ArrowDown: from + columns,
    PageUp: from - columns * rowsPerPage,
    PageDown: from + columns * rowsPerPage,
    Home: 0,
    End: count - 1,
  };
  if (!(key in steps) || !count) return undefined;
  if (cursor < 0) return key === "End" ? count - 1 : 0;
  const to = steps[key];
  if (to >= 0 && to < count) return to;
  const isStep = key === "ArrowUp" || key === "ArrowLeft" || key === "ArrowRight";
  if (isStep) return from;
  if (key === "ArrowDown") return Math.floor(from / columns) < Math.floor((count - 1) / columns) ? count - 1 : from;
  return Math.max(0, Math.min(count - 1, to));
}

function between(order: readonly string[], a: number, b: number): string[] {
  return order.slice(Math.min(a, b), Math.max(a, b) + 1);
}

/** Geometry of a virtualised grid of square tiles: which tiles are in view, and which a rectangle touches. */

export interface Layout {
  readonly columns: number;
  readonly rows: number;
  /** Width and height of a tile, pixels. */
  readonly tile: number;
  readonly gap: number;
  /** Height of the whole content, pixels. */
  readonly height: number;
}

export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Fits as many columns of at least `smallest` pixels as the width holds. */
export function layoutOf(count: number, width: number, smallest: number, gap: number): Layout {
  const columns = Math.max(1, Math.floor((width - gap) / (smallest + gap)));
  const tile = Math.max(1, Math.floor((width - gap * (columns + 1)) / columns));
  const rows = Math.ceil(count / columns);
  return { columns, rows, tile, gap, height: rows * (tile + gap) + gap };
}

/** First tile and the one after the last that are in view, with `overscan` rows more on both sides. */
export function inView(layout: Layout, count: number, top: number, height: number, overscan: number): [number, number] {
  const pitch = layout.tile + layout.gap;
  const first = Math.max(0, Math.floor(top / pitch) - overscan);
  const last = Math.min(layout.rows, Math.ceil((top + height) / pitch) + overscan);
  return [first * layout.columns, Math.min(count, last * layout.columns)];
}

export function placeOf(layout: Layout, index: number): { left: number; top: number } {
  const pitch = layout.tile + layout.gap;
  return {
    left: layout.gap + (index % layout.columns) * pitch,
    top: layout.gap + Math.floor(index / layout.columns) * pitch,
  };
}

/** Indices of the tiles that a rectangle touches, in content coordinates. */
export function touched(layout: Layout, count: number, { left, top, right, bottom }: Rectangle): number[] {
  const pitch = layout.tile + layout.gap;
  const lowest = (edge: number) => Math.max(0, Math.ceil((edge - layout.gap - layout.tile) / pitch));
  const highest = (edge: number) => Math.floor((edge - layout.gap) / pitch);
  const found: number[] = [];
  for (let row = lowest(top); row <= Math.min(highest(bottom), layout.rows - 1); row++) {
    for (let column = lowest(left); column <= Math.min(highest(right), layout.columns - 1); column++) {
      const index = row * layout.columns + column;
      if (index < count) found.push(index);
    }
  }
  return found;
}

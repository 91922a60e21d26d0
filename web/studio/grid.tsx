/** The grid of thumbnails: only tiles in view exist, so thousands of photos scroll smoothly. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { thumbUrl } from "./api";
import { inView, layoutOf, placeOf, type Rectangle, touched } from "./grid-layout";
import { Icon } from "./icons";
import { destination, type Modifiers, select, selectAll, type Selection, toggle } from "./selection";
import type { Photo } from "./store";
import { text } from "./text";

const GAP = 8;
const OVERSCAN = 2;
const SETTLED_MS = 90; // after so long without scrolling, thumbnails that have never been shown are loaded
const FAST = 1.5; // screens a second; faster than that, photos pass too quickly to be recognized
const MOVED = 5; // pixels from which on a press is a drag

const shownBefore = new Set<string>();

export interface GridProps {
  readonly photos: readonly Photo[];
  readonly label: string;
  readonly smallest: number;
  readonly selection: Selection;
  onSelect(selection: Selection): void;
  onOpen(index: number): void;
  /** Selected photos are dragged; `end` tells where they were dropped. */
  onDrag(event: PointerEvent, end: boolean): void;
  /** A key that is not about selecting. */
  onKey(event: KeyboardEvent): void;
}

export function PhotoGrid({ photos, label, smallest, selection, onSelect, onOpen, onDrag, onKey }: GridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);
  const [fast, setFast] = useState(false);
  const [band, setBand] = useState<Rectangle | null>(null);
  const order = useMemo(() => photos.map((photo) => photo.path), [photos]);
  const layout = layoutOf(photos.length, size.width, smallest, GAP);
  const pitch = layout.tile + GAP;

  useLayoutEffect(() => {
    const element = scroller.current!;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useScroll(scroller, pitch, setTop, setFast);

  function reveal(index: number): void {
    const element = scroller.current!;
    const at = placeOf(layout, index).top;
    if (at < element.scrollTop + GAP) element.scrollTop = at - GAP;
    else if (at + pitch > element.scrollTop + size.height) element.scrollTop = at + pitch - size.height;
  }

  function press(event: KeyboardEvent): void {
    const rowsPerPage = Math.max(1, Math.floor(size.height / pitch) - 1);
    const to = destination(event.key, selection.cursor, photos.length, layout.columns, rowsPerPage);
    if (to !== undefined) {
      if (event.ctrlKey || event.metaKey) onSelect({ ...selection, cursor: to, anchor: to });
      else onSelect(select(selection, order, to, event));
      reveal(to);
    } else if (event.key === " ") {
      if (selection.cursor >= 0) onSelect(toggle(selection, order, selection.cursor));
    } else if (event.key === "Enter") {
      if (selection.cursor >= 0) onOpen(selection.cursor);
    } else if (event.key === "Escape") {
      onSelect({ ...selection, paths: new Set() });
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      onSelect(selectAll(selection, order));
    } else {
      onKey(event);
      return;
    }
    event.preventDefault();
  }

  const pointer = usePointer({ scroller, layout, order, selection, onSelect, onDrag, setBand });
  const [first, last] = inView(layout, photos.length, top, size.height, OVERSCAN);
  const tiles = [];
  for (let index = first; index < last; index++) {
    const photo = photos[index];
    tiles.push(
      <Tile
        key={photo.path}
        photo={photo}
        index={index}
        count={photos.length}
        place={placeOf(layout, index)}
        tile={layout.tile}
        selected={selection.paths.has(photo.path)}
        cursor={index === selection.cursor}
        wait={fast}
      />,
    );
  }
  return (
    <div
      class="grid"
      ref={scroller}
      role="listbox"
      aria-multiselectable="true"
      aria-label={label}
      aria-activedescendant={selection.cursor >= first && selection.cursor < last ? `tile-${selection.cursor}` : undefined}
      tabIndex={0}
      onKeyDown={press}
      onPointerDown={pointer}
      onDblClick={(event) => {
        const index = indexAt(event.target);
        if (index !== undefined) onOpen(index);
      }}
      onContextMenu={(event) => {
        const index = indexAt(event.target);
        if (index === undefined || (event as unknown as PointerEvent).pointerType === "mouse") return;
        event.preventDefault(); // a finger that stays down
        onOpen(index);
      }}
    >
      <div class="grid-content" role="presentation" style={{ height: `${layout.height}px` }}>
        {size.width > 0 && tiles}
        {band && (
          <div
            class="band"
            role="presentation"
            style={{
              transform: `translate(${band.left}px, ${band.top}px)`,
              width: `${band.right - band.left}px`,
              height: `${band.bottom - band.top}px`,
            }}
          />
        )}
      </div>
    </div>
  );
}

interface TileProps {
  readonly photo: Photo;
  readonly index: number;
  readonly count: number;
  readonly place: { left: number; top: number };
  readonly tile: number;
  readonly selected: boolean;
  readonly cursor: boolean;
  readonly wait: boolean;
}

function Tile({ photo, index, count, place, tile, selected, cursor, wait }: TileProps) {
  const url = thumbUrl(photo.path, photo.stamp);
  const state = photo.status === "ok" ? "" : ` ${photo.status}`;
  return (
    <div
      id={`tile-${index}`}
      class={`tile${state}${selected ? " selected" : ""}${cursor ? " cursor" : ""}`}
      role="option"
      aria-selected={selected}
      aria-posinset={index + 1}
      aria-setsize={count}
      aria-label={photo.status === "ok" ? photo.path : `${photo.path}, ${text.photo.filter[photo.status]}`}
      data-index={index}
      style={{ transform: `translate(${place.left}px, ${place.top}px)`, width: `${tile}px`, height: `${tile}px` }}
    >
      {photo.status === "unreadable" ? (
        <span class="broken">
          <Icon name="warning" />
          {photo.name}
        </span>
      ) : (
        (!wait || shownBefore.has(url)) && (
          <img src={url} alt="" decoding="async" draggable={false} onLoad={() => shownBefore.add(url)} />
        )
      )}
      {photo.status === "excluded" && (
        <span class="badge">
          <Icon name="exclude" />
        </span>
      )}
      {selected && (
        <span class="tick">
          <Icon name="include" />
        </span>
      )}
    </div>
  );
}

/** Follows the scroll position row by row, and tells whether photos pass too quickly to be loaded. */
function useScroll(
  scroller: { current: HTMLDivElement | null },
  pitch: number,
  setTop: (top: number) => void,
  setFast: (fast: boolean) => void,
): void {
  useEffect(() => {
    const element = scroller.current!;
    let before = element.scrollTop;
    let time = performance.now();
    let settled = 0;
    const follow = () => {
      const now = performance.now();
      const screens = Math.abs(element.scrollTop - before) / Math.max(1, element.clientHeight);
      const speed = screens / Math.max(0.016, (now - time) / 1000);
      if (speed > FAST) setFast(true);
      before = element.scrollTop;
      time = now;
      setTop(Math.floor(element.scrollTop / pitch) * pitch);
      window.clearTimeout(settled);
      settled = window.setTimeout(() => setFast(false), SETTLED_MS);
    };
    element.addEventListener("scroll", follow, { passive: true });
    return () => {
      element.removeEventListener("scroll", follow);
      window.clearTimeout(settled);
    };
  }, [pitch]);
}

interface PointerOptions {
  readonly scroller: { current: HTMLDivElement | null };
  readonly layout: ReturnType<typeof layoutOf>;
  readonly order: readonly string[];
  readonly selection: Selection;
  onSelect(selection: Selection): void;
  onDrag(event: PointerEvent, end: boolean): void;
  setBand(band: Rectangle | null): void;
}

/** A click selects; a drag from a selected photo moves the selection, any other drag draws a rubber band. */
function usePointer(options: PointerOptions): (event: PointerEvent) => void {
  const newest = useRef(options);
  newest.current = options;
  return (down) => {
    const element = options.scroller.current!;
    if (down.button !== 0 || down.offsetX > element.clientWidth) return; // the scroll bar
    if (down.pointerType !== "mouse") {
      touch(element, down, newest);
      return;
    }
    element.focus({ preventScroll: true });
    const { selection, layout, order } = options;
    const pressed = indexAt(down.target);
    const moves = pressed !== undefined && selection.paths.has(order[pressed]) && !down.ctrlKey && !down.metaKey && !down.shiftKey;
    const start = pointIn(element, down);
    const base = down.ctrlKey || down.metaKey || down.shiftKey ? selection.paths : new Set<string>();
    let dragging = false;
    let latest = down;
    let frame = 0;

    const draw = () => {
      const box = element.getBoundingClientRect();
      const over = latest.clientY < box.top + 24 ? -1 : latest.clientY > box.bottom - 24 ? 1 : 0;
      element.scrollTop += over * 14;
      const now = pointIn(element, latest);
      const band = {
        left: Math.max(0, Math.min(start.x, now.x)),
        right: Math.min(element.clientWidth, Math.max(start.x, now.x)),
        top: Math.max(0, Math.min(start.y, now.y)),
        bottom: Math.max(start.y, now.y),
      };
      newest.current.setBand(band);
      const inside = touched(layout, order.length, band);
      const cursor = inside.length ? inside[inside.length - 1] : newest.current.selection.cursor;
      newest.current.onSelect({ paths: new Set([...base, ...inside.map((index) => order[index])]), cursor, anchor: cursor });
      frame = requestAnimationFrame(draw);
    };
    const move = (event: PointerEvent) => {
      latest = event;
      if (!dragging && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > MOVED) {
        dragging = true;
        if (!moves) frame = requestAnimationFrame(draw);
      }
      if (dragging && moves) newest.current.onDrag(event, false);
    };
    const up = (event: PointerEvent) => {
      cancelAnimationFrame(frame);
      for (const [name, listener] of listeners) window.removeEventListener(name, listener);
      newest.current.setBand(null);
      if (dragging && moves) newest.current.onDrag(event, true);
      else if (!dragging) newest.current.onSelect(clicked(selection, order, pressed, down));
    };
    const listeners = [
      ["pointermove", move],
      ["pointerup", up],
      ["pointercancel", up],
    ] as const;
    for (const [name, listener] of listeners) window.addEventListener(name, listener);
  };
}

/** A tap toggles, since fingers have no Ctrl key; moving the finger scrolls, as the browser does it. */
function touch(element: HTMLElement, down: PointerEvent, newest: { current: PointerOptions }): void {
  const pressed = indexAt(down.target);
  const end = (event: PointerEvent) => {
    element.removeEventListener("pointerup", end);
    element.removeEventListener("pointercancel", end);
    const still = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) <= 2 * MOVED;
    if (event.type !== "pointerup" || !still || pressed === undefined) return;
    const { selection, order } = newest.current;
    newest.current.onSelect(toggle(selection, order, pressed));
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
}

function clicked(selection: Selection, order: readonly string[], index: number | undefined, keys: Modifiers): Selection {
  if (index !== undefined) return select(selection, order, index, keys);
  return keys.ctrlKey || keys.metaKey || keys.shiftKey ? selection : { ...selection, paths: new Set() };
}

function indexAt(target: EventTarget | null): number | undefined {
  const tile = (target as Element | null)?.closest?.<HTMLElement>(".tile");
  return tile ? Number(tile.dataset.index) : undefined;
}

function pointIn(element: HTMLElement, event: PointerEvent): { x: number; y: number } {
  const box = element.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top + element.scrollTop };
}

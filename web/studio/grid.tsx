/** The grid of thumbnails: only tiles in view exist, so thousands of photos scroll smoothly. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { thumbUrl } from "./api";
import { inView, layoutOf, placeOf, type Rectangle } from "./grid-layout";
import { type DragPhase, indexAt, usePointer } from "./grid-pointer";
import { Icon } from "./icons";
import { destination, select, selectAll, type Selection, toggle } from "./selection";
import type { Photo } from "./store";
import { text } from "../text";

const GAP = 8;
const OVERSCAN = 2;
const SETTLED_MS = 90; // after so long without scrolling, thumbnails that have never been shown are loaded
const FAST = 1.5; // screens a second; faster than that, photos pass too quickly to be recognized

const shownBefore = new Set<string>();

export interface GridProps {
  readonly photos: readonly Photo[];
  readonly label: string;
  readonly smallest: number;
  readonly selection: Selection;
  onSelect(selection: Selection): void;
  onOpen(index: number): void;
  /** Selected photos are dragged. */
  onDrag(event: PointerEvent, phase: DragPhase): void;
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
      aria-label={photo.status === "ok" ? photo.path : `${photo.path}, ${photo.reason ?? text.photo.filter[photo.status]}`}
      title={photo.reason}
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

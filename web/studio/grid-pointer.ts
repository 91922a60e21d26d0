/** Selecting photos with the mouse and with a finger. */
import { useRef } from "preact/hooks";
import { type Layout, type Rectangle, touched } from "./grid-layout";
import { type Modifiers, select, type Selection, toggle } from "./selection";

const MOVED = 5; // pixels from which on a press is a drag
const EDGE = 24; // pixels from the upper and lower edge in which a rubber band scrolls
const SCROLL = 14; // pixels a frame

/** "over" while the pointer moves; then "drop", or "cancel" if Escape was pressed or the browser took the pointer. */
export type DragPhase = "over" | "drop" | "cancel";

interface PointerOptions {
  readonly scroller: { current: HTMLDivElement | null };
  readonly layout: Layout;
  readonly order: readonly string[];
  readonly selection: Selection;
  onSelect(selection: Selection): void;
  onDrag(event: PointerEvent, phase: DragPhase): void;
  setBand(band: Rectangle | null): void;
}

/** A click selects; a drag from a selected photo moves the selection, any other drag draws a rubber band. */
export function usePointer(options: PointerOptions): (event: PointerEvent) => void {
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
      const over = latest.clientY < box.top + EDGE ? -1 : latest.clientY > box.bottom - EDGE ? 1 : 0;
      element.scrollTop += over * SCROLL;
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
      if (dragging && moves) newest.current.onDrag(event, "over");
    };
    const end = (phase: DragPhase) => {
      cancelAnimationFrame(frame);
      listeners.abort();
      newest.current.setBand(null);
      if (dragging && moves) newest.current.onDrag(latest, phase);
      else if (!dragging && phase === "drop") newest.current.onSelect(clicked(selection, order, pressed, down));
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || !dragging) return;
      event.stopPropagation(); // the selection stays
      end("cancel");
    };
    const listeners = new AbortController();
    const { signal } = listeners;
    window.addEventListener("pointermove", move, { signal });
    window.addEventListener("pointerup", () => end("drop"), { signal });
    window.addEventListener("pointercancel", () => end("cancel"), { signal });
    window.addEventListener("keydown", escape, { signal, capture: true });
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

/** Index of the photo that an event is about. */
export function indexAt(target: EventTarget | null): number | undefined {
  const tile = (target as Element | null)?.closest?.<HTMLElement>(".tile");
  return tile ? Number(tile.dataset.index) : undefined;
}

function pointIn(element: HTMLElement, event: PointerEvent): { x: number; y: number } {
  const box = element.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top + element.scrollTop };
}

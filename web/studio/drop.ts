/** Files dragged over the page: adds them to the class they are dropped on, or to the one that is shown. */
import { useEffect, useState } from "preact/hooks";
import { complain } from "./store";
import { add, ofDrop } from "./upload";
import { shownClass } from "./view";

/**
 * Whether files are being dragged over the page; `over` is told the class under the pointer. Files go to the class that
 * was shown as the target last, even if the list of classes moves at the moment of the drop.
 */
export function useDrop(over: (label: string | undefined) => void): boolean {
  const [dropping, setDropping] = useState(false);
  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    let target: string | undefined;
    const enter = (event: DragEvent) => {
      if (holdsFiles(event)) event.preventDefault(); // otherwise, an element that moves under the pointer refuses a drop
    };
    const drag = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setDropping(true);
      target = classUnder(event);
      over(target);
    };
    const end = () => {
      setDropping(false);
      over(undefined);
    };
    const leave = (event: DragEvent) => event.relatedTarget ?? end();
    const drop = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      end();
      ofDrop(event.dataTransfer!, target ?? shownClass.value).then(add, complain);
    };
    const listeners = { dragenter: enter, dragover: drag, dragleave: leave, drop };
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener as EventListener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener as EventListener);
    };
  }, []);
  return dropping;
}

function classUnder(event: DragEvent): string | undefined {
  return (event.target as Element | null)?.closest?.<HTMLElement>("[data-class]")?.dataset.class;
}

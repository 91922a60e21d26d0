/** Step 1: classes and their photos. */
import { useEffect, useRef, useState } from "preact/hooks";
import { bin, exclude, include, moveTo } from "./actions";
import { ClassList } from "./classes";
import { Dialog } from "./dialog";
import { useDrop } from "./drop";
import { PhotoGrid } from "./grid";
import type { DragPhase } from "./grid-pointer";
import { Icon } from "./icons";
import { PhoneDialog } from "./phone";
import { RecordDialog } from "./record";
import { NOTHING, selectAll } from "./selection";
import { photoByPath, photos, project } from "./store";
import { text } from "../text";
import { add, ofFiles, progress, skipped } from "./upload";
import { filter, type Filter, selection, shown, shownClass } from "./view";
import { Viewer } from "./viewer";

const SMALLEST = { wide: 132, narrow: 92 };
const FILTERS: readonly Filter[] = ["all", "ok", "excluded", "unreadable"];

type Open = "record" | "phone" | "skipped" | undefined;

export function PhotosStep() {
  const [dialog, setDialog] = useState<Open>();
  const [viewed, setViewed] = useState<number | undefined>();
  const [drag, setDrag] = useState<{ x: number; y: number } | null>(null);
  const [target, setTarget] = useState<string | undefined>();
  const dropping = useDrop(setTarget);
  const listed = shown.value;
  const current = shownClass.value;
  const classes = project.value!.classes;
  const close = () => setDialog(undefined);

  const over = useRef<string>(); // the target that was shown last, even if the list has moved since
  const follow = (event: PointerEvent, phase: DragPhase) => {
    if (phase === "drop" && over.current !== undefined) move(over.current);
    over.current = phase === "over" ? classAt(event) : undefined;
    setTarget(over.current);
    setDrag(phase === "over" ? { x: event.clientX, y: event.clientY } : null);
  };
  return (
    <div class="photos-step">
      <h1 class="unseen">{text.photo.title}</h1>
      <ClassList target={target} />
      <section class="photos-main" aria-label={current ?? text.photo.all}>
        <AddBar onOpen={setDialog} />
        {photos.value.length > 0 && <SelectionBar />}
        {listed.length ? (
          <PhotoGrid
            photos={listed}
            label={text.photo.grid(current ?? text.photo.all)}
            smallest={window.innerWidth < 600 ? SMALLEST.narrow : SMALLEST.wide}
            selection={selection.value}
            onSelect={(selected) => (selection.value = selected)}
            onOpen={setViewed}
            onDrag={follow}
            onKey={(event) => press(event, classes.map((each) => each.name))}
          />
        ) : (
          <Empty onOpen={setDialog} />
        )}
      </section>
      {dropping && (
        <div class="drop-zone" aria-hidden="true">
          <Icon name="add" /> {text.photo.drop(target ?? current)}
        </div>
      )}
      {drag && (
        <div class="drag-ghost" style={{ transform: `translate(${drag.x + 12}px, ${drag.y + 8}px)` }} aria-hidden="true">
          {text.photo.dragging(selection.value.paths.size)}
        </div>
      )}
      {dialog === "record" && <RecordDialog onClose={close} />}
      {dialog === "phone" && <PhoneDialog step="photos" onClose={close} />}
      {dialog === "skipped" && (
        <Dialog title={text.photo.skippedTitle} onClose={close}>
          <ul class="lines">
            {skipped.value.map(([name, reason]) => (
              <li>
                <strong>{name}</strong> {reason}
              </li>
            ))}
          </ul>
        </Dialog>
      )}
      {viewed !== undefined && (
        <Viewer paths={listed.map((photo) => photo.path)} start={viewed} onClose={() => setViewed(undefined)} />
      )}
    </div>
  );
}

function AddBar({ onOpen }: { onOpen(dialog: Open): void }) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  useEffect(() => folder.current!.setAttribute("webkitdirectory", ""), []);
  const take = (input: HTMLInputElement) => {
    add(ofFiles(input.files ?? [], shownClass.value));
    input.value = "";
  };
  return (
    <div class="bar-row">
      <input ref={files} type="file" multiple accept="image/*,.heic,.heif,.zip,.tar" hidden onChange={(event) => take(event.currentTarget)} />
      <input ref={folder} type="file" multiple hidden onChange={(event) => take(event.currentTarget)} />
      <div class="button-row">
        <button type="button" class="main" id="record" onClick={() => onOpen("record")}>
          <Icon name="record" /> {text.photo.record}
        </button>
        <button type="button" class="second" onClick={() => files.current!.click()}>
          <Icon name="file" /> {text.photo.files}
        </button>
        <button type="button" class="second wide-only" onClick={() => folder.current!.click()}>
          <Icon name="folder" /> {text.photo.folder}
        </button>
        <button type="button" class="second wide-only" id="phone" onClick={() => onOpen("phone")}>
          <Icon name="phone" /> {text.photo.phone}
        </button>
      </div>
      {progress.value && (
        <p class="uploading" role="status">
          {text.photo.uploading(progress.value.done, progress.value.all)}
          <progress aria-label={text.photo.add} value={progress.value.done} max={progress.value.all} />
        </p>
      )}
      {!progress.value && skipped.value.length > 0 && (
        <button type="button" class="link bad" onClick={() => onOpen("skipped")}>
          {text.photo.skipped(skipped.value.length)}
        </button>
      )}
    </div>
  );
}

function SelectionBar() {
  const { paths } = selection.value;
  const chosen = [...paths];
  const allExcluded = chosen.length > 0 && chosen.every((path) => photoByPath.value.get(path)?.status === "excluded");
  const excluding = allExcluded ? text.photo.include : text.photo.exclude;
  const classes = project.value!.classes;
  if (!chosen.length) {
    return (
      <div class="selection-bar">
        <label class="filter">
          <span>{text.photo.show}</span>
          <select id="filter" value={filter.value} onChange={(event) => (filter.value = event.currentTarget.value as Filter)}>
            {FILTERS.map((each) => (
              <option value={each}>{text.photo.filter[each]}</option>
            ))}
          </select>
        </label>
        <span class="note">{text.photos(shown.value.length)}</span>
        <span class="note keys">{text.photo.keys}</span>
        <span class="note touch">{text.photo.touch}</span>
      </div>
    );
  }
  return (
    <div class="selection-bar active" role="toolbar" aria-label={text.photo.selected(chosen.length)}>
      <strong>{text.photo.selected(chosen.length)}</strong>
      <select
        id="move"
        aria-label={text.photo.move}
        value=""
        onChange={(event) => {
          move(event.currentTarget.value);
          event.currentTarget.value = "";
        }}
      >
        <option value="">{text.photo.move}</option>
        {classes.map((each) => (
          <option value={each.name}>{each.name}</option>
        ))}
      </select>
      <button type="button" class="second" title={excluding} onClick={() => void (allExcluded ? include(chosen) : exclude(chosen))}>
        <Icon name={allExcluded ? "include" : "exclude"} /> <span class="label">{excluding}</span>
      </button>
      <button type="button" class="second" title={text.photo.delete} onClick={() => void bin(chosen)}>
        <Icon name="bin" /> <span class="label">{text.photo.delete}</span>
      </button>
      <button
        type="button"
        class="plain"
        onClick={() => (selection.value = selectAll(selection.value, shown.value.map((photo) => photo.path)))}
      >
        {text.photo.selectAll}
      </button>
      <button type="button" class="plain" onClick={() => (selection.value = NOTHING)}>
        {text.photo.clear}
      </button>
    </div>
  );
}

function Empty({ onOpen }: { onOpen(dialog: Open): void }) {
  const current = shownClass.value;
  const filtered = photos.value.length > 0 && filter.value !== "all";
  const [title, hint] = filtered
    ? [text.photo.nothing, ""]
    : current === undefined
      ? [text.photo.empty, text.photo.emptyHint]
      : [text.photo.emptyClass(current), text.photo.emptyClassHint];
  return (
    <div class="empty">
      <Icon name="photos" />
      <h2>{title}</h2>
      <p class="note">{hint}</p>
      {!filtered && current === undefined && <p class="note">{text.photo.lead}</p>}
      {!filtered && current !== undefined && (
        <button type="button" class="main" onClick={() => onOpen("record")}>
          <Icon name="record" /> {text.photo.record}
        </button>
      )}
    </div>
  );
}

function classAt(event: PointerEvent): string | undefined {
  return document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-class]")?.dataset.class;
}

function move(label: string): void {
  const { paths } = selection.value;
  const chosen = [...paths].filter((path) => photoByPath.value.get(path)?.label !== label);
  if (label && chosen.length) void moveTo(chosen, label);
}

/** Keys of the grid that change photos: X, Delete, M, and 1 to 9 for the first nine classes. */
function press(event: KeyboardEvent, names: readonly string[]): void {
  const chosen = [...selection.value.paths];
  if (!chosen.length || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = names[Number(event.key) - 1];
  if (event.key === "Delete" || event.key === "Backspace") void bin(chosen);
  else if (event.key.toLowerCase() === "x") {
    const excluded = chosen.every((path) => photoByPath.value.get(path)?.status === "excluded");
    void (excluded ? include(chosen) : exclude(chosen));
  } else if (event.key.toLowerCase() === "m") document.getElementById("move")?.focus();
  else if (name !== undefined) move(name);
  else return;
  event.preventDefault();
}

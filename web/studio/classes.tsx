/** The list of classes: counts at a glance, names edited in place; photos are dropped on it. */
import { useState } from "preact/hooks";
import { type ClassInfo, used } from "./api";
import { isFocusLost } from "./focus";
import { Icon } from "./icons";
import { change, project } from "./store";
import { text } from "../text";
import { show, shownClass } from "./view";

const FEW = 3; // a class with so many times fewer photos than the largest is marked

export function ClassList({ target }: { target: string | undefined }) {
  const { classes, notes } = project.value!;
  const [editing, setEditing] = useState<string | undefined>();
  const most = classes.reduce<ClassInfo | undefined>((best, each) => (best && used(best) >= used(each) ? best : each), undefined);
  const all = classes.reduce((sum, each) => sum + used(each), 0);
  return (
    <section class="classes" aria-label={text.photo.title}>
      <ul>
        {classes.length > 0 && (
          <li class={shownClass.value === undefined ? "current" : ""}>
            <button type="button" class="class-row" aria-pressed={shownClass.value === undefined} onClick={() => show(undefined)}>
              <span class="class-name">{text.photo.all}</span>
              <span class="class-count">{all}</span>
            </button>
          </li>
        )}
        {classes.map((each) =>
          editing === each.name ? (
            <li key={each.name}>
              <NameField label={text.photo.rename(each.name)} value={each.name} onDone={(name) => rename(each.name, name, setEditing)} />
            </li>
          ) : (
            <ClassRow
              key={each.name}
              info={each}
              most={most!}
              target={target === each.name}
              onEdit={() => setEditing(each.name)}
            />
          ),
        )}
        <li>
          {editing === "" ? (
            <NameField label={text.photo.className} value="" onDone={(name) => add(name, setEditing)} />
          ) : (
            <button type="button" class="class-add" onClick={() => setEditing("")}>
              <Icon name="add" /> {text.photo.addClass}
            </button>
          )}
        </li>
      </ul>
      <Imbalance classes={classes} most={most} />
      {notes.map((note) => (
        <p class="hint" key={note.text}>
          <Icon name="warning" /> {note.text}
        </p>
      ))}
    </section>
  );
}

interface ClassRowProps {
  readonly info: ClassInfo;
  readonly most: ClassInfo;
  readonly target: boolean;
  onEdit(): void;
}

function ClassRow({ info, most, target, onEdit }: ClassRowProps) {
  const current = shownClass.value === info.name;
  return (
    <li class={`${current ? "current" : ""}${target ? " target" : ""}`} data-class={info.name}>
      <button
        type="button"
        class="class-row"
        aria-pressed={current}
        onClick={() => show(info.name)}
        onDblClick={onEdit}
        onKeyDown={(event) => {
          if (event.key === "F2") onEdit();
        }}
      >
        <span class="class-name" dir="auto" title={info.name}>
          {info.name}
        </span>
        {isFew(info, most) && (
          <span class="tag warn" title={text.photo.fewHint(info.name, most.name)}>
            {text.photo.few}
          </span>
        )}
        <span class="class-count">{used(info)}</span>
        <span class="meter" aria-hidden="true">
          <span style={{ transform: `scaleX(${used(most) ? used(info) / used(most) : 0})` }} />
        </span>
      </button>
      <span class="class-tools">
        <button type="button" class="icon-button" aria-label={text.photo.rename(info.name)} title={text.photo.rename(info.name)} onClick={onEdit}>
          <Icon name="edit" />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={text.photo.remove(info.name)}
          title={text.photo.remove(info.name)}
          onClick={() => void change("/api/classes", { remove: info.name }, text.photo.removed(info.name))}
        >
          <Icon name="bin" />
        </button>
      </span>
      {(info.excluded > 0 || info.unreadable > 0) && (
        <span class="class-extra">
          {info.excluded > 0 && (
            <button type="button" class="link" onClick={() => show(info.name, "excluded")}>
              {text.photo.excluded(info.excluded)}
            </button>
          )}
          {info.unreadable > 0 && (
            <button type="button" class="link bad" onClick={() => show(info.name, "unreadable")}>
              {text.photo.unreadable(info.unreadable)}
            </button>
          )}
        </span>
      )}
    </li>
  );
}

interface NameFieldProps {
  readonly label: string;
  readonly value: string;
  /** Called with the new name, or undefined if the person has given up. */
  onDone(name: string | undefined): void;
}

function NameField({ label, value, onDone }: NameFieldProps) {
  let finished = false;
  const finish = (name: string | undefined) => {
    if (!finished) onDone(name && name !== value ? name : undefined);
    finished = true;
  };
  return (
    <input
      class="class-field"
      aria-label={label}
      placeholder={text.photo.newClass}
      value={value}
      maxLength={100}
      ref={(field) => {
        if (field && document.activeElement !== field) {
          field.focus();
          field.select();
        }
      }}
      onBlur={(event) => finish(event.currentTarget.value.trim())}
      onKeyDown={(event) => {
        if (event.key === "Enter") finish(event.currentTarget.value.trim());
        if (event.key === "Escape") finish(undefined);
      }}
    />
  );
}

function Imbalance({ classes, most }: { classes: readonly ClassInfo[]; most: ClassInfo | undefined }) {
  const smallest = classes.reduce<ClassInfo | undefined>((least, each) => (least && used(least) <= used(each) ? least : each), undefined);
  if (!most || !smallest || !isFew(smallest, most) || !used(smallest)) return null;
  return (
    <p class="hint">
      <Icon name="warning" /> {text.photo.imbalance(smallest.name, most.name, Math.floor(used(most) / used(smallest)))}
    </p>
  );
}

function isFew(info: ClassInfo, most: ClassInfo): boolean {
  return used(info) * FEW < used(most);
}

/** Focuses an element if the field that had the focus is gone, so that the keyboard does not start at the top again. */
function focusInstead(selector: string): void {
  requestAnimationFrame(() => {
    if (isFocusLost()) document.querySelector<HTMLElement>(selector)?.focus({ preventScroll: true });
  });
}

function rowOf(name: string): string {
  return `[data-class="${CSS.escape(name)}"] .class-row`;
}

function rename(before: string, after: string | undefined, setEditing: (name: undefined) => void): void {
  setEditing(undefined);
  focusInstead(rowOf(before));
  if (!after) return;
  const followed = shownClass.value === before;
  void change("/api/classes", { rename: before, to: after }, text.photo.renamed(before, after)).then((answer) => {
    if (answer && followed) show(after);
    focusInstead(rowOf(answer ? after : before));
  });
}

function add(name: string | undefined, setEditing: (name: undefined) => void): void {
  setEditing(undefined);
  focusInstead(".class-add");
  if (!name) return;
  void change("/api/classes", { add: name }, text.photo.added(name)).then((answer) => {
    if (answer) show(name);
  });
}

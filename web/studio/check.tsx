/** Step 2: what the check of the photos has found, each with its decision one key away. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { bin, exclude, keep, moveTo } from "./actions";
import { type Suspect, thumbUrl } from "./api";
import { audit, isOpen, openGroup, undecided } from "./findings";
import { Icon } from "./icons";
import { JobProgress, runningOf } from "./job-bar";
import { go, photoByPath, running, startJob, trainable } from "./store";
import { text } from "../text";
import { Viewer } from "./viewer";
import { Warnings } from "./warnings";

const FIRST = 24; // findings of a kind that are shown at once

export function CheckStep() {
  const [viewed, setViewed] = useState<string | undefined>();
  const job = runningOf("audit");
  const found = audit.value;
  return (
    <div class="step">
      <h1>{text.check.title}</h1>
      <p class="note lead-line">{text.check.lead}</p>
      {job ? (
        <JobProgress job={job} />
      ) : (
        <div class="button-row">
          <button
            type="button"
            class={found ? "second" : "main"}
            disabled={!trainable.value || Boolean(running.value)}
            onClick={() => void startJob("audit")}
          >
            <Icon name="check" /> {found ? text.check.again : text.check.start}
          </button>
          {!trainable.value && <span class="note">{text.check.none}</span>}
        </div>
      )}
      {found && (
        <>
          <p class="lead">
            {found.summary} {found.more_photos}
          </p>
          <Warnings lines={found.warnings} />
          {undecided.value === 0 && (
            <div class="card calm">
              <h2>{text.check.clean}</h2>
              <p class="note">{text.check.cleanHint}</p>
              <button type="button" class="main" onClick={() => go("train")}>
                {text.check.toTrain}
              </button>
            </div>
          )}
          <Suspects suspects={found.suspects.filter((each) => each.probable !== false)} title={text.check.suspects} hint={text.check.suspectsHint} onOpen={setViewed} />
          <Findings
            title={text.check.duplicates}
            hint={text.check.duplicatesHint}
            items={found.duplicates.map(openGroup).filter((group) => group.length)}
            all={found.duplicates.length}
            render={(group) => <GroupCard key={group.join()} group={group} onOpen={setViewed} />}
          />
          <Findings
            title={text.check.outliers}
            hint={text.check.outliersHint}
            keys={text.check.keys}
            items={found.outliers.filter(isOpen)}
            all={found.outliers.length}
            render={(path) => <PhotoCard key={path} path={path} detail={found.reasons?.[path]} onOpen={setViewed} />}
          />
          <Findings
            title={text.check.strangers}
            hint={text.check.strangersHint}
            keys={text.check.keys}
            items={found.strangers.filter(isOpen)}
            all={found.strangers.length}
            render={(path) => <PhotoCard key={path} path={path} detail={found.reasons?.[path]} onOpen={setViewed} />}
          />
          <Suspects suspects={found.suspects.filter((each) => each.probable === false)} title={text.check.doubtful} hint={text.check.doubtfulHint} onOpen={setViewed} />
          <Unreadable files={found.unreadable} />
        </>
      )}
      {viewed !== undefined && <Viewer paths={[viewed]} start={0} onClose={() => setViewed(undefined)} />}
    </div>
  );
}

interface FindingsProps<T> {
  readonly title: string;
  readonly hint: string;
  /** Keys that decide about a focused finding. */
  readonly keys?: string;
  readonly items: readonly T[];
  readonly all: number;
  render(item: T): ComponentChildren;
}

function Findings<T>({ title, hint, keys, items, all, render }: FindingsProps<T>) {
  const [most, setMost] = useState(FIRST);
  if (!items.length) return null;
  return (
    <section class="findings" aria-label={title}>
      <div class="section-head">
        <h2>
          {title} <span class="number">{items.length}</span>
        </h2>
        {all > items.length && <span class="note">{text.check.decided(all - items.length, all)}</span>}
      </div>
      <p class="note">
        {hint} {keys && <span class="keys">{keys}</span>}
      </p>
      <div class="cards" onKeyDown={roam}>
        {items.slice(0, most).map(render)}
      </div>
      {items.length > most && (
        <button type="button" class="second" onClick={() => setMost(most + 4 * FIRST)}>
          {text.check.more(items.length - most)}
        </button>
      )}
    </section>
  );
}

interface CardProps {
  readonly path: string;
  readonly detail?: string;
  readonly suggested?: string;
  readonly children?: ComponentChildren;
  onOpen(path: string): void;
}

/** A photo with its decisions as buttons and keys. */
function PhotoCard({ path, detail, suggested, children, onOpen }: CardProps) {
  const photo = photoByPath.value.get(path);
  const actions: Record<string, () => void> = {
    k: () => void keep([path]),
    x: () => void exclude([path]),
    Delete: () => void bin([path]),
    ...(suggested === undefined ? {} : { m: () => void moveTo([path], suggested) }),
  };
  return (
    <figure
      class="finding"
      tabIndex={0}
      data-path={path}
      aria-label={text.check.photo(path, detail ?? "")}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
        const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (action) decide(action)(event);
        else if (event.key === "Enter") onOpen(path);
        else return;
        event.preventDefault();
      }}
    >
      <img src={thumbUrl(path, photo?.stamp ?? 0)} alt="" loading="lazy" decoding="async" onClick={() => onOpen(path)} />
      <figcaption>
        <span class="finding-path" title={path}>
          {path}
        </span>
        {children ?? (detail && <span>{detail}</span>)}
        <div class="finding-actions">
          {suggested !== undefined && (
            <button type="button" class="main small" onClick={decide(actions.m)}>
              {text.check.moveTo(suggested)}
            </button>
          )}
          <button type="button" class="second small" onClick={decide(actions.k)}>
            {text.check.keep}
          </button>
          <button type="button" class="second small" onClick={decide(actions.x)}>
            {text.check.exclude}
          </button>
        </div>
      </figcaption>
    </figure>
  );
}

interface SuspectsProps {
  readonly suspects: readonly Suspect[];
  readonly title: string;
  readonly hint: string;
  onOpen(path: string): void;
}

function Suspects({ suspects, title, hint, onOpen }: SuspectsProps) {
  return (
    <Findings
      title={title}
      hint={hint}
      keys={text.check.keys}
      items={suspects.filter((suspect) => isOpen(suspect.path))}
      all={suspects.length}
      render={(suspect) => <SuspectCard key={suspect.path} suspect={suspect} onOpen={onOpen} />}
    />
  );
}

function SuspectCard({ suspect, onOpen }: { suspect: Suspect; onOpen(path: string): void }) {
  const looks = text.check.looksLike(suspect.suggested, suspect.confidence);
  return (
    <PhotoCard path={suspect.path} detail={looks} suggested={suspect.suggested} onOpen={onOpen}>
      <span>
        {text.check.isIn(suspect.label)}, {looks}
      </span>
    </PhotoCard>
  );
}

function GroupCard({ group, onOpen }: { group: readonly string[]; onOpen(path: string): void }) {
  return (
    <div class="group">
      <div class="group-photos">
        {group.map((path) => (
          <button type="button" class="thumb" aria-label={text.photo.open(path)} title={path} onClick={() => onOpen(path)}>
            <img src={thumbUrl(path, photoByPath.value.get(path)?.stamp ?? 0)} alt="" loading="lazy" decoding="async" />
          </button>
        ))}
      </div>
      <div class="finding-actions">
        <button type="button" class="main small" onClick={decide(() => void exclude(group.slice(1)))}>
          {text.check.keepFirst}
        </button>
        <button type="button" class="second small" onClick={decide(() => void keep(group))}>
          {text.check.keepAll}
        </button>
      </div>
    </div>
  );
}

function Unreadable({ files }: { files: readonly (readonly [string, string])[] }) {
  const there = files.filter(([path]) => photoByPath.value.has(path));
  if (!there.length) return null;
  return (
    <section class="findings" aria-label={text.check.unreadable}>
      <div class="section-head">
        <h2>
          {text.check.unreadable} <span class="number">{there.length}</span>
        </h2>
      </div>
      <p class="note">{text.check.unreadableHint}</p>
      <ul class="lines card">
        {there.map(([path, reason]) => (
          <li>
            <strong>{path}</strong> <span class="note">{reason}</span>
            <button type="button" class="second small" onClick={() => void bin([path])}>
              {text.check.bin}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Arrow keys go from photo to photo. */
function roam(event: KeyboardEvent): void {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const from = event.target as HTMLElement;
  if (!by || !from.matches(".finding")) return;
  const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>(".finding")];
  all[all.indexOf(from) + by]?.focus();
  event.preventDefault();
}

/** Carries out a decision about a finding, which then leaves the page: the next finding gets the focus. */
function decide(action: () => void): (event: Event) => void {
  return (event) => {
    focusNext(event.currentTarget as HTMLElement);
    action();
  };
}

function focusNext(from: HTMLElement): void {
  const card = from.closest(".finding, .group");
  const next = card?.nextElementSibling ?? card?.previousElementSibling;
  const target = next?.matches(".finding") ? next : next?.querySelector(".finding-actions button");
  ((target as HTMLElement | null | undefined) ?? document.getElementById("main")!).focus();
}

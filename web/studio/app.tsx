/** The frame of the page: steps, project, job that is running, messages; the step inside. */
import type { ComponentChildren } from "preact";
import { useEffect, useErrorBoundary } from "preact/hooks";
import { sentenceFor } from "../src/sentence";
import { CheckStep } from "./check";
import { ChooseStep } from "./choose";
import { Icon } from "./icons";
import { JobBar } from "./job-bar";
import { PhotosStep } from "./photos";
import { connected, go, problem, project, redo, restarted, step, type Step, STEPS, undo } from "./store";
import { TakeStep } from "./take";
import { text } from "../text";
import { Toast } from "./toast";
import { TrainStep } from "./train";
import { TryStep } from "./try";
import { undecided } from "./findings";

const PARTS = { photos: PhotosStep, check: CheckStep, train: TrainStep, try: TryStep, choose: ChooseStep, take: TakeStep };

export function App() {
  useKeys();
  useEffect(() => document.getElementById("main")!.scrollTo(0, 0), [step.value]);
  const Part = PARTS[step.value];
  const open = project.value !== null;
  const obstacle = restarted.value ? text.restarted : connected.value ? problem.value : text.offline;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {text.skip}
      </a>
      <Header />
      <Steps />
      <main id="main" tabIndex={-1} data-ready={open ? "" : undefined}>
        {obstacle && <Problem line={obstacle} />}
        {open ? (
          <Guarded key={step.value}>
            <Part />
          </Guarded>
        ) : (
          !obstacle && <p class="note opening">{text.loading}</p>
        )}
      </main>
      <Toast />
    </>
  );
}

function Problem({ line }: { line: string }) {
  return (
    <p class="problem" role="alert">
      <Icon name="warning" /> <span>{line}</span>
    </p>
  );
}

/** Shows an error in a part of the page in its place, and leaves the rest of the page usable. */
function Guarded({ children }: { children: ComponentChildren }) {
  const [error] = useErrorBoundary();
  return <>{error ? <Problem line={sentenceFor(error)} /> : children}</>;
}

function Header() {
  const current = project.value;
  return (
    <header class="top">
      <div class="brand">
        <img src="/icon.svg" alt="" width="28" height="28" />
        <div>
          <strong>{current?.name ?? text.product}</strong>
          <span class="note" title={current?.folder}>
            {current?.demo ? text.demo : text.local}
          </span>
        </div>
      </div>
      <JobBar />
      <div class="history">
        <HistoryButton name="undo" what={current?.undo} does={undo} />
        <HistoryButton name="redo" what={current?.redo} does={redo} />
      </div>
    </header>
  );
}

function HistoryButton({ name, what, does }: { name: "undo" | "redo"; what?: string | null; does(): Promise<void> }) {
  const label = what ? (name === "undo" ? text.undoStep(what) : text.redoStep(what)) : text[name];
  return (
    <button type="button" class="icon-button" id={name} aria-label={label} title={label} disabled={!what} onClick={() => void does()}>
      <Icon name={name} />
    </button>
  );
}

function Steps() {
  return (
    <nav class="steps" aria-label={text.steps}>
      <ol>
        {STEPS.map((each, index) => (
          <li>
            <a href={`#${each}`} aria-current={step.value === each ? "step" : undefined}>
              <Icon name={each} />
              <span class="step-name">
                <b>{index + 1}</b> {text.step[each]}
              </span>
              <span class="step-state">{stateOf(each)}</span>
              {wants(each) && <span class="dot" />}
            </a>
          </li>
        ))}
      </ol>
      <p class="note foot">
        <a href="/LICENSES.txt" target="_blank" rel="noreferrer">
          {text.licenses}
        </a>
      </p>
    </nav>
  );
}

function stateOf(each: Step): string {
  const current = project.value;
  if (!current) return "";
  const all = current.classes.reduce((sum, one) => sum + one.photos, 0);
  const { model } = current;
  switch (each) {
    case "photos":
      return current.classes.length ? text.state.photos(all, current.classes.length) : text.state.noPhotos;
    case "check":
      return undecided.value === undefined ? text.state.notChecked : text.state.findings(undecided.value);
    case "train":
      if (model && current.needs_training) return text.state.retrain;
      return model ? text.state.trained(model.accuracy) : text.state.notTrained;
    case "try":
      return model ? text.state.try : text.state.needsModel;
    case "choose":
      return text.state.choose;
    case "take":
      return model ? text.state.take(model.files.length) : text.state.needsModel;
  }
}

/** Whether a step asks for attention. */
function wants(each: Step): boolean {
  const current = project.value;
  if (each === "check") return Boolean(undecided.value);
  return each === "train" && Boolean(current?.model && current.needs_training);
}

function skip(event: MouseEvent): void {
  event.preventDefault(); // the address names the step
  document.getElementById("main")!.focus();
}

/** Ctrl+Z and Ctrl+Shift+Z undo and redo; Alt+1 to Alt+6 go to a step. */
function useKeys(): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === "z" && !isText(event.target)) {
        event.preventDefault();
        void (event.shiftKey ? redo() : undo());
      } else if (event.altKey && !command && event.key >= "1" && event.key <= "6") {
        event.preventDefault();
        go(STEPS[Number(event.key) - 1]);
      }
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
}

function isText(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement && target.type !== "radio" && target.type !== "range";
}

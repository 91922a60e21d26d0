/** View of the page: elements by their ids, labels, times and problems. */
import { type Answer, type Limits, verdict } from "./answers";
import type { ModelDescription } from "./metadata";

const SHOWN = 3;
const SPEAK_AFTER = 1200; // milliseconds after which an unchanged label is announced to screen readers

/** Returns the element with an id, which must exist. */
export function find<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export function showModel(model: ModelDescription): void {
  const [, height, width] = model.input.shape;
  const name = [model.name.replace(/^poets_edge /, ""), model.quantization].filter(Boolean).join(" ") || "model";
  const labels = `${model.labels.length} label${model.labels.length === 1 ? "" : "s"}`;
  find("model").textContent = `${name} · ${width} × ${height} · ${labels}`;
}

/** Shows one sentence, or none. */
export function showProblem(sentence: string | undefined): void {
  const problem = find("problem");
  problem.hidden = sentence === undefined;
  problem.textContent = sentence ?? "";
}

interface Row {
  readonly item: HTMLLIElement;
  readonly label: HTMLElement;
  readonly score: HTMLElement;
  readonly bar: HTMLElement;
}

export class AnswerView {
  private readonly rows: Row[] = [];
  private shown?: { answers: readonly Answer[]; distance?: number };
  private spokenSoon?: { text: string; timer: number };

  constructor(private limits: Limits) {}

  change(limits: Partial<Limits>): void {
    this.limits = { ...this.limits, ...limits };
    if (this.shown) this.show(this.shown.answers, this.shown.distance);
  }

  /** Marks the labels as outdated until the next ones are shown. */
  expect(): void {
    find("answer").setAttribute("aria-busy", "true");
  }

  /** Removes the labels. */
  clear(): void {
    this.shown = undefined;
    this.rows.length = 0;
    find("answers").replaceChildren();
    for (const id of ["verdict", "verdict-note"]) write(find(id), "\u00a0"); // keeps its height
    find("answer").removeAttribute("aria-busy");
    this.speak("");
  }

  /**
   * @param answers the best labels, best first
   * @param distance distance from the training photos; undefined if the model has no detector
   */
  show(answers: readonly Answer[], distance?: number): void {
    this.shown = { answers, distance };
    find("answer").removeAttribute("aria-busy");
    const { text, note, count } = verdict(answers, distance, this.limits);
    write(find("verdict"), text);
    write(find("verdict-note"), note || "\u00a0");
    answers.slice(0, SHOWN).forEach((answer, place) => {
      const row = (this.rows[place] ??= makeRow());
      write(row.label, answer.label);
      write(row.score, `${(100 * answer.score).toFixed(1)} %`);
      row.bar.style.transform = `scaleX(${Math.max(0, Math.min(1, answer.score))})`;
      row.item.classList.toggle("below", place >= count);
    });
    this.speak(note ? `${text}. ${note}` : text);
  }

  private speak(text: string): void {
    if (this.spokenSoon?.text === text) return;
    window.clearTimeout(this.spokenSoon?.timer);
    const timer = window.setTimeout(() => write(find("spoken"), text), SPEAK_AFTER);
    this.spokenSoon = { text, timer };
  }
}

/** Draws a picture, reduced if it is larger than any screen. */
export function drawPhoto(picture: ImageBitmap): void {
  const canvas = find<HTMLCanvasElement>("photo");
  const scale = Math.min(1, 1280 / Math.max(picture.width, picture.height));
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d")!.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function makeRow(): Row {
  const item = document.createElement("li");
  const [label, score, bar] = ["label", "score", "bar"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    return part;
  });
  bar.append(document.createElement("span"));
  item.append(label, score, bar);
  find("answers").append(item);
  return { item, label, score, bar: bar.firstElementChild as HTMLElement };
}

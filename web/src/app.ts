/** The page: connects the camera, photos, the worker and the view. */
import { best, defaultThreshold } from "./answers";
import { Camera, isFrontCamera } from "./camera";
import type { Scored } from "./classifier";
import { centralSquare, Live } from "./live";
import { offerMeasuring } from "./measure-view";
import type { ModelDescription } from "./metadata";
import { keepOffline } from "./offline";
import { decodePhoto, watchDropAndPaste } from "./photos";
import { Scorer } from "./scorer";
import { Sentence, sentenceFor } from "./sentence";
import { recall, remember } from "./settings";
import { AnswerView, drawPhoto, find, showModel, showProblem, write } from "./view";
import { cameraText } from "../text";

const MODEL = "model.tflite";
const ANSWERS = 3;

type Mode = "idle" | "live" | "frozen" | "photo";

class Page {
  private readonly video = find<HTMLVideoElement>("video");
  private readonly cameraButton = find<HTMLButtonElement>("camera");
  private readonly switchButton = find<HTMLButtonElement>("switch");
  private readonly camera = new Camera(this.video, () => {
    this.live.stop();
    this.camera.stop();
    this.enter("idle");
    this.fail(new Sentence(cameraText.gone));
  });
  private readonly answers = new AnswerView({ threshold: 0.5, acceptAll: false });
  private readonly live: Live;
  private mode: Mode = "idle";
  private frames = 0;
  private photos = 0;

  constructor(
    private readonly scorer: Scorer,
    private readonly model: ModelDescription,
  ) {
    this.live = new Live(
      this.video,
      scorer,
      (labeled) => {
        this.show(labeled, labeled.whole, labeled.rate);
        find("stage").dataset.frames = String(++this.frames);
      },
      (error) => this.fail(error),
    );
    showModel(model);
    this.connectThreshold();
    this.connectDetector();
    this.connectPhotos();
    this.connectCamera();
    offerMeasuring(MODEL, model, () => this.pause());
    keepOffline(
      () => write(find("offline"), "The page works offline now."),
      (use) => this.offerNewer(use),
    );
  }

  private connectThreshold(): void {
    const slider = find<HTMLInputElement>("threshold");
    const beginning = defaultThreshold(this.model.labels.length, this.model.threshold);
    const key = `poets_edge threshold ${this.model.sha256}`; // each model has its own threshold
    slider.value = recall(key) ?? String(Math.round(100 * beginning));
    slider.disabled = false;
    const apply = () => {
      write(find("threshold-shown"), `${slider.value} %`);
      this.answers.change({ threshold: Number(slider.value) / 100 });
    };
    slider.addEventListener("input", () => {
      apply();
      remember(key, slider.value);
    });
    apply();
  }

  private connectDetector(): void {
    find("accept-all-part").hidden = !this.model.distance;
    const box = find<HTMLInputElement>("accept-all");
    box.disabled = false;
    const key = `poets_edge accept all ${this.model.sha256}`;
    box.checked = recall(key) === "true";
    const apply = () => this.answers.change({ acceptAll: box.checked });
    box.addEventListener("change", () => {
      apply();
      remember(key, String(box.checked));
    });
    apply();
  }

  private connectPhotos(): void {
    for (const id of ["take-input", "choose-input"]) {
      const input = find<HTMLInputElement>(id);
      input.disabled = false;
      input.addEventListener("change", () => {
        const file = input.files?.[0];
        if (file) void this.labelPhoto(file);
        input.value = ""; // so that choosing the same photo again is a change
      });
    }
    watchDropAndPaste(
      (file) => void this.labelPhoto(file),
      (dragging) => document.body.classList.toggle("dragging", dragging),
    );
  }

  private connectCamera(): void {
    const obstacle = Camera.obstacle();
    if (obstacle) {
      this.cameraButton.hidden = true;
      write(find("hint"), `${obstacle} Take or choose a photo.`);
      return;
    }
    this.cameraButton.disabled = false;
    this.cameraButton.addEventListener("click", () => void this.pressCamera());
    this.switchButton.addEventListener("click", () => void this.runCamera(() => this.camera.next()));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.pause();
    });
  }

  private async pressCamera(): Promise<void> {
    if (this.mode === "live") return this.freeze();
    if (this.mode === "frozen" && this.camera.running) return this.runCamera(() => this.video.play());
    return this.runCamera(() => this.camera.start());
  }

  private async runCamera(start: () => Promise<void>): Promise<void> {
    this.live.stop();
    this.cameraButton.disabled = this.switchButton.disabled = true;
    try {
      await start();
      showProblem(undefined);
      this.video.classList.toggle("mirrored", isFrontCamera(this.video));
      this.enter("live");
      this.answers.expect();
      this.live.start();
    } catch (error) {
      this.enter("idle");
      this.fail(error);
    } finally {
      this.cameraButton.disabled = this.switchButton.disabled = false;
    }
  }

  /** Freezes the picture, and labels exactly the visible frame. */
  private async freeze(): Promise<void> {
    this.live.stop();
    this.video.pause();
    this.enter("frozen");
    try {
      const start = performance.now();
      const scored = await this.scorer.score(await centralSquare(this.video));
      if (this.mode === "frozen") this.show(scored, performance.now() - start);
    } catch (error) {
      this.fail(error);
    }
  }

  private pause(): void {
    if (this.mode === "live") void this.freeze();
  }

  private async labelPhoto(file: Blob): Promise<void> {
    const number = ++this.photos; // the photo that was added last is shown, regardless of which one is decoded first
    showProblem(undefined);
    const start = performance.now();
    let picture: ImageBitmap;
    try {
      picture = await decodePhoto(file);
    } catch (error) {
      if (number === this.photos) this.refuse(error);
      return;
    }
    if (number !== this.photos) return picture.close();
    this.live.stop();
    this.camera.stop();
    drawPhoto(picture);
    this.enter("photo");
    this.answers.expect();
    try {
      const scored = await this.scorer.score(picture);
      if (number === this.photos && this.mode === "photo") this.show(scored, performance.now() - start);
    } catch (error) {
      if (number === this.photos) this.fail(error);
    }
  }

  /** Shows why a file is not a photo, and removes the previous photo and its labels. */
  private refuse(error: unknown): void {
    if (this.mode === "frozen") this.camera.stop();
    if (this.mode !== "live") this.enter("idle");
    this.fail(error);
  }

  private show({ scores, distance, inference }: Scored, whole: number, rate?: number): void {
    this.answers.show(best(this.model.labels, scores, ANSWERS), distance);
    write(find("inference"), inference.toFixed(1));
    write(find("whole"), whole.toFixed(1));
    write(find("rate"), String(rate ?? ""));
    find("rate-part").hidden = rate === undefined;
    find("timing").hidden = false;
  }

  private enter(mode: Mode): void {
    this.mode = mode;
    document.body.dataset.mode = mode;
    this.video.hidden = mode !== "live" && mode !== "frozen";
    find("photo").hidden = mode !== "photo";
    find("placeholder").hidden = mode !== "idle";
    if (mode === "idle") this.clear();
    this.switchButton.hidden = !(mode === "live" && this.camera.switchable);
    const names = { idle: "Start camera", live: "Freeze", frozen: "Go on", photo: "Start camera" };
    write(this.cameraButton, names[mode]);
  }

  private clear(): void {
    this.answers.clear();
    find("timing").hidden = true;
  }

  /** Shows a problem. The labels are kept only while the camera is running, because the next frame replaces them. */
  private fail(error: unknown): void {
    if (this.mode !== "live") this.clear();
    showProblem(sentenceFor(error));
  }

  /** Reloads a newer version automatically if the page has not been used yet. */
  private offerNewer(use: () => void): void {
    if (this.mode === "idle") return use();
    find("news").hidden = false;
    find("reload").addEventListener("click", use);
  }
}

async function main(): Promise<void> {
  const scorer = new Scorer();
  try {
    const model = await scorer.open(MODEL);
    Object.assign(window, { poetsEdge: { scorer, decodePhoto } }); // for the console and for tests
    new Page(scorer, model);
    document.body.dataset.mode = "idle";
    performance.mark("ready");
  } catch (error) {
    write(find("model"), "No model");
    write(find("hint"), "There is nothing to label with.");
    showProblem(sentenceFor(error));
  }
}

void main();

/** Step 4: live answers through the file that will be shipped, and a key that files a wrong one under its right class. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, best, defaultThreshold, FARTHEST } from "../src/answers";
import { Camera, isFrontCamera } from "../src/camera";
import type { Scored } from "../src/classifier";
import { centralSquare, Live } from "../src/live";
import type { ModelDescription } from "../src/metadata";
import { decodePhoto, watchDropAndPaste } from "../src/photos";
import { Scorer } from "../src/scorer";
import { drawPhoto } from "../src/view";
import { modelUrl } from "./api";
import { Icon } from "./icons";
import { toJpeg } from "./jpeg";
import { complain, go, project } from "./store";
import { percent, text } from "../text";
import { enqueue } from "./upload";

const SHOWN = 4;
const PREFERRED = ["int8", "float32"];

type Mode = "idle" | "live" | "frozen" | "photo";

interface Shown {
  readonly answers: readonly Answer[];
  readonly unknown: boolean;
  readonly inference: number;
  readonly rate: number | undefined;
}

export function TryStep() {
  const { model } = project.value!;
  return (
    <div class="step">
      <h1>{text.try.title}</h1>
      <p class="note lead-line">{text.try.lead}</p>
      {model ? <Trial key={model.trained} forms={model.files.map((file) => file.form)} /> : <NeedsModel />}
    </div>
  );
}

export function NeedsModel() {
  return (
    <div class="empty">
      <Icon name="train" />
      <h2>{text.try.need}</h2>
      <button type="button" class="main" onClick={() => go("train")}>
        {text.check.toTrain}
      </button>
    </div>
  );
}

function Trial({ forms }: { forms: readonly string[] }) {
  const [form, setForm] = useState(PREFERRED.find((each) => forms.includes(each)) ?? forms[0]);
  const [mode, setMode] = useState<Mode>("idle");
  const [shown, setShown] = useState<Shown | undefined>();
  const [filed, setFiled] = useState(0);
  const [mirrored, setMirrored] = useState(false);
  const video = useRef<HTMLVideoElement>(null);
  const photo = useRef<ImageBitmap>();
  const parts = useRef<{ camera: Camera; live: Live }>();
  const { scorer, description } = useScorer(form);

  const view = (scored: Scored, rate?: number) => {
    setShown({
      answers: best(description!.labels, scored.scores, SHOWN),
      unknown: scored.distance !== undefined && scored.distance > FARTHEST,
      inference: scored.inference,
      rate,
    });
  };
  useEffect(() => {
    if (!scorer || !description) return;
    const lost = () => setMode("idle");
    const camera = new Camera(video.current!, lost);
    const live = new Live(video.current!, scorer, (labeled) => view(labeled, labeled.rate), complain);
    parts.current = { camera, live };
    return () => {
      live.stop();
      camera.stop();
      setMode((before) => (before === "photo" ? before : "idle"));
    };
  }, [scorer, description]);

  const start = async () => {
    try {
      await parts.current!.camera.start();
      setMirrored(isFrontCamera(video.current!));
      parts.current!.live.start();
      setMode("live");
    } catch (error) {
      complain(error);
    }
  };
  const stop = () => {
    parts.current!.live.stop();
    parts.current!.camera.stop();
    setMode("idle");
    setShown(undefined);
  };
  const freeze = () => {
    if (mode === "live") {
      parts.current!.live.stop();
      video.current!.pause();
      setMode("frozen");
    } else if (mode === "frozen") {
      void video.current!.play();
      parts.current!.live.start();
      setMode("live");
    }
  };
  const take = async (file: File) => {
    if (!scorer || !description) return;
    try {
      const picture = await decodePhoto(file);
      if (mode !== "idle" && mode !== "photo") stop();
      photo.current?.close();
      photo.current = picture;
      setMode("photo");
      drawPhoto(picture);
      view(await scorer.score(await createImageBitmap(picture)));
    } catch (error) {
      complain(error);
    }
  };
  const newest = useRef(take);
  newest.current = take;
  useEffect(() => watchDropAndPaste((file) => void newest.current(file), () => undefined), []);

  const names = project.value!.classes.map((each) => each.name);
  const file = async (label: string) => {
    const source = mode === "photo" ? photo.current && createImageBitmap(photo.current) : video.current && centralSquare(video.current);
    if (mode === "idle" || !source) return;
    try {
      enqueue([{ content: await toJpeg(await source), name: `try-${Date.now()}.jpg`, label }]);
      setFiled((count) => count + 1);
    } catch (error) {
      complain(error);
    }
  };
  useKeys((key) => {
    const label = names[Number(key) - 1];
    if (label !== undefined) void file(label);
    else if (key === " " && (mode === "live" || mode === "frozen")) freeze();
    else return false;
    return true;
  });

  return (
    <div class="trial" data-mode={mode} data-ready={description ? "" : undefined}>
      <div class="stage">
        <video ref={video} class={mirrored ? "mirrored" : ""} playsInline muted hidden={mode === "idle" || mode === "photo"} aria-label={text.try.video} />
        <canvas id="photo" role="img" aria-label={text.try.picture} hidden={mode !== "photo"} />
        {mode === "idle" && (
          <p class="stage-hint">
            <Icon name="try" />
            {description ? text.try.hint : text.try.loading}
          </p>
        )}
      </div>
      <div class="stack">
        <div class="button-row">
          {mode === "live" || mode === "frozen" ? (
            <>
              <button type="button" class="main" onClick={freeze}>
                {mode === "live" ? text.try.freeze : text.try.resume}
              </button>
              <button type="button" class="second" onClick={stop}>
                {text.try.stop}
              </button>
            </>
          ) : (
            <button type="button" class="main" id="camera" disabled={!description} onClick={() => void start()}>
              <Icon name="try" /> {text.try.start}
            </button>
          )}
          <label class={`button second${description ? "" : " disabled"}`}>
            <input
              type="file"
              class="unseen"
              id="try-picture"
              accept="image/*"
              disabled={!description}
              onChange={(event) => {
                const [picture] = event.currentTarget.files ?? [];
                if (picture) void take(picture);
                event.currentTarget.value = "";
              }}
            />
            <Icon name="photos" /> {text.try.choose}
          </label>
          <label class="inline-field">
            <span>{text.try.form}</span>
            <select value={form} onChange={(event) => setForm(event.currentTarget.value)}>
              {forms.map((each) => (
                <option value={each}>{each}</option>
              ))}
            </select>
          </label>
        </div>
        <Verdict shown={mode === "idle" ? undefined : shown} description={description} />
        {mode !== "idle" && (
          <section class="card" aria-label={text.try.wrong}>
            <h2>{text.try.wrong}</h2>
            <div class="button-row">
              {names.map((name, index) => (
                <button type="button" class="second" aria-label={text.try.fileUnder(name)} onClick={() => void file(name)}>
                  {index < 9 && <kbd>{index + 1}</kbd>} {name}
                </button>
              ))}
            </div>
            <p class="note keys">{text.try.keys}</p>
          </section>
        )}
        {filed > 0 && (
          <p class="hint" role="status">
            {text.try.filedCount(filed)}{" "}
            <button type="button" class="main small" onClick={() => go("train")}>
              {text.try.retrain}
            </button>
          </p>
        )}
      </div>
    </div>
  );
}

function Verdict({ shown, description }: { shown: Shown | undefined; description: ModelDescription | undefined }) {
  const threshold = description ? defaultThreshold(description.labels.length, description.threshold) : 0.5;
  const [top] = shown?.answers ?? [];
  const verdict = !shown ? "" : shown.unknown ? text.try.unknown : top.score < threshold ? text.try.unsure : top.label;
  const spoken = useSettled(verdict);
  return (
    <section class="card answer" aria-label={text.try.answer} hidden={!shown}>
      <p class={`big verdict${shown?.unknown ? " unknown" : ""}`}>{verdict}</p>
      <p class="note">{shown?.unknown ? text.try.unknownHint : ""}</p>
      <ol class="answers">
        {shown?.answers.map((answer) => (
          <li key={answer.label} class={shown.unknown || answer.score < threshold ? "below" : ""}>
            <span class="label" dir="auto">
              {answer.label}
            </span>
            <span class="score">{percent(answer.score, 1)}</span>
            <span class="meter">
              <span style={{ transform: `scaleX(${Math.max(0, Math.min(1, answer.score))})` }} />
            </span>
          </li>
        ))}
      </ol>
      <p class="note">{shown && text.try.timing(shown.inference, shown.rate)}</p>
      <p class="unseen" role="status">
        {spoken}
      </p>
    </section>
  );
}

/** A text once it has lasted long enough to be worth telling a screen reader. */
function useSettled(current: string): string {
  const [settled, setSettled] = useState("");
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(current), 1200);
    return () => window.clearTimeout(timer);
  }, [current]);
  return settled;
}

function useScorer(form: string): { scorer?: Scorer; description?: ModelDescription } {
  const [opened, setOpened] = useState<{ scorer?: Scorer; description?: ModelDescription }>({});
  useEffect(() => {
    const scorer = new Scorer();
    let current = true;
    setOpened({});
    scorer.open(modelUrl(form)).then(
      (description) => current && setOpened({ scorer, description }),
      (error) => current && complain(error),
    );
    return () => {
      current = false;
      scorer.close();
    };
  }, [form]);
  return opened;
}

/** Calls `use` with keys that no field wants; it returns whether it has used the key. */
function useKeys(use: (key: string) => boolean): void {
  const newest = useRef(use);
  newest.current = use;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return;
      if (event.key === " " && target.matches("button, a, summary")) return;
      if (newest.current(event.key)) event.preventDefault();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
}

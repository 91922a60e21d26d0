/** Records photos of a class with the camera while a button, or the space bar, is held. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Camera, isFrontCamera } from "../src/camera";
import { centralSquare } from "../src/live";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { complain, project } from "./store";
import { text } from "../text";
import { toJpeg } from "./jpeg";
import { enqueue, newBatch, progress } from "./upload";
import { shownClass } from "./view";

const EVERY_MS = 150;
const MOST_WAITING = 12; // frames are skipped while the server has so many before it

export function RecordDialog({ onClose }: { onClose(): void }) {
  const names = project.value!.classes.map((each) => each.name);
  const [label, setLabel] = useState(shownClass.value ?? names[0] ?? "");
  const [ready, setReady] = useState(false);
  const [mirrored, setMirrored] = useState(false);
  const [holding, setHolding] = useState(false);
  const [taken, setTaken] = useState(0);
  const video = useRef<HTMLVideoElement>(null);
  const camera = useRef<Camera>();

  const started = () => {
    setReady(true);
    setMirrored(isFrontCamera(video.current!));
  };
  useEffect(() => {
    camera.current = new Camera(video.current!, () => setReady(false));
    camera.current.start().then(started, (error) => {
      complain(error);
      onClose();
    });
    return () => camera.current!.stop();
  }, []);

  useEffect(() => {
    if (!holding || !ready || !label.trim()) return;
    let busy = false;
    const batch = newBatch();
    const snap = async () => {
      const waiting = progress.value ? progress.value.all - progress.value.done : 0;
      if (busy || waiting >= MOST_WAITING) return;
      busy = true;
      try {
        const content = await toJpeg(await centralSquare(video.current!));
        enqueue([{ content, name: `camera-${Date.now()}.jpg`, label: label.trim() }], batch, false);
        setTaken((count) => count + 1);
      } catch (error) {
        complain(error);
      } finally {
        busy = false;
      }
    };
    void snap();
    const timer = window.setInterval(() => void snap(), EVERY_MS);
    return () => window.clearInterval(timer);
  }, [holding, ready, label]);

  const release = () => setHolding(false);
  return (
    <Dialog title={text.record.title} onClose={onClose}>
      <div class="record">
        <label class="field">
          <span>{text.record.into}</span>
          <input
            list="class-names"
            value={label}
            maxLength={100}
            placeholder={text.photo.newClass}
            onInput={(event) => setLabel(event.currentTarget.value)}
          />
          <datalist id="class-names">
            {names.map((name) => (
              <option value={name} />
            ))}
          </datalist>
        </label>
        <div class={`stage${holding ? " live" : ""}`}>
          <video ref={video} class={mirrored ? "mirrored" : ""} playsInline muted aria-label={text.record.preview} />
          {!ready && <p class="stage-hint">{text.record.starting}</p>}
        </div>
        <button
          type="button"
          id="hold"
          class={`main hold${holding ? " active" : ""}`}
          disabled={!ready || !label.trim()}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setHolding(true);
          }}
          onPointerUp={release}
          onPointerCancel={release}
          onContextMenu={(event) => event.preventDefault()}
          onKeyDown={(event) => {
            if (event.key !== " " && event.key !== "Enter") return;
            event.preventDefault();
            setHolding(true);
          }}
          onKeyUp={release}
          onBlur={release}
        >
          <Icon name="record" /> {holding ? text.record.holding : text.record.hold}
        </button>
        <p class="note" role="status">
          {taken ? text.record.taken(taken) : text.record.hint}
        </p>
        {camera.current?.switchable && (
          <button type="button" class="plain" onClick={() => void camera.current!.next().then(started, complain)}>
            {text.record.switch}
          </button>
        )}
      </div>
    </Dialog>
  );
}

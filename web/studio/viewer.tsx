/** One photo, large, with its neighbors one key away. */
import { useState } from "preact/hooks";
import { photoUrl } from "./api";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { moveTo } from "./actions";
import { photoByPath, project } from "./store";
import { text } from "../text";

export interface ViewerProps {
  readonly paths: readonly string[];
  readonly start: number;
  /** What to say of a photo, such as a wrong answer. */
  caption?(path: string): string | undefined;
  onClose(): void;
}

export function Viewer({ paths, start, caption, onClose }: ViewerProps) {
  const [at, setAt] = useState(start);
  const path = paths[Math.min(at, paths.length - 1)];
  const photo = photoByPath.value.get(path);
  const turn = (by: number) => setAt(Math.max(0, Math.min(paths.length - 1, at + by)));
  const others = project.value!.classes.filter((each) => each.name !== photo?.label);
  return (
    <Dialog
      title={path}
      wide
      onClose={onClose}
      onKeyDown={(event) => {
        if ((event.target as HTMLElement).tagName === "SELECT") return;
        if (event.key === "ArrowLeft") turn(-1);
        if (event.key === "ArrowRight") turn(1);
      }}
    >
      <div class="viewer">
        {photo ? <img src={`${photoUrl(path)}?v=${encodeURIComponent(photo.stamp)}`} alt={path} /> : <p class="note">{text.photo.gone}</p>}
      </div>
      <div class="viewer-bar">
        <button type="button" class="icon-button" aria-label={text.photo.previous} disabled={at <= 0} onClick={() => turn(-1)}>
          <Icon name="previous" />
        </button>
        <span class="note">{text.photo.of(at + 1, paths.length)}</span>
        <button type="button" class="icon-button" aria-label={text.photo.next} disabled={at >= paths.length - 1} onClick={() => turn(1)}>
          <Icon name="next" />
        </button>
        <span class="viewer-caption">{caption?.(path)}</span>
        {photo && (
          <select
            aria-label={text.photo.move}
            value=""
            onChange={(event) => {
              void moveTo([path], event.currentTarget.value);
              event.currentTarget.value = "";
            }}
          >
            <option value="">{text.photo.move}</option>
            {others.map((each) => (
              <option value={each.name}>{each.name}</option>
            ))}
          </select>
        )}
      </div>
    </Dialog>
  );
}

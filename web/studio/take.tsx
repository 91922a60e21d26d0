/** Step 6: files to download, and ways to a Pi, a phone, a web server, a camera system, a microcontroller. */
import { computed } from "@preact/signals";
import { useState } from "preact/hooks";
import { recall } from "../src/settings";
import { modelUrl, takeUrl, type Taken } from "./api";
import { Deploy } from "./deploy";
import { Icon, type IconName } from "./icons";
import { JobProgress, runningOf } from "./job-bar";
import { PhoneDialog } from "./phone";
import { latestDone, resultOf } from "./results";
import { jobs, project, running, startJob } from "./store";
import { bytes, text } from "../text";
import { NeedsModel } from "./try";

export const CHOSEN_FORM_KEY = "poets_edge studio form";

const ICONS: Record<string, IconName> = {
  web: "web",
  apk: "phone",
  android: "file",
  frigate: "home",
  firmware: "chip",
  coreml: "phone",
  onnx: "file",
};

/** Downloads that were prepared since the last training, by form; older ones are of another model. */
const prepared = computed(() => {
  const training = jobs.value.indexOf(latestDone("train")!);
  const newer = jobs.value.filter((job, index) => job.kind === "take" && (training < 0 || index < training));
  const results = newer.map((job) => resultOf<Taken>(job)).filter((result) => result !== undefined);
  return new Map(results.reverse().map((result) => [result.form, result]));
});

export function TakeStep() {
  const { model } = project.value!;
  const training = runningOf("train");
  return (
    <div class="step">
      <h1>{text.take.title}</h1>
      <p class="note lead-line">{text.take.lead}</p>
      {training && <JobProgress job={training} />}
      {model ? <Ways /> : !training && <NeedsModel />}
    </div>
  );
}

function Ways() {
  const { model, takes } = project.value!;
  const targets = takes.filter(({ form }) => form in text.take.target);
  const more = takes.filter(({ form }) => form in text.take.use && !model!.files.some((file) => file.form === form));
  const preparing = runningOf("take");
  const chosen = recall(CHOSEN_FORM_KEY);
  const [phone, setPhone] = useState(false);
  return (
    <>
      <section aria-label={text.take.files}>
        <h2>{text.take.files}</h2>
        <ul class="files">
          {model!.files.map((file) => (
            <li class={`card file${file.form === chosen ? " chosen" : ""}`}>
              <div>
                <strong>{file.form}</strong> {file.form === chosen && <span class="tag">{text.take.chosen}</span>}
                <p class="note">{text.take.use[file.form] ?? ""}</p>
                <p class="figures">
                  {bytes(file.bytes)}
                  {file.accuracy !== null && <span class="good">{text.take.verified(file.accuracy, model!.tested)}</span>}
                </p>
              </div>
              <a class="button main" href={modelUrl(file.form)} download={`${project.value!.name}-${file.form}.tflite`}>
                <Icon name="take" /> {text.take.download} <span class="unseen">{file.form}</span>
              </a>
            </li>
          ))}
          {more.map(({ form }) => (
            <Prepared key={form} form={form} title={form} hint={text.take.use[form] ?? ""} />
          ))}
        </ul>
      </section>
      {preparing && <JobProgress job={preparing} />}
      <section aria-label={text.take.targets}>
        <h2>{text.take.targets}</h2>
        <ul class="files">
          {targets.map(({ form, missing }) => {
            const [title, hint] = text.take.target[form];
            return <Prepared key={form} form={form} title={title} hint={hint} icon={ICONS[form]} missing={missing} />;
          })}
          <li class="card file">
            <div>
              <strong>
                <Icon name="phone" /> {text.take.phone}
              </strong>
              <p class="note">{text.take.phoneHint}</p>
            </div>
            <button type="button" class="second" onClick={() => setPhone(true)}>
              {text.take.qr}
            </button>
          </li>
        </ul>
      </section>
      <Deploy />
      {phone && <PhoneDialog step="try" onClose={() => setPhone(false)} />}
    </>
  );
}

interface PreparedProps {
  readonly form: string;
  readonly title: string;
  readonly hint: string;
  readonly icon?: IconName;
  /** Why the form is not available on this computer, or "". */
  readonly missing?: string;
}

/** A form that is prepared when it is asked for. */
function Prepared({ form, title, hint, icon, missing = "" }: PreparedProps) {
  const { boards, model } = project.value!;
  const [board, setBoard] = useState(prepared.value.get(form)?.board || boards[0][0]);
  const found = prepared.value.get(form);
  const ready = found && (form !== "firmware" || found.board === board) ? found : undefined;
  return (
    <li class="card file" data-target={form}>
      <div>
        <strong>
          {icon && <Icon name={icon} />} {title}
        </strong>
        <p class="note">{hint}</p>
        {missing && <p class="note warning">{missing}</p>}
        {form === "firmware" && !missing && (
          <select aria-label={text.take.board} value={board} onChange={(event) => setBoard(event.currentTarget.value)}>
            {boards.map(([name, title]) => (
              <option value={name}>{title}</option>
            ))}
          </select>
        )}
        {ready && (
          <p class="figures">
            {bytes(ready.bytes)}
            {ready.accuracy !== null && <span class="good">{text.take.verified(ready.accuracy, model!.tested)}</span>}
            <span>{ready.text}</span>
          </p>
        )}
      </div>
      {ready ? (
        <a class="button main" href={takeUrl(form)} download={ready.name}>
          <Icon name="take" /> {text.take.download} <span class="unseen">{title}</span>
        </a>
      ) : (
        <button type="button" class="second" disabled={Boolean(missing || running.value)} onClick={() => void startJob("take", form === "firmware" ? { form, board } : { form })}>
          {text.take.prepare} <span class="unseen">{title}</span>
        </button>
      )}
    </li>
  );
}

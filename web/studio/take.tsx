/** Step 6: files to download, and ways to a Pi, a phone, a web server, a camera system, a microcontroller. */
import { effect, signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { recall } from "../src/settings";
import { type Deployed, type Job, modelUrl, takeUrl, type Taken } from "./api";
import { Icon, type IconName } from "./icons";
import { JobProgress, runningOf } from "./job-bar";
import { PhoneDialog } from "./phone";
import { complain, jobResult, latest, project, running, startJob } from "./store";
import { bytes, percent, text } from "../text";
import { NeedsModel } from "./try";

export const CHOSEN_FORM_KEY = "poets_edge studio form";

const ICONS: Record<string, IconName> = { web: "web", android: "phone", frigate: "home", firmware: "chip" };

/** Files made for other places, by form; they hold for the model they were made from. */
const taken = signal<ReadonlyMap<string, Taken>>(new Map());
const asked = signal<ReadonlyMap<Job["id"], string>>(new Map());
const deployed = signal<Deployed | undefined>(undefined);

const read = new Set<Job["id"]>();
effect(() => {
  const job = latest("take");
  if (job?.state !== "done" || read.has(job.id)) return;
  read.add(job.id);
  jobResult<Taken>(job).then((result) => {
    const form = result.form ?? asked.value.get(job.id);
    if (form) taken.value = new Map([...taken.value, [form, result]]);
  }, complain);
});
effect(() => {
  const job = latest("deploy");
  if (job?.state !== "done" || read.has(job.id)) return;
  read.add(job.id);
  jobResult<Deployed>(job).then((result) => (deployed.value = result), complain);
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
  const { model, takes = ["web"] } = project.value!;
  const targets = takes.filter((form) => form in text.take.target);
  const more = takes.filter((form) => !(form in text.take.target) && !model!.files.some((file) => file.form === form));
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
                  {file.accuracy !== null && <span class="good">{text.take.verified(file.accuracy)}</span>}
                </p>
              </div>
              <a class="button main" href={modelUrl(file.form)} download={`${project.value!.name}-${file.form}.tflite`}>
                <Icon name="take" /> {text.take.download} <span class="unseen">{file.form}</span>
              </a>
            </li>
          ))}
          {more.map((form) => (
            <Prepared key={form} form={form} title={form} hint={text.take.use[form] ?? ""} />
          ))}
        </ul>
      </section>
      {preparing && <JobProgress job={preparing} />}
      <section aria-label={text.take.targets}>
        <h2>{text.take.targets}</h2>
        <ul class="files">
          {targets.map((form) => {
            const [title, hint] = text.take.target[form];
            return <Prepared key={form} form={form} title={title} hint={hint} icon={ICONS[form]} />;
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
      {phone && <PhoneDialog onClose={() => setPhone(false)} />}
    </>
  );
}

interface PreparedProps {
  readonly form: string;
  readonly title: string;
  readonly hint: string;
  readonly icon?: IconName;
}

/** A form that is prepared when it is asked for. */
function Prepared({ form, title, hint, icon }: PreparedProps) {
  const ready = taken.value.get(form);
  const prepare = async () => {
    if (!(await startJob("take", { form }))) return;
    const job = latest("take");
    if (job) asked.value = new Map([...asked.value, [job.id, form]]);
  };
  return (
    <li class="card file" data-target={form}>
      <div>
        <strong>
          {icon && <Icon name={icon} />} {title}
        </strong>
        <p class="note">{ready?.text ?? hint}</p>
        {ready && (
          <p class="figures">
            {ready.bytes !== undefined && bytes(ready.bytes)}
            {ready.accuracy != null && <span class="good">{text.take.verified(ready.accuracy)}</span>}
          </p>
        )}
      </div>
      {ready ? (
        <a class="button main" href={takeUrl(form)} download={ready.name ?? ""}>
          <Icon name="take" /> {text.take.download} <span class="unseen">{title}</span>
        </a>
      ) : (
        <button type="button" class="second" disabled={Boolean(running.value)} onClick={() => void prepare()}>
          {text.take.prepare} <span class="unseen">{title}</span>
        </button>
      )}
    </li>
  );
}

function Deploy() {
  const [host, setHost] = useState("");
  const [password, setPassword] = useState("");
  const [source, setSource] = useState("");
  const job = runningOf("deploy");
  const result = deployed.value;
  const start = () => {
    deployed.value = undefined;
    void startJob("deploy", { host: host.trim(), password: password || null, source: source.trim() || null }).then(() => setPassword(""));
  };
  return (
    <section class="card deploy" aria-label={text.take.pi}>
      <h2>
        <Icon name="pi" /> {text.take.pi}
      </h2>
      <p class="note">{text.take.piHint}</p>
      <form
        class="deploy-form"
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
      >
        <label class="field">
          <span>{text.take.host}</span>
          <input id="host" value={host} required placeholder="pi@raspberrypi.local" onInput={(event) => setHost(event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>{text.take.password}</span>
          <input
            type="password"
            value={password}
            autocomplete="off"
            aria-describedby="password-hint"
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
          <span class="note" id="password-hint">
            {text.take.passwordHint}
          </span>
        </label>
        <label class="field">
          <span>{text.take.source}</span>
          <input
            id="source"
            value={source}
            aria-describedby="source-hint"
            onInput={(event) => setSource(event.currentTarget.value)}
          />
          <span class="note" id="source-hint">
            {text.take.sourceHint}
          </span>
        </label>
        <button type="submit" class="main" id="deploy" disabled={Boolean(running.value)}>
          {text.take.deploy}
        </button>
      </form>
      {job && <JobProgress job={job} />}
      {result && (
        <div class="deployed" role="status">
          {result.text && <p>{result.text}</p>}
          {result.lines && result.lines.length > 0 && <pre>{result.lines.join("\n")}</pre>}
          {result.labels && result.labels.length > 0 && (
            <>
              <h3>{text.take.firstLabels}</h3>
              <ol class="lines">
                {result.labels.map(([label, score]) => (
                  <li>
                    {label} <span class="note">{percent(score, 1)}</span>
                  </li>
                ))}
              </ol>
            </>
          )}
        </div>
      )}
    </section>
  );
}

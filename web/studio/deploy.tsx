/** Deployment of the model to a device, over SSH; with Home Assistant, if wanted. */
import { useState } from "preact/hooks";
import { text } from "../text";
import type { Deployed } from "./api";
import { Icon } from "./icons";
import { JobProgress, runningOf } from "./job-bar";
import { resultOf } from "./results";
import { latest, project, running, startJob } from "./store";

const FORM = "int8"; // the file that is deployed
const EMPTY = { host: "", password: "", source: "", mqtt: "", mqtt_login: "", mqtt_name: "" };
type Field = keyof typeof EMPTY;

export function Deploy() {
  const [values, setValues] = useState(EMPTY);
  const job = runningOf("deploy");
  const result = resultOf<Deployed>(latest("deploy"));
  const model = project.value!.model!;
  const file = model.files.find(({ form }) => form === FORM);
  const field = (name: Field, options: { hint?: string; placeholder?: string; secret?: boolean; required?: boolean } = {}) => (
    <label class="field">
      <span>{text.deploy[name]}</span>
      <input
        id={name}
        type={options.secret ? "password" : "text"}
        autocomplete="off"
        value={values[name]}
        required={options.required}
        placeholder={options.placeholder}
        aria-describedby={options.hint && `${name}-hint`}
        onInput={(event) => setValues({ ...values, [name]: event.currentTarget.value })}
      />
      {options.hint && (
        <span class="note" id={`${name}-hint`}>
          {options.hint}
        </span>
      )}
    </label>
  );
  const start = () => {
    const given = Object.entries(values).map(([name, value]) => [name, name === "password" ? value : value.trim()]);
    void startJob("deploy", Object.fromEntries(given.filter(([, value]) => value))).then(() =>
      setValues((before) => ({ ...before, password: "", mqtt_login: "" })),
    );
  };
  return (
    <section class="card deploy" aria-label={text.deploy.title}>
      <h2>
        <Icon name="pi" /> {text.deploy.title}
      </h2>
      <p class="note">{text.deploy.lead}</p>
      {file && file.accuracy !== null && (
        <p class="figures">
          {FORM} <span class="good">{text.take.verified(file.accuracy, model.tested)}</span>
        </p>
      )}
      <form
        class="deploy-form"
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
      >
        {field("host", { placeholder: "pi@raspberrypi.local", required: true })}
        {field("password", { hint: text.deploy.passwordHint, secret: true })}
        {field("source", { hint: text.deploy.sourceHint })}
        <details class="home-assistant">
          <summary>{text.deploy.home}</summary>
          <p class="note">{text.deploy.homeHint}</p>
          <div class="deploy-form">
            {field("mqtt", { placeholder: "mqtt://homeassistant.local" })}
            {field("mqtt_login", { hint: text.deploy.loginHint, secret: true })}
            {field("mqtt_name", { hint: text.deploy.nameHint })}
          </div>
        </details>
        <button type="submit" class="main" id="deploy" disabled={Boolean(running.value)}>
          {text.deploy.start}
        </button>
      </form>
      {job && <JobProgress job={job} />}
      {result && (
        <div class="deployed" role="status">
          <p>{result.text}</p>
          {result.lines.length > 0 && (
            <>
              <h3>{text.deploy.firstLabels}</h3>
              <pre>{result.lines.join("\n")}</pre>
            </>
          )}
        </div>
      )}
    </section>
  );
}

/** Step 5: networks and forms as a live chart of accuracy over latency, with limits that are dragged. */
import { useState } from "preact/hooks";
import { remember } from "../src/settings";
import type { GridPoint, GridResult } from "./api";
import { bestWithin, fits, hueOf, type Limits, nameOf } from "./grid-choice";
import { Icon } from "./icons";
import { JobProgress, runningOf } from "./job-bar";
import { latestDone, resultOf } from "./results";
import { Scatter } from "./scatter";
import { go, running, startJob, trainable } from "./store";
import { CHOSEN_FORM_KEY } from "./take";
import { bytes, milliseconds, percent, text } from "../text";
import { Warnings } from "./warnings";

export function ChooseStep() {
  const job = runningOf("grid");
  const compared = latestDone("grid");
  const result = resultOf<GridResult>(compared);
  return (
    <div class="step">
      <h1>{text.choose.title}</h1>
      <p class="note lead-line">{text.choose.lead}</p>
      {job ? <JobProgress job={job} /> : <Start again={compared !== undefined} />}
      {result && <Choice result={result} key={compared!.id} />}
    </div>
  );
}

function Start({ again }: { again: boolean }) {
  const [remote, setRemote] = useState(false);
  const [host, setHost] = useState("");
  return (
    <form
      class="grid-form"
      onSubmit={(event) => {
        event.preventDefault();
        void startJob("grid", remote && host.trim() ? { on: host.trim() } : {});
      }}
    >
      <fieldset class="segments">
        <legend>{text.choose.on}</legend>
        <label>
          <input type="radio" name="device" checked={!remote} onChange={() => setRemote(false)} />
          <span>{text.choose.here}</span>
        </label>
        <label>
          <input type="radio" name="device" checked={remote} onChange={() => setRemote(true)} />
          <span>{text.choose.pi}</span>
        </label>
      </fieldset>
      {remote && (
        <label class="field">
          <span>{text.choose.host}</span>
          <input value={host} placeholder="pi@raspberrypi.local" required onInput={(event) => setHost(event.currentTarget.value)} />
          <span class="note">{text.choose.hostHint}</span>
        </label>
      )}
      <div class="button-row">
        <button type="submit" class={again ? "second" : "main"} disabled={!trainable.value || Boolean(running.value)}>
          <Icon name="choose" /> {again ? text.choose.again : text.choose.start}
        </button>
        {!trainable.value && <span class="note">{text.choose.need}</span>}
      </div>
    </form>
  );
}

function Choice({ result }: { result: GridResult }) {
  const [limits, setLimits] = useState<Limits>({ latency: Infinity, accuracy: 0 });
  const [picked, setPicked] = useState<GridPoint | undefined>();
  const { points } = result;
  const unlimited = limits.latency === Infinity && limits.accuracy === 0;
  const recommended = unlimited ? (points.find((point) => point.ship) ?? bestWithin(points, limits)) : bestWithin(points, limits);
  const chosen = picked && fits(picked, limits) ? picked : recommended;
  const reason = chosen === undefined ? "" : reasonFor(chosen, picked, recommended, unlimited ? result.reason : "");
  return (
    <>
      <section class="card ship" aria-label={text.choose.ship}>
        {chosen ? (
          <>
            <div>
              <h2>{nameOf(chosen)}</h2>
              <p role="status">{reason}</p>
            </div>
            <button type="button" class="main" id="ship" disabled={Boolean(running.value)} onClick={() => void ship(chosen)}>
              <Icon name="take" /> {text.choose.ship}
            </button>
          </>
        ) : (
          <p role="status">{text.choose.nothing}</p>
        )}
      </section>
      <section class="card" aria-label={text.choose.chart}>
        <Scatter points={points} limits={limits} chosen={chosen} onLimits={setLimits} onPick={setPicked} />
        <ul class="legend">
          {[...new Set(points.map((point) => point.architecture))].map((name) => (
            <li>
              <i style={{ "--hue": hueOf(name, points) }} /> {name}
            </li>
          ))}
        </ul>
        <Warnings lines={result.warnings} />
      </section>
      <details class="card">
        <summary>{text.choose.table}</summary>
        <div class="scroll" tabIndex={0} role="group" aria-label={text.choose.table}>
          <table>
            <thead>
              <tr>
                {text.choose.columns.map((name) => (
                  <th scope="col">{name}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...points]
                .sort((a, b) => b.accuracy - a.accuracy)
                .map((point) => (
                  <tr class={point === chosen ? "chosen" : ""}>
                    <th scope="row">{point.architecture}</th>
                    <td>{point.form}</td>
                    <td>{percent(point.accuracy, 1)}</td>
                    <td>{point.interval.map((share) => percent(share)).join(" – ")}</td>
                    <td>{milliseconds(point.latency_ms)}</td>
                    <td>{bytes(point.bytes)}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

function reasonFor(chosen: GridPoint, picked: GridPoint | undefined, recommended: GridPoint | undefined, stated: string): string {
  if (chosen === recommended && stated) return stated;
  const rank = chosen === picked && chosen !== recommended ? text.choose.own : text.choose.mostAccurate;
  return text.choose.because(chosen.accuracy, chosen.latency_ms, rank);
}

/** Trains the network that was chosen, and opens the last step with its form marked. */
async function ship(point: GridPoint): Promise<void> {
  remember(CHOSEN_FORM_KEY, point.form);
  if (await startJob("train", { architecture: point.architecture })) go("take");
}

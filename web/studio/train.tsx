/** Step 3: one button, three choices, a live curve, and the result in words. */
import { useEffect, useState } from "preact/hooks";
import { recall, remember } from "../src/settings";
import { get, type Model, type Prediction, thumbUrl } from "./api";
import { Confusion } from "./confusion";
import { Curve } from "./curve";
import { audit } from "./findings";
import { Icon } from "./icons";
import { JobProgress, runningOf } from "./job-bar";
import { complain, curve, go, photoByPath, project, running, startJob, trainable } from "./store";
import { dateAndTime, percent, text } from "../text";
import { show } from "./view";
import { Viewer } from "./viewer";
import { Warnings } from "./warnings";

const CHOICES = ["quick", "balanced", "best"] as const;
type Choice = (typeof CHOICES)[number] | "network";
const CHOICE_KEY = "poets_edge studio choice";

export function TrainStep() {
  const job = runningOf("train");
  const { model, needs_training } = project.value!;
  return (
    <div class="step">
      <h1>{text.train.title}</h1>
      <p class="note lead-line">{text.train.lead}</p>
      {job ? (
        <>
          <JobProgress job={job} />
          <section class="card" aria-label={text.train.curve}>
            <h2>{text.train.curve}</h2>
            {curve.value.length > 1 ? <Curve points={curve.value} /> : <p class="note">{text.train.preparing}</p>}
          </section>
        </>
      ) : (
        <Choices trained={model !== null} />
      )}
      {model && !job && <Result model={model} stale={needs_training} />}
    </div>
  );
}

function Choices({ trained }: { trained: boolean }) {
  const [choice, setChoice] = useState<Choice>((recall(CHOICE_KEY) as Choice | null) ?? "quick");
  const [network, setNetwork] = useState("");
  const names = project.value!.architectures ?? [];
  const choices: readonly Choice[] = names.length ? [...CHOICES, "network"] : CHOICES;
  const chosen = choices.includes(choice) ? choice : "quick";
  const start = () => {
    remember(CHOICE_KEY, chosen);
    void startJob("train", chosen === "network" ? { architecture: network || names[0] } : { choice: chosen });
  };
  return (
    <form
      class="choices"
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <fieldset>
        <legend class="unseen">{text.train.choices}</legend>
        {choices.map((each) => (
          <label class={`choice${chosen === each ? " chosen" : ""}`}>
            <input type="radio" name="choice" value={each} checked={chosen === each} onChange={() => setChoice(each)} />
            <strong>{text.train.choice[each]}</strong>
            <span class="note">{text.train.choiceHint[each]}</span>
            {each === "network" && chosen === "network" && (
              <select aria-label={text.train.network} value={network || names[0]} onChange={(event) => setNetwork(event.currentTarget.value)}>
                {names.map((name) => (
                  <option value={name}>{name}</option>
                ))}
              </select>
            )}
          </label>
        ))}
      </fieldset>
      <div class="button-row">
        <button type="submit" class="main" id="train" disabled={!trainable.value || Boolean(running.value)}>
          <Icon name="train" /> {trained ? text.train.again : text.train.start}
        </button>
        {!trainable.value && <span class="note">{text.train.need}</span>}
      </div>
    </form>
  );
}

function Result({ model, stale }: { model: Model; stale: boolean }) {
  const predictions = usePredictions(model);
  const [viewed, setViewed] = useState<{ paths: string[]; start: number } | undefined>();
  const byPath = new Map(predictions.map((each) => [each.path, each]));
  const changes = model.changes ?? [];
  const changed = new Map(changes.map((each) => [each.path, each]));
  const caption = (path: string) => {
    const change = changed.get(path);
    if (change) return text.train.change(change.before, change.after);
    const found = byPath.get(path);
    return found && text.train.answered(found.predicted, found.score);
  };
  const inCell = (label: string, predicted: string) =>
    predictions.filter((each) => each.label === label && each.predicted === predicted).map((each) => each.path);
  return (
    <>
      {stale && (
        <p class="hint" role="status">
          <Icon name="warning" /> {text.train.stale}
        </p>
      )}
      <section class="card result" aria-label={text.train.result}>
        {model.accuracy !== null && (
          <p class="big">
            <strong>{percent(model.accuracy, 1)}</strong> {text.train.correct}
          </p>
        )}
        <p>{model.words}</p>
        {model.accuracy !== null && model.interval && <Interval accuracy={model.accuracy} interval={model.interval} />}
        <p class="note">
          {text.train.trained(model.architecture, dateAndTime(model.trained))}
        </p>
        <Warnings lines={model.warnings} />
        <div class="button-row">
          <button type="button" class="main" onClick={() => go("try")}>
            <Icon name="try" /> {text.train.tryNext}
          </button>
        </div>
      </section>
      <div class="columns">
        <section class="card" aria-label={text.train.confusion}>
          <h2>{text.train.confusion}</h2>
          <p class="note">{text.train.confusionHint}</p>
          <Confusion
            confusion={model.confusion}
            openable={(label, predicted) => inCell(label, predicted).length > 0}
            onOpen={(label, predicted) => setViewed({ paths: inCell(label, predicted), start: 0 })}
          />
        </section>
        <div class="stack">
          <MorePhotos advice={model.more_photos} />
          <section class="card" aria-label={text.train.changes} hidden={model.changes === null}>
            <h2>
              {text.train.changes} {changes.length > 0 && <span class="number">{changes.length}</span>}
            </h2>
            <p class="note">{changes.length ? text.train.changesHint : text.train.noChanges}</p>
            <ul class="changes">
              {changes.slice(0, 60).map((each, index) => (
                <li>
                  <button
                    type="button"
                    class="change"
                    onClick={() => setViewed({ paths: changes.map((one) => one.path), start: index })}
                  >
                    <img src={thumbUrl(each.path, photoByPath.value.get(each.path)?.stamp ?? 0)} alt="" loading="lazy" decoding="async" />
                    <span>
                      {each.path}
                      <span class="note">{text.train.change(each.before, each.after)}</span>
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          </section>
        </div>
      </div>
      {viewed && <Viewer paths={viewed.paths} start={viewed.start} caption={caption} onClose={() => setViewed(undefined)} />}
    </>
  );
}

/** Whether more photos would help: an estimate of the latest check, and the class that the model recognizes worst. */
function MorePhotos({ advice }: { advice: Model["more_photos"] }) {
  const estimate = audit.value?.more_photos;
  const label = advice?.class;
  return (
    <section class="card more-photos" aria-label={text.train.more}>
      <h2>{text.train.more}</h2>
      <p>{estimate || text.train.moreUnknown}</p>
      {advice && <p>{advice.text}</p>}
      <div class="button-row">
        {!estimate && (
          <button type="button" class="second" onClick={() => go("check")}>
            <Icon name="check" /> {text.train.toCheck}
          </button>
        )}
        {label && (
          <button
            type="button"
            class="second"
            onClick={() => {
              show(label);
              go("photos");
            }}
          >
            <Icon name="add" /> {text.train.photograph(label)}
          </button>
        )}
      </div>
    </section>
  );
}

function Interval({ accuracy, interval: [low, high] }: { accuracy: number; interval: readonly [number, number] }) {
  return (
    <div class="interval" aria-hidden="true">
      <span class="interval-band" style={{ left: `${100 * low}%`, width: `${100 * (high - low)}%` }} />
      <span class="interval-mark" style={{ left: `${100 * accuracy}%` }} />
    </div>
  );
}

/** Predictions for the photos that the model was evaluated on, the least certain first. */
function usePredictions(model: Model): readonly Prediction[] {
  const [predictions, setPredictions] = useState<readonly Prediction[]>([]);
  useEffect(() => {
    get<[string, string, string, number][]>("/api/model/predictions").then(
      (found) =>
        setPredictions(
          found
            .map(([path, label, predicted, score]) => ({ path, label, predicted, score }))
            .sort((a, b) => (a.label === a.predicted ? a.score - b.score : b.score - a.score)),
        ),
      complain,
    );
  }, [model.trained]);
  return predictions;
}

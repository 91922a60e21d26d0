/** The job that is running: what it does, how far it is, and a way to cancel it. */
import { cancelJob, go, running, type Step } from "./store";
import type { Job, JobKind } from "./api";
import { text } from "../text";

const STEP_OF: Record<JobKind, Step> = { audit: "check", train: "train", grid: "choose", deploy: "take", take: "take" };

/** In the header, on every step. */
export function JobBar() {
  const job = running.value;
  if (!job) return <div class="job-bar" />;
  return (
    <div class="job-bar">
      <button type="button" class="job-pill" onClick={() => go(STEP_OF[job.kind])}>
        <span class="spinner" />
        {text.job[job.kind]}
        {job.fraction !== null && <span class="note">{Math.floor(100 * job.fraction)} %</span>}
      </button>
    </div>
  );
}

/** In the step that has started the job. */
export function JobProgress({ job }: { job: Job }) {
  return (
    <div class="card job" data-job={job.kind}>
      <div class="job-line">
        <strong>{text.job[job.kind]}</strong>
        <span class="note">{job.text}</span>
        <span class="note job-left">{job.seconds_left !== null && text.job.left(job.seconds_left)}</span>
        <button type="button" class="second" onClick={() => void cancelJob(job)}>
          {text.cancel}
        </button>
      </div>
      <progress aria-label={text.job[job.kind]} {...(job.fraction === null ? {} : { value: job.fraction })} />
    </div>
  );
}

/** The running job if it is of this kind. */
export function runningOf(kind: JobKind): Job | undefined {
  return running.value?.kind === kind ? running.value : undefined;
}

/** Accuracy over training steps, drawn while they happen. */
import type { CurvePoint } from "./api";
import { percent, text } from "../text";

const WIDTH = 680;
const HEIGHT = 260;
const LEFT = 52;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 30;

export function Curve({ points }: { points: readonly CurvePoint[] }) {
  const last = points[points.length - 1];
  const lowest = Math.min(...points.map(([, training, validation]) => Math.min(training, validation)));
  const floor = Math.min(0.9, Math.floor(lowest * 10) / 10);
  const x = (step: number) => LEFT + ((WIDTH - LEFT - RIGHT) * step) / Math.max(1, last[0]);
  const y = (share: number) => TOP + ((HEIGHT - TOP - BOTTOM) * (1 - share)) / (1 - floor);
  const line = (of: 1 | 2) => points.map((point) => `${x(point[0]).toFixed(1)},${y(point[of]).toFixed(1)}`).join(" ");
  const ticks = [0, 1, 2, 3, 4].map((index) => floor + ((1 - floor) * index) / 4);
  return (
    <figure class="plot">
      <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={text.train.now(last[1], last[2])}>
        {ticks.map((tick) => (
          <>
            <line class="grid-line" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
            <text x={LEFT - 8} y={y(tick) + 4} text-anchor="end">
              {percent(tick)}
            </text>
          </>
        ))}
        <text x={WIDTH - RIGHT} y={HEIGHT - 8} text-anchor="end">
          {text.train.curveSteps} {last[0]}
        </text>
        <polyline class="faint" points={line(1)} />
        <polyline class="main" points={line(2)} />
      </svg>
      <figcaption class="legend">
        <span class="key-main">
          {text.train.validation} <b>{percent(last[2], 1)}</b>
        </span>
        <span class="key-faint">
          {text.train.training} <b>{percent(last[1], 1)}</b>
        </span>
      </figcaption>
    </figure>
  );
}

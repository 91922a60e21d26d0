/** Accuracy over latency as a chart, with two limits that are dragged or moved by arrow keys. */
import { useRef } from "preact/hooks";
import type { GridPoint } from "./api";
import { fits, hueOf, type Limits } from "./grid-choice";
import { milliseconds, percent, text } from "../text";

const WIDTH = 1000;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 26;
const TOP = 26;
const BOTTOM = 52;
const NICE = [1, 2, 5];

export interface ScatterProps {
  readonly points: readonly GridPoint[];
  readonly limits: Limits;
  readonly chosen: GridPoint | undefined;
  onLimits(limits: Limits): void;
  onPick(point: GridPoint): void;
}

/** Ends of the axes; latency is logarithmic. */
interface Axes {
  readonly fastest: number;
  readonly slowest: number;
  readonly least: number;
  readonly most: number;
}

export function Scatter({ points, limits, chosen, onLimits, onPick }: ScatterProps) {
  const chart = useRef<SVGSVGElement>(null);
  const axes = axesOf(points);
  const x = (latency: number) =>
    LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(latency / axes.fastest)) / Math.log(axes.slowest / axes.fastest);
  const y = (accuracy: number) => TOP + ((HEIGHT - TOP - BOTTOM) * (axes.most - accuracy)) / (axes.most - axes.least);
  const latencyAt = (at: number) => axes.fastest * (axes.slowest / axes.fastest) ** ((at - LEFT) / (WIDTH - LEFT - RIGHT));
  const accuracyAt = (at: number) => axes.most - ((axes.most - axes.least) * (at - TOP)) / (HEIGHT - TOP - BOTTOM);

  const setLatency = (value: number) =>
    onLimits({ ...limits, latency: value >= axes.slowest * 0.985 ? Infinity : Math.max(axes.fastest, value) });
  const setAccuracy = (value: number) => onLimits({ ...limits, accuracy: value <= axes.least ? 0 : Math.min(axes.most, value) });
  const drag = (set: (at: { x: number; y: number }) => void) => (down: PointerEvent) => {
    const handle = down.currentTarget as SVGElement;
    handle.setPointerCapture(down.pointerId);
    const move = (event: PointerEvent) => set(pointIn(chart.current!, event));
    const up = () => {
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("pointerup", up);
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", up);
  };
  const latency = Math.min(limits.latency, axes.slowest);
  const accuracy = Math.max(limits.accuracy, axes.least);
  const latencyShown = limits.latency === Infinity ? text.choose.none : milliseconds(limits.latency);
  const accuracyShown = limits.accuracy === 0 ? text.choose.none : percent(limits.accuracy, 1);

  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label={text.choose.chart}>
      <svg ref={chart} class="chart scatter" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="presentation">
        <AxisLines axes={axes} x={x} y={y} />
        <rect class="allowed" x={LEFT} y={TOP} width={Math.max(0, x(latency) - LEFT)} height={Math.max(0, y(accuracy) - TOP)} />
        {[...points]
          .sort((a, b) => b.bytes - a.bytes)
          .map((point) => (
            <Dot
              key={`${point.architecture} ${point.form}`}
              point={point}
              points={points}
              x={x}
              y={y}
              outside={!fits(point, limits)}
              chosen={point === chosen}
              onPick={onPick}
            />
          ))}
        <g
          class="limit-handle vertical"
          role="slider"
          tabIndex={0}
          aria-label={text.choose.limitLatency}
          aria-valuemin={axes.fastest}
          aria-valuemax={axes.slowest}
          aria-valuenow={latency}
          aria-valuetext={latencyShown}
          onPointerDown={drag((at) => setLatency(latencyAt(at.x)))}
          onKeyDown={arrows((by) => setLatency(latency * 1.05 ** by))}
        >
          <line class="hit" x1={x(latency)} x2={x(latency)} y1={TOP} y2={HEIGHT - BOTTOM} />
          <line class="limit" x1={x(latency)} x2={x(latency)} y1={TOP - 6} y2={HEIGHT - BOTTOM} />
          <circle cx={x(latency)} cy={TOP - 8} r="9" />
          <text class="limit" x={x(latency) - 14} y={TOP - 6} text-anchor="end">
            {text.choose.limitLatency}: {latencyShown}
          </text>
        </g>
        <g
          class="limit-handle"
          role="slider"
          tabIndex={0}
          aria-label={text.choose.limitAccuracy}
          aria-valuemin={axes.least}
          aria-valuemax={axes.most}
          aria-valuenow={accuracy}
          aria-valuetext={accuracyShown}
          onPointerDown={drag((at) => setAccuracy(accuracyAt(at.y)))}
          onKeyDown={arrows((by) => setAccuracy(accuracy + 0.005 * by))}
        >
          <line class="hit" x1={LEFT} x2={WIDTH - RIGHT} y1={y(accuracy)} y2={y(accuracy)} />
          <line class="limit" x1={LEFT} x2={WIDTH - RIGHT + 6} y1={y(accuracy)} y2={y(accuracy)} />
          <circle cx={WIDTH - RIGHT + 10} cy={y(accuracy)} r="9" />
          <text class="limit" x={WIDTH - RIGHT - 6} y={y(accuracy) - 8} text-anchor="end">
            {text.choose.limitAccuracy}: {accuracyShown}
          </text>
        </g>
      </svg>
    </div>
  );
}

interface DotProps {
  readonly point: GridPoint;
  readonly points: readonly GridPoint[];
  readonly outside: boolean;
  readonly chosen: boolean;
  x(latency: number): number;
  y(accuracy: number): number;
  onPick(point: GridPoint): void;
}

function Dot({ point, points, outside, chosen, x, y, onPick }: DotProps) {
  const name = text.choose.point(point.architecture, point.form, point.accuracy, point.latency_ms, point.bytes);
  const [low, high] = point.interval;
  const left = x(point.latency_ms);
  return (
    <g
      class={`point${outside ? " pale" : ""}${chosen ? " chosen" : ""}${point.form.includes("int8") ? "" : " hollow"}`}
      style={{ "--hue": hueOf(point.architecture, points) }}
      role="button"
      tabIndex={0}
      aria-label={name}
      aria-pressed={chosen}
      onClick={() => onPick(point)}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        onPick(point);
      }}
    >
      <title>{name}</title>
      <line x1={left} x2={left} y1={Math.min(HEIGHT - BOTTOM, y(low))} y2={Math.max(TOP, y(high))} />
      <circle cx={left} cy={y(point.accuracy)} r={chosen ? 11 : 8} />
      {chosen && (
        <text class="name" x={left + (left > WIDTH / 2 ? -16 : 16)} y={y(point.accuracy) + 4} text-anchor={left > WIDTH / 2 ? "end" : "start"}>
          {point.architecture} {point.form}
        </text>
      )}
    </g>
  );
}

function AxisLines({ axes, x, y }: { axes: Axes; x(latency: number): number; y(accuracy: number): number }) {
  return (
    <g aria-hidden="true">
      {accuracyTicks(axes).map((tick) => (
        <>
          <line class="grid-line" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
          <text x={LEFT - 8} y={y(tick) + 4} text-anchor="end">
            {percent(tick)}
          </text>
        </>
      ))}
      {latencyTicks(axes).map((tick) => (
        <>
          <line class="grid-line" x1={x(tick)} x2={x(tick)} y1={TOP} y2={HEIGHT - BOTTOM} />
          <text x={x(tick)} y={HEIGHT - BOTTOM + 18} text-anchor="middle">
            {tick < 1 ? tick : Math.round(tick)}
          </text>
        </>
      ))}
      <text x={WIDTH - RIGHT} y={HEIGHT - 8} text-anchor="end">
        {text.choose.latency}
      </text>
    </g>
  );
}

function axesOf(points: readonly GridPoint[]): Axes {
  const latencies = points.map((point) => point.latency_ms);
  const lowest = Math.min(...points.map((point) => Math.min(point.accuracy, point.interval[0])));
  const highest = Math.max(...points.map((point) => Math.max(point.accuracy, point.interval[1])));
  return {
    fastest: Math.min(...latencies) / 1.3,
    slowest: Math.max(...latencies) * 1.3,
    least: Math.max(0, Math.floor(lowest * 20 - 0.2) / 20),
    most: Math.min(1.005, highest + 0.01),
  };
}

function accuracyTicks({ least, most }: Axes): number[] {
  const apart = most - least > 0.5 ? 0.2 : most - least > 0.25 ? 0.1 : 0.05;
  const ticks: number[] = [];
  for (let tick = Math.ceil(least / apart - 1e-9) * apart; tick <= most + 1e-9; tick += apart) ticks.push(tick);
  return ticks;
}

function latencyTicks({ fastest, slowest }: Axes): number[] {
  const ticks: number[] = [];
  for (let decade = 10 ** Math.floor(Math.log10(fastest)); decade <= slowest; decade *= 10) {
    ticks.push(...NICE.map((factor) => factor * decade).filter((tick) => tick >= fastest && tick <= slowest));
  }
  return ticks;
}

function arrows(by: (steps: number) => void): (event: KeyboardEvent) => void {
  const steps: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  return (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    by(steps[event.key]);
  };
}

function pointIn(chart: SVGSVGElement, event: PointerEvent): { x: number; y: number } {
  const box = chart.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * WIDTH) / box.width, y: ((event.clientY - box.top) * HEIGHT) / box.height };
}

import { FAULTS } from './schedule.js';
import type { RunResult } from './torture-run.js';

/** Pixels of the drawing, of the names on its left, and of one lane. */
const WIDTH = 1_160;
const LEFT = 150;
const LANE = 20;
const CHART = 170;

const NAMES: Record<string, string> = {
  kill: 'SIGKILL',
  pause: 'SIGSTOP … SIGCONT',
  terminate: 'SIGTERM',
  cut: 'connections cut',
  half_open: 'half-open',
  delay: 'late',
  hold: 'late beyond the lease',
  flush: 'FLUSHALL',
  redis_restart: 'Redis killed',
  postgres_crash: 'PostgreSQL crash',
  model_429: 'model: 429',
  model_500: 'model: 500',
  model_hang: 'model: hang',
  model_truncate: 'model: cut short',
  disk_full: 'disk full',
  unwritable: 'unwritable',
};

/** The faults, the workers' lives, the work and the recoveries of a run over its time, as SVG. */
export function timeline(result: RunResult): string {
  const { beginAt, struck, spans, samples, recoveries, plan } = result;
  const endAt = Math.max(samples.at(-1)?.at ?? beginAt + 1, beginAt + 1_000);
  const x = (at: number): number => LEFT + ((at - beginAt) / (endAt - beginAt)) * (WIDTH - LEFT - 10);
  const parts: string[] = [];
  let y = 20;
  const name = (words: string): void => {
    parts.push(`<text x="${LEFT - 8}" y="${y + 14}" text-anchor="end">${words}</text>`);
  };
  const lane = (words: string): void => {
    name(words);
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${y + LANE}" y2="${y + LANE}" class="rule"/>`);
  };
  const bar = (kind: string, from: number, to: number, title: string): void => {
    const left = Math.max(x(from), LEFT);
    const width = Math.max(x(Math.min(to, endAt)) - left, 1.5);
    parts.push(
      `<rect x="${left.toFixed(1)}" y="${y + 4}" width="${width.toFixed(1)}" height="${LANE - 7}" class="${kind}"><title>${title}</title></rect>`,
    );
  };
  const moment = (at: number): string => `${((at - beginAt) / 1_000).toFixed(1)} s`;

  for (const [thing, kinds] of Object.entries(FAULTS)) {
    for (const kind of kinds) {
      lane(NAMES[kind] ?? kind);
      for (const fault of struck.filter((one) => one.kind === kind)) {
        const whose = thing === 'worker' || thing === 'connections' ? `, worker ${fault.worker}` : '';
        const server = thing === 'connections' ? ` to ${fault.server}` : '';
        const until = fault.to > fault.from ? ` to ${moment(fault.to)}` : '';
        bar(thing, fault.from, fault.to, `${NAMES[kind]}${whose}${server}: ${moment(fault.from)}${until}`);
      }
      y += LANE;
    }
  }
  y += 14;
  for (let place = 0; place < plan.workers; place += 1) {
    lane(`worker ${place}`);
    for (const { state, from, to } of spans.filter((span) => span.place === place && span.to > beginAt)) {
      bar(`life-${state}`, from, to, `${state}: ${moment(Math.max(from, beginAt))} to ${moment(to)}`);
    }
    y += LANE;
  }

  y += 24;
  const most = Math.max(1, ...samples.map(({ submitted }) => submitted));
  const mostRunning = Math.max(1, ...samples.map(({ running }) => running));
  const curve = (kind: string, value: (sample: (typeof samples)[number]) => number): void => {
    const points = samples.map(
      (sample) => `${x(sample.at).toFixed(1)},${(y + CHART * (1 - value(sample))).toFixed(1)}`,
    );
    parts.push(`<polyline points="${points.join(' ')}" class="curve ${kind}"/>`);
  };
  name(`tasks (of ${most})`);
  curve('submitted', ({ submitted }) => submitted / most);
  curve('finished', ({ finished }) => finished / most);
  curve('running', ({ running }) => running / mostRunning);
  parts.push(
    `<text x="${LEFT + 8}" y="${y + 14}"><tspan class="word submitted">submitted</tspan> <tspan class="word finished">finished</tspan> <tspan class="word running">running (at most ${mostRunning})</tspan></text>`,
    `<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${y + CHART}" y2="${y + CHART}" class="rule"/>`,
  );
  y += CHART + 30;

  const slowest = Math.max(1_000, ...recoveries.map(({ ms }) => ms));
  name('recoveries');
  parts.push(
    `<text x="${LEFT + 8}" y="${y + 4}">a kill of a worker, and the seconds until another one claimed each of its tasks (at most ${(slowest / 1_000).toFixed(1)} s)</text>`,
  );
  for (const { killedAt, ms } of recoveries) {
    const height = y + CHART - (CHART - 12) * (ms / slowest);
    parts.push(
      `<circle cx="${x(killedAt).toFixed(1)}" cy="${height.toFixed(1)}" r="2.5" class="recovery"><title>${moment(killedAt)}: ${(ms / 1_000).toFixed(1)} s</title></circle>`,
    );
  }
  parts.push(`<line x1="${LEFT}" x2="${WIDTH - 10}" y1="${y + CHART}" y2="${y + CHART}" class="rule"/>`);
  y += CHART;
  const step = niceStep((endAt - beginAt) / 1_000 / 10);
  for (let seconds = 0; seconds * 1_000 < endAt - beginAt; seconds += step) {
    const at = x(beginAt + seconds * 1_000).toFixed(1);
    parts.push(
      `<line x1="${at}" x2="${at}" y1="14" y2="${y}" class="grid"/><text x="${at}" y="${y + 16}" text-anchor="middle">${seconds} s</text>`,
    );
  }
  return `<svg viewBox="0 0 ${WIDTH} ${y + 24}" role="img" aria-label="Timeline of faults and recoveries">${parts.join('\n')}</svg>`;
}

function niceStep(least: number): number {
  return [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600].find((step) => step >= least) ?? 7_200;
}

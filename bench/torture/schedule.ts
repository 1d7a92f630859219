import { seeded } from './random.js';

/** Faults, by what they strike. */
export const FAULTS = {
  /** A worker, by SIGKILL, SIGSTOP past its lease and SIGCONT, or SIGTERM. */
  worker: ['kill', 'pause', 'terminate'],
  /** The connections of a worker to one server: reset; one direction swallowed; late; late beyond the lease, and then delivered. */
  connections: ['cut', 'half_open', 'delay', 'hold'],
  redis: ['flush', 'redis_restart'],
  postgres: ['postgres_crash'],
  /** The next answers of the model. */
  model: ['model_429', 'model_500', 'model_hang', 'model_truncate'],
  /** The disk of the workspace and the work trees. */
  disk: ['disk_full', 'unwritable'],
} as const;

export type FaultKind = (typeof FAULTS)[keyof typeof FAULTS][number];

/** How often each fault comes, relative to the others. */
export type FaultWeights = Partial<Record<FaultKind, number>>;

export const EVERY_FAULT: Readonly<Record<FaultKind, number>> = {
  kill: 28,
  pause: 9,
  terminate: 5,
  cut: 7,
  half_open: 5,
  delay: 6,
  hold: 6,
  flush: 6,
  redis_restart: 4,
  postgres_crash: 3,
  model_429: 3,
  model_500: 4,
  model_hang: 3,
  model_truncate: 4,
  disk_full: 2,
  unwritable: 2,
};

/** One fault of a schedule. */
export interface PlannedFault {
  /** From the begin of the run. */
  atMs: number;
  kind: FaultKind;
  /** The place of the worker that it strikes; of the others it means nothing. */
  worker: number;
  /** Until it is over; 0 for what is over at once. For faults of the model, how many answers. */
  lasts: number;
  /** Of the two servers, the one that a fault of connections stands before. */
  server: 'postgres' | 'redis';
  /** The direction that a half-open connection swallows. */
  swallows: 'questions' | 'answers';
}

export interface ScheduleOptions {
  seed: number;
  seconds: number;
  workers: number;
  /** Mean time between two faults. */
  everyMs: number;
  /** Beyond this a worker has lost its leases. */
  leaseMs: number;
  weights: FaultWeights;
}

/**
 * All faults of a run, in the order of their times. The seed and the options decide every one of them; two of the same thing
 * (a server, the disk, one worker) never overlap.
 */
export function faultSchedule(options: ScheduleOptions): PlannedFault[] {
  const random = seeded(options.seed);
  const weights = Object.entries(options.weights).filter(([, weight]) => weight > 0) as [FaultKind, number][];
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const draw = (): FaultKind => {
    let left = random() * total;
    for (const [kind, weight] of weights) if ((left -= weight) < 0) return kind;
    return weights[0]?.[0] ?? 'kill';
  };
  const busyUntil = new Map<string, number>();
  const faults: PlannedFault[] = [];
  if (total === 0) return faults;
  for (let atMs = gap(options.everyMs, random); atMs < options.seconds * 1_000; atMs += gap(options.everyMs, random)) {
    const kind = draw();
    const fault: PlannedFault = {
      atMs: Math.round(atMs),
      kind,
      worker: Math.floor(random() * options.workers),
      lasts: lasts(kind, options.leaseMs, random),
      server: random() < 0.7 ? 'postgres' : 'redis',
      swallows: random() < 0.5 ? 'questions' : 'answers',
    };
    const struck = thing(fault);
    if ((busyUntil.get(struck) ?? 0) > atMs) continue;
    busyUntil.set(struck, atMs + (kind.startsWith('model') ? 0 : fault.lasts));
    faults.push(fault);
  }
  return faults;
}

function gap(everyMs: number, random: () => number): number {
  return everyMs * (0.5 + random());
}

/** The thing of which one fault at a time strikes. */
function thing({ kind, worker }: PlannedFault): string {
  const [of = ''] = Object.entries(FAULTS).find(([, kinds]) => (kinds as readonly string[]).includes(kind)) ?? [];
  return of === 'worker' || of === 'connections' ? `worker ${worker}` : of === 'model' ? kind : of;
}

function lasts(kind: FaultKind, leaseMs: number, random: () => number): number {
  const between = (least: number, most: number): number => Math.round(least + random() * (most - least));
  switch (kind) {
    case 'pause':
    case 'hold':
      return leaseMs + between(500, 2_500);
    case 'delay':
      return between(1_000, 3_000);
    case 'half_open':
      return between(2_000, 8_000);
    case 'redis_restart':
    case 'postgres_crash':
      return between(100, 2_000);
    case 'disk_full':
    case 'unwritable':
      return between(1_000, 4_000);
    case 'model_429':
    case 'model_500':
    case 'model_hang':
    case 'model_truncate':
      return between(1, 5);
    default:
      return 0;
  }
}

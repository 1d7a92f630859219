import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres, startRedis } from '../../test/support/servers/index.js';
import { startService, type Settings } from '../../test/support/service.js';
import { FaultInjector, type StruckFault } from './fault-injector.js';
import { Fleet, type FleetWords, type LifeSpan } from './fleet.js';
import { judge, type Findings } from './judge.js';
import { Owner } from './owner.js';
import { setProbes } from './probes.js';
import { findRecoveries, type Recovery } from './recoveries.js';
import { Reviewer } from './reviewer.js';
import { faultSchedule, type FaultWeights } from './schedule.js';
import { rigDisk } from './small-disk.js';
import { StageEndpoint } from './stage-endpoint.js';
import { TaskClient } from './task-client.js';
import { TurnClient } from './turn-client.js';
import { judgeTurns } from './turn-judge.js';

/** Seconds after which a lease that is not renewed ends. */
const LEASE_SECONDS = 3;
/** How long a worker waits for a model's first byte, and for its next one. */
const MODEL_PATIENCE_MS = 4_000;
/** Leases that are short enough for a run of minutes, and what else the rig needs. */
const SETTINGS: Settings = {
  TASK_HEARTBEAT_INTERVAL_SECONDS: '0.5',
  TASK_STALE_SECONDS: String(LEASE_SECONDS),
  REAPER_INTERVAL_SECONDS: '0.5',
  // Kills are what this does to tasks; none of them shall be buried for it.
  TASK_MAX_CRASHES: '100',
  SHUTDOWN_GRACE_SECONDS: '2',
  PIPELINE_MAX_CONCURRENT: '8',
  MODEL_FIRST_BYTE_TIMEOUT_MS: String(MODEL_PATIENCE_MS),
  MODEL_IDLE_TIMEOUT_MS: String(MODEL_PATIENCE_MS),
  DEFAULT_CHAT_MODEL: 'none',
  ADMIN_SECRET: 'the secret of a torture run',
};
/** Tasks that are submitted after the last fault: what was healed must also work. */
const TAIL = 20;
/** Whoever still holds a task has lost or left it by then: a model's whole patience, and then a lease. */
const AFTERMATH_MS = MODEL_PATIENCE_MS + 2 * LEASE_SECONDS * 1_000;
const SAMPLE_MS = 1_000;

export interface RunPlan {
  tasks: number;
  /** Turns of agents, asked for over the same time. */
  turns: number;
  seconds: number;
  workers: number;
  seed: number;
  weights: FaultWeights;
  /** Mean time between two faults. */
  everyMs: number;
  /** Of a model's answer, at the least and at the most. */
  answersMs: [number, number];
  /** What has not ended then never will. */
  drainSeconds: number;
  /** The program, for a mutant. */
  main?: string;
}

/** How far the work was at a moment. */
export interface Sample {
  at: number;
  submitted: number;
  finished: number;
  running: number;
  awake: number;
  faults: number;
}

export interface RunResult {
  plan: RunPlan;
  findings: Findings;
  /** Turns by their status. */
  turns: Record<string, number>;
  outcomes: Record<'ok' | 'refused' | 'unknown', number>;
  beginAt: number;
  lastFaultAt: number;
  drainedAt: number;
  samples: Sample[];
  struck: StruckFault[];
  missedFaults: number;
  leftOut: string | null;
  spans: LifeSpan[];
  recoveries: Recovery[];
  drains: number[];
  words: FleetWords;
  approvals: number;
  postgresVersion: string;
  wasStopped: boolean;
}

/** Carries out a plan and judges it. @param onSample is told how far the work is */
export async function torture(
  plan: RunPlan,
  signal: AbortSignal,
  onSample: (sample: Sample) => void,
): Promise<RunResult> {
  const ends: (() => unknown)[] = [];
  try {
    return await run(plan, signal, onSample, (end) => ends.push(end));
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function run(
  plan: RunPlan,
  signal: AbortSignal,
  onSample: (sample: Sample) => void,
  atEnd: (end: () => unknown) => void,
): Promise<RunResult> {
  const disk = await rigDisk();
  atEnd(() => disk.remove());
  const weights = { ...plan.weights, ...(disk.leftOut === null ? {} : { disk_full: 0, unwritable: 0 }) };
  const schedule = faultSchedule({ ...plan, weights, leaseMs: LEASE_SECONDS * 1_000 });
  const postgres = await startPostgres({ fsync: true });
  atEnd(() => postgres.stop());
  const redis = await startRedis();
  atEnd(() => redis.stop());
  const pool = new pg.Pool({ connectionString: postgres.url(), max: 4, connectionTimeoutMillis: 5_000 });
  atEnd(() => pool.end());
  // Its server is made to crash.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));

  const workspace = join(disk.path, 'workspace');
  await mkdir(workspace, { recursive: true });
  let idOf: (tag: number) => string | undefined = () => undefined;
  const owner = new Owner(workspace, pool, (tag) => idOf(tag));
  const endpoint = new StageEndpoint(plan.answersMs, (tag) => owner.contest(tag));
  await endpoint.start();
  atEnd(() => endpoint.stop());
  const settings: Settings = {
    ...SETTINGS,
    DATABASE_URL: postgres.url(),
    REDIS_URL: redis.url,
    LLM_BASE_URL: endpoint.url,
    NOVA_DATA_DIR: join(disk.path, 'data'),
    NOVA_WORKSPACE: workspace,
    LOG_LEVEL: 'INFO',
  };
  // The observer serves the API alone and is spared; all of them find an empty database.
  const starting = startService({ ...settings, ROLES: 'api' }, plan.main === undefined ? {} : { main: plan.main });
  const fleet = await Fleet.start(plan.workers, { postgres, redis }, settings, plan.main);
  atEnd(() => fleet.end());
  atEnd(() => starting.then((service) => service.kill()).catch(() => undefined));
  const observer = await starting;
  await setProbes(pool);
  const client = new TaskClient(observer);
  idOf = (tag) => client.submissions.find((one) => one.tag === tag)?.id;
  await client.prepare();
  await fleet.allUp();
  const turns = new TurnClient(fleet, observer.adminSecret);
  await turns.prepare();

  const injector = new FaultInjector({ fleet, postgres, redis, endpoint, disk });
  const reviewer = new Reviewer(observer, pool, owner);
  owner.start();
  reviewer.start();
  const samples: Sample[] = [];
  const sampling = new AbortController();
  const sampler = sample(pool, client, fleet, injector, sampling.signal, (one) => {
    samples.push(one);
    onSample(one);
  });

  const beginAt = Date.now();
  const raging = injector.run(schedule, signal);
  const turning = carryTurns(turns, plan, signal);
  const submitting: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let tag = 0; tag < plan.tasks && !signal.aborted; tag += 1) {
    const waitMs = (tag * plan.seconds * 1_000) / plan.tasks - (performance.now() - startedAt);
    if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined);
    submitting.push(client.submit(tag));
  }
  await raging;
  endpoint.willNotFail();
  if (!signal.aborted) await fleet.allUp();
  const lastFaultAt = Date.now();
  for (let tag = plan.tasks; tag < plan.tasks + TAIL && !signal.aborted; tag += 1) submitting.push(client.submit(tag));
  await Promise.all(signal.aborted ? [] : submitting);
  const deadline = performance.now() + plan.drainSeconds * 1_000;
  const untilDrained = async (): Promise<void> => {
    while (!signal.aborted && performance.now() < deadline && (await unfinished(pool)) > 0) await delay(100);
  };
  await untilDrained();
  const drainedAt = Date.now();
  if (!signal.aborted) {
    await turning;
    // A turn whose process died ends with its lease.
    await delay(LEASE_SECONDS * 1_000 + SAMPLE_MS);
    await turns.readAgain();
  }
  if (!signal.aborted) await delay(AFTERMATH_MS, undefined, { signal }).catch(() => undefined);
  // A task that came back to life is let through to the double that it is.
  await untilDrained();
  sampling.abort();
  await sampler;
  await reviewer.stop();
  const leftFiles = await owner.stop();
  await fleet.end();

  const { submissions } = client;
  const findings = await judge(pool, {
    submissions,
    questions: endpoint.questions,
    wakings: fleet.wakings,
    owner,
    leftFiles,
  });
  const turnsFound = await judgeTurns(pool, turns.turns);
  findings.lost.push(...turnsFound.stuck);
  findings.doubledEffects.push(...turnsFound.answeredTwice);
  findings.wrong.push(...turnsFound.wrongWords, ...reviewer.faults, ...fleet.badEnds);
  // Work that was cut short is not lost.
  if (signal.aborted) findings.lost.length = 0;
  const count = (outcome: string): number => submissions.filter((one) => one.outcome === outcome).length;
  return {
    plan,
    findings,
    turns: turnsFound.counts,
    outcomes: { ok: count('ok'), refused: count('refused'), unknown: count('unknown') },
    beginAt,
    lastFaultAt,
    drainedAt,
    samples,
    struck: injector.struck,
    missedFaults: injector.missed,
    leftOut: disk.leftOut,
    spans: fleet.spans,
    recoveries: await findRecoveries(pool, fleet.killings),
    drains: fleet.drains,
    words: fleet.words,
    approvals: reviewer.approvals,
    postgresVersion: await serverVersion(pool),
    wasStopped: signal.aborted,
  };
}

/** Asks for the turns evenly over the plan's time, and resolves when the client is through with all of them. */
async function carryTurns(client: TurnClient, plan: RunPlan, signal: AbortSignal): Promise<void> {
  const carried: Promise<void>[] = [];
  for (let tag = 0; tag < plan.turns && !signal.aborted; tag += 1) {
    carried.push(client.carry(tag));
    await delay((plan.seconds * 1_000) / plan.turns, undefined, { signal }).catch(() => undefined);
  }
  if (!signal.aborted) await Promise.all(carried);
}

async function serverVersion(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ server_version: string }>('show server_version');
  return rows[0]?.server_version ?? 'unknown';
}

/** Tasks that have not ended. */
async function unfinished(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from tasks where completed_at is null');
  return rows[0]?.n ?? 0;
}

async function sample(
  pool: pg.Pool,
  client: TaskClient,
  fleet: Fleet,
  injector: FaultInjector,
  signal: AbortSignal,
  onSample: (sample: Sample) => void,
): Promise<void> {
  while (!signal.aborted) {
    const counted = await pool
      .query<{ finished: number; running: number }>(
        `select count(*) filter (where completed_at is not null)::int as finished,
            count(*) filter (where lease_owner is not null)::int as running from tasks`,
      )
      .catch(() => null);
    const row = counted?.rows[0];
    if (row !== undefined) {
      onSample({
        at: Date.now(),
        submitted: client.submissions.filter(({ outcome }) => outcome === 'ok').length,
        ...row,
        awake: fleet.awake,
        faults: injector.struck.length,
      });
    }
    await delay(SAMPLE_MS, undefined, { signal }).catch(() => undefined);
  }
}

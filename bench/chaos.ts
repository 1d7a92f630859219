/**
 * Thousands of tasks through several workers that are killed, paused beyond their leases and terminated, while Redis is
 * emptied and killed and PostgreSQL crashes; then an oracle that knows only the client's log, the model's log and the tables
 * judges whether each accepted task ended once, each stage was stored once, and no finished stage was asked for again. Two
 * shorter runs have workers that do not notice the end of their leases: the fence alone has to hold, and where it is taken
 * away as well the oracle has to see it. Exits 1 otherwise.
 *
 *   npm run bench:chaos
 *   CHAOS_TASKS=10000 CHAOS_SECONDS=900 CHAOS_SEED=7 npm run bench:chaos
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { startPostgres, startRedis, temporaryFolder } from '../test/support/servers/index.js';
import { startService, type Settings } from '../test/support/service.js';
import { ChaosClient } from './chaos/client.js';
import { Faults, type Fault } from './chaos/faults.js';
import { Oracle, type Findings } from './chaos/oracle.js';
import { StageEndpoint } from './chaos/stage-endpoint.js';

const TASKS = Number(process.env['CHAOS_TASKS'] ?? 3_000);
const SECONDS = Number(process.env['CHAOS_SECONDS'] ?? 300);
const SEED = Number(process.env['CHAOS_SEED'] ?? randomInt(1_000_000));
const WORKERS = 4;
/** Tasks that are submitted after the last fault: what was healed must also work. */
const TAIL = 20;
/** Beyond the lease, and beyond the moment at which another worker has the task. */
const PAUSE_MS = 5_000;
/** Beyond a twelfth of these seconds, and not so long that a worker fences itself. */
const UNNOTICED_STALE_SECONDS = 12;
const UNNOTICED_PAUSE_MS = 2_500;

const LEASES: Settings = {
  TASK_HEARTBEAT_INTERVAL_SECONDS: '0.5',
  TASK_STALE_SECONDS: '3',
  REAPER_INTERVAL_SECONDS: '0.5',
  // Kills are what this does to tasks; none of them shall be buried for it.
  TASK_MAX_CRASHES: '100',
  SHUTDOWN_GRACE_SECONDS: '2',
};

interface Plan {
  tasks: number;
  seconds: number;
  worker: Settings;
  pauseMs: number;
  /** Of a model's answer, at the least and at the most. */
  answersMs: [number, number];
  /** What has not ended then never will. */
  drainSeconds: number;
  only?: Fault;
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function run(name: string, plan: Plan): Promise<Findings> {
  const durable = { settings: { synchronous_commit: 'on' } };
  const [postgres, redis, endpoint] = [
    await startPostgres(durable),
    await startRedis(),
    new StageEndpoint(plan.answersMs),
  ];
  await endpoint.start();
  const folder = temporaryFolder();
  const pool = new pg.Pool({ connectionString: postgres.url(), max: 2 });
  // Its server is made to crash.
  pool.on('error', () => undefined);
  const workspace = join(folder.path, 'workspace');
  const settings: Settings = {
    DATABASE_URL: postgres.url(),
    REDIS_URL: redis.url,
    LLM_BASE_URL: endpoint.url,
    DEFAULT_CHAT_MODEL: 'none',
    ADMIN_SECRET: 'the secret of a chaos run',
    NOVA_DATA_DIR: join(folder.path, 'data'),
    NOVA_WORKSPACE: workspace,
    PIPELINE_MAX_CONCURRENT: '8',
    LOG_LEVEL: 'ERROR',
    ...LEASES,
  };
  const observer = await startService({ ...settings, LOG_LEVEL: 'INFO', ROLES: 'api' });
  const faults = new Faults(
    { postgres, redis },
    { ...settings, LOG_LEVEL: 'INFO', ...plan.worker },
    {
      workers: WORKERS,
      pauseMs: plan.pauseMs,
      random: seeded(SEED),
    },
  );
  try {
    const oracle = new Oracle(pool);
    await oracle.prepare();
    const client = new ChaosClient(observer);
    await client.prepare();
    await faults.fill();

    const end = new AbortController();
    const raging = faults.rage(end.signal, plan.only);
    const submitting: Promise<void>[] = [];
    for (let tag = 0; tag < plan.tasks; tag += 1) {
      submitting.push(client.submit(tag));
      await delay((plan.seconds * 1_000) / plan.tasks);
    }
    end.abort();
    await raging;
    await faults.calm();
    const calmAt = performance.now();
    for (let tag = plan.tasks; tag < plan.tasks + TAIL; tag += 1) submitting.push(client.submit(tag));
    await Promise.all(submitting);
    while ((await oracle.unfinished()) > 0 && performance.now() - calmAt < plan.drainSeconds * 1_000) await delay(100);
    const drainedMs = performance.now() - calmAt;

    const found = await oracle.judge(client.submissions, endpoint.questions, faults.wokenAt, workspace);
    const outcomes = (outcome: string): number => client.submissions.filter((one) => one.outcome === outcome).length;
    const { lost, duplicated, wrong, askedAgain, stages, extraQuestions } = found;
    const struck = Object.entries(faults.counts).map(([fault, count]) => `${count} ${fault}`);
    console.log(`${name}: ${client.submissions.length} tasks, ${stages} stages, ${WORKERS} workers, ${plan.seconds} s`);
    console.log(`  faults: ${struck.join(', ')}`);
    console.log(`  submissions: ${outcomes('ok')} ok, ${outcomes('refused')} refused, ${outcomes('unknown')} unknown`);
    console.log(`  lost: ${lost.length}, duplicated: ${duplicated.length}, wrong: ${wrong.length}`);
    console.log(`  finished stages asked again: ${askedAgain.length}`);
    console.log(
      `  stage executions beyond one each: ${extraQuestions} (${((100 * extraQuestions) / stages).toFixed(2)} %)`,
    );
    console.log(`  drained ${(drainedMs / 1_000).toFixed(1)} s after the last fault`);
    for (const line of [...lost, ...duplicated, ...wrong, ...askedAgain].slice(0, 20)) console.log(`    ${line}`);
    return found;
  } finally {
    await faults.end();
    await observer.kill();
    await pool.end();
    await Promise.all([postgres.stop(), redis.stop(), endpoint.stop()]);
    folder.remove();
  }
}

const faultsIn = ({ lost, duplicated, wrong }: Findings): number => lost.length + duplicated.length + wrong.length;

console.log(`seed ${SEED}`);
const sabotage = pathToFileURL(join(import.meta.dirname, 'chaos', 'sabotage.mjs')).href;
const unnoticed: Plan = {
  tasks: Math.ceil(TASKS / 8),
  seconds: SECONDS / 4,
  worker: { NODE_OPTIONS: `--import ${sabotage}`, TASK_STALE_SECONDS: String(UNNOTICED_STALE_SECONDS) },
  pauseMs: UNNOTICED_PAUSE_MS,
  // So slow that the paused worker wakes up to find its stage in other hands and not ended yet.
  answersMs: [500, 3_000],
  drainSeconds: 180,
  only: 'pause',
};
const real = await run('the service', {
  tasks: TASKS,
  seconds: SECONDS,
  worker: {},
  pauseMs: PAUSE_MS,
  answersMs: [5, 60],
  drainSeconds: 1_200,
});
const fenced = await run('leases that end unnoticed', unnoticed);
const unfenced = await run('the same without the fence', {
  ...unnoticed,
  worker: { ...unnoticed.worker, CHAOS_UNFENCED: 'true' },
});
const verdicts = {
  'the service holds': faultsIn(real) === 0 && real.askedAgain.length === 0,
  'the fence alone holds': faultsIn(fenced) === 0,
  'without the fence it is seen': faultsIn(unfenced) > 0,
};
for (const [what, holds] of Object.entries(verdicts)) console.log(`${holds ? 'yes' : 'NO'}: ${what}`);
process.exitCode = Object.values(verdicts).every(Boolean) ? 0 : 1;

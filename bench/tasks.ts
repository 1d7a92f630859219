/**
 * Whole tasks a second: the built service, asked over HTTP, with four stages that cost nothing (a scripted model, no tools),
 * beside DBOS running workflows of four empty steps in its own process, on the same server in the same run. Both commit
 * each stage. Ours also takes the request over HTTP, renders four prompts, checks four answers against their schemas and
 * scans the work for secrets. Prints the medians of interleaved passes and the ratio.
 *
 *   npm run bench:tasks
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres } from '../test/support/servers/index.js';
import { startService, type Service } from '../test/support/service.js';
import { closedLoop, median, percentiles } from './load.js';

const TASKS = 1_000;
const AT_ONCE = 50;
const ALONE = 50;
const PASSES = 3;
const POD = 'bench';

interface Pass {
  rate: number;
  p50: number;
  p99: number;
}

const server = await startPostgres({ fsync: true });
const service = await startService({
  DATABASE_URL: await createDatabase('ours'),
  PIPELINE_MAX_CONCURRENT: String(AT_ONCE),
  LOG_LEVEL: 'INFO',
});
const rivalUrl = await createDatabase('rival');
try {
  await createPod(service);
  await closedLoop(50, 10, () => runToEnd(service));
  const passes: Record<'ours' | 'rival', Pass[]> = { ours: [], rival: [] };
  for (let pass = 0; pass < PASSES; pass += 1) {
    passes.rival.push(await rival());
    passes.ours.push(await ours());
  }
  const of = (who: 'ours' | 'rival', figure: keyof Pass): number => median(passes[who].map((pass) => pass[figure]));
  console.log(`${TASKS} tasks of four stages, ${AT_ONCE} at once, median of ${PASSES} passes, fsync on`);
  for (const who of ['ours', 'rival'] as const) {
    console.log(
      `${who}: ${of(who, 'rate').toFixed(0)} tasks/s; one at a time p50 ${of(who, 'p50').toFixed(1)} ms, ` +
        `p99 ${of(who, 'p99').toFixed(1)} ms`,
    );
  }
  console.log(`ratio of the rates: ${(of('ours', 'rate') / of('rival', 'rate')).toFixed(2)}`);
  console.log(`ratio of the medians of one at a time: ${(of('ours', 'p50') / of('rival', 'p50')).toFixed(2)}`);
} finally {
  await service.stop();
  await server.stop();
}

async function createDatabase(name: string): Promise<string> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  return server.url(name);
}

async function ours(): Promise<Pass> {
  const alone = await closedLoop(ALONE, 1, () => runToEnd(service));
  const before = (await stats(service)).complete;
  const started = performance.now();
  await closedLoop(TASKS, AT_ONCE, () => submit(service));
  while ((await stats(service)).complete < before + TASKS) await delay(20);
  return { rate: (TASKS * 1_000) / (performance.now() - started), ...percentiles(alone) };
}

async function rival(): Promise<Pass> {
  // Its connections warn of how it uses the driver.
  const args = [
    '--disable-warning=DeprecationWarning',
    '--import',
    './scripts/typescript.mjs',
    'bench/rival-workflows.ts',
  ];
  const child = spawn(process.execPath, [...args, rivalUrl, String(TASKS), String(AT_ONCE), String(ALONE)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  await once(child, 'close');
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Pass;
}

async function createPod(at: Service): Promise<void> {
  const pod = (await (await at.admin('/api/v1/pods', { method: 'POST', json: { name: POD } })).json()) as {
    id: string;
  };
  for (const [index, role] of ['context', 'task', 'guardrail', 'code_review'].entries()) {
    const json = { name: role, role, position: index + 1, allowed_tools: [] };
    await at.admin(`/api/v1/pods/${pod.id}/agents`, { method: 'POST', json });
  }
}

async function submit(at: Service): Promise<string> {
  const json = { user_input: 'do the work', pod_name: POD };
  const answer = await at.admin('/api/v1/pipeline/tasks', { method: 'POST', json });
  return ((await answer.json()) as { task_id: string }).task_id;
}

/** Submits one task and reads its events to the end. */
async function runToEnd(at: Service): Promise<void> {
  const answer = await at.admin(`/api/v1/pipeline/tasks/${await submit(at)}/events`);
  const events = await answer.text();
  if (!events.includes('"status":"complete"')) throw new Error(`a task did not complete:\n${events}`);
}

async function stats(at: Service): Promise<{ complete: number }> {
  const { by_status: byStatus } = (await (await at.admin('/api/v1/pipeline/queue-stats')).json()) as {
    by_status: Record<string, number>;
  };
  return { complete: byStatus['complete'] ?? 0 };
}

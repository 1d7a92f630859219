import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from '../../src/platform/database/index.js';
import { CommitTrap, type Trap } from '../support/commit-trap.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import type { Answer } from '../support/model-server.js';
import { PipelineClient } from '../support/pipeline-client.js';
import { temporaryFolder, type TemporaryFolder } from '../support/servers/index.js';
import { startService, type Service } from '../support/service.js';
import { PASSING, StageModels, streamed, type StageAnswer, type StageScript } from '../support/stage-models.js';

/** The commits of one task of `SCRIPT`: the start, four ends of stages, three entries of a journal and the completion. */
const COMMITS = 9;

/** Judged by the prompt alone: a question that is asked again gets the same answer. */
const SCRIPT: StageScript = {
  task: [
    (response, asked) => {
      const messages = asked.body.messages as { role: string }[];
      const answer: Exclude<StageAnswer, Answer> = asked.body.response_format
        ? PASSING.task
        : messages.some(({ role }) => role === 'tool')
          ? 'done'
          : { tool_calls: [{ name: 'write_file', arguments: { path: 'made.txt', content: 'made by the task' } }] };
      return streamed(answer)(response, asked);
    },
  ],
};

let models: StageModels;
let db: TestDatabase;
let trap: CommitTrap;
let folder: TemporaryFolder;

beforeAll(async () => {
  models = await StageModels.start();
  db = await createTestDatabase();
  trap = await CommitTrap.before(db.url);
  folder = temporaryFolder();
});
afterAll(async () => {
  await trap?.close();
  await db?.drop();
  await models?.stop();
  folder?.remove();
});

const running: Service[] = [];
const killAll = async (): Promise<void> => {
  for (const service of running.splice(0)) await service.kill();
};

async function start(workspace: string): Promise<Service> {
  const service = await startService({
    DATABASE_URL: trap.databaseUrl,
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'none',
    NOVA_WORKSPACE: workspace,
    NOVA_DATA_DIR: join(folder.path, 'data'),
    REAPER_INTERVAL_SECONDS: '1',
    LOG_LEVEL: 'INFO',
  });
  running.push(service);
  return service;
}

async function submit(service: Service, model: string): Promise<{ client: PipelineClient; id: string }> {
  const client = await PipelineClient.of(service);
  const pod = await client.createPod(model, { agents: { task: { allowed_tools: ['write_file'] } } });
  return { client, id: await client.submit(pod.name) };
}

/** Whatever happened on the way, the task is complete, each stage ran to its end once, and the file is there. */
async function expectWhole(client: PipelineClient, id: string, workspace: string): Promise<void> {
  expect(await client.settled(id)).toMatchObject({ status: 'complete', result: { output: PASSING.task.output } });
  const stages = await client.list(id, 'stages');
  expect(stages.map(({ role, attempt, status }) => `${role} ${attempt} ${status}`).toSorted()).toEqual([
    'code_review 1 complete',
    'context 1 complete',
    'guardrail 1 complete',
    'task 1 complete',
  ]);
  expect(await readFile(join(workspace, 'made.txt'), 'utf8')).toBe('made by the task');
}

describe('a service that is killed at a commit', () => {
  let workspace: string;
  /** The heir of each victim is the next one. */
  let next: Service | undefined;
  beforeAll(() => {
    workspace = join(folder.path, 'killed');
  });
  beforeEach(async () => {
    if (next === undefined) await killAll();
    next ??= await start(workspace);
    await rm(join(workspace, 'made.txt'), { force: true });
  });
  afterAll(killAll);

  function takeNext(): Service {
    const service = next as Service;
    next = undefined;
    return service;
  }

  it('makes the commits that the kills below are counted by', async () => {
    const service = takeNext();
    trap.set(null);
    const { client, id } = await submit(service, models.model(SCRIPT));
    await expectWhole(client, id, workspace);
    expect(trap.commits).toBe(COMMITS);
    next = service;
  });

  const kills = Array.from({ length: COMMITS }, (_, index) => index + 1).flatMap((at) => [
    [at, 'before'] as const,
    [at, 'after'] as const,
  ]);

  it.each(kills)('completes after a kill at commit %i, %s it, and asks no finished stage again', async (at, when) => {
    const model = models.model(SCRIPT);
    const victim = takeNext();
    const spring: Trap['spring'] = () => process.kill(victim.pid, 'SIGKILL');
    trap.set({ at, when, spring });
    const { id } = await submit(victim, model);
    expect(await victim.exited).toBeNull();

    const finished = await db.database.query<{ role: string }>(
      'test.finishedStages',
      sql`select role from stages where task_id = ${id} and status = 'complete'`,
    );
    const answered = models.calls.length;
    trap.set(null);
    const heir = await start(workspace);
    await expectWhole(await PipelineClient.of(heir), id, workspace);
    const later = models.calls.slice(answered).filter((call) => call.model === model);
    const askedAgain = new Set(later.map(({ role }) => role));
    for (const { role } of finished) expect(askedAgain).not.toContain(role);
    next = heir;
  });
});

describe('a cancel between the publication of a task and its completion', () => {
  afterEach(killAll);

  /** A task whose files are published, and whose last commit is on its way. */
  async function completing(name: string): Promise<{ client: PipelineClient; id: string; workspace: string }> {
    const workspace = join(folder.path, name);
    const service = await start(workspace);
    const sprung = new Promise<void>((spring) => trap.set({ at: COMMITS, when: 'late', spring }));
    const task = await submit(service, models.model(SCRIPT));
    await sprung;
    expect(await readdir(workspace)).toEqual(['made.txt']);
    return { ...task, workspace };
  }

  it('takes its files out of the workspace again', async () => {
    const { client, id, workspace } = await completing('cancelled');
    expect((await client.cancel(id)).status).toBe(200);
    expect(await readdir(workspace)).toEqual([]);
    await trap.deliver();
    expect(await client.settled(id)).toMatchObject({ status: 'cancelled', output: null });
    expect(await readdir(workspace)).toEqual([]);
  });

  it('does so also when the service is killed right after it', async () => {
    const { client, id, workspace } = await completing('cancelled-and-killed');
    const victim = running.at(-1) as Service;
    trap.set({ at: 1, when: 'after', spring: () => process.kill(victim.pid, 'SIGKILL') });
    await expect(client.cancel(id)).rejects.toThrow();
    expect(await readdir(workspace)).toEqual(['made.txt']);
    trap.set(null);
    const heir = await PipelineClient.of(await start(workspace));
    expect(await heir.task(id)).toMatchObject({ status: 'cancelled' });
    await eventually('the workspace is as it was', async () => (await readdir(workspace)).length === 0);
  });
});

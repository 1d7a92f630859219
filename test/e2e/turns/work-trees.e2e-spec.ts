/** @needs bwrap */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { fails, ModelServer, says, type Answer as ModelAnswer } from '../../support/model-server.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { after, streamed } from '../../support/stage-models.js';
import { hangingModel } from './hanging-model.js';

const TASKS = '/api/v1/tasks';

let models: ModelServer;
let database: TestDatabase;
let service: Service;
let client: Api;
/** What each model says, by its name. */
const scripts = new Map<string, ModelAnswer[]>();

beforeAll(async () => {
  models = await ModelServer.start();
  models.willAnswer((response, asked) => {
    const script = scripts.get(String(asked.body.model)) ?? [says('Hello')];
    const answer = script.length > 1 ? script.shift() : script[0];
    return answer?.(response, asked);
  });
  database = await createTestDatabase();
  await start();
});
afterAll(async () => {
  await service.stop();
  await models.stop();
  await database.drop();
});

async function start(folders: Record<string, string> = {}): Promise<void> {
  service = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'plain',
    DATABASE_URL: database.url,
    REAPER_INTERVAL_SECONDS: '1',
    ...folders,
  });
  client = await api(service);
}

const calls = (name: string, args: object): ModelAnswer => streamed({ tool_calls: [{ name, arguments: args }] });
const writes = (path: string, content: string): ModelAnswer => calls('write_file', { path, content });

/** An answer that does not come, and when it was asked for: after the calls that the model made before. */
function held(): { answer: ModelAnswer; asked: Promise<void> } {
  const { answer } = hangingModel();
  let ask = (): void => undefined;
  const asked = new Promise<void>((resolve) => (ask = resolve));
  return {
    asked,
    answer: (response, request) => {
      ask();
      return answer(response, request);
    },
  };
}

let agents = 0;
async function agent(
  script: ModelAnswer[],
  tools: string[] | null = ['files', 'run_shell', 'platform'],
): Promise<string> {
  const model = `model-${(agents += 1)}`;
  scripts.set(model, script);
  const json = { config: { name: model, model, tools } };
  return (await client.call('POST', '/api/v1/agents', { json, as: 'admin' })).body.id as string;
}
const question = (id: string): object => ({ agent_id: id, messages: [{ role: 'user', content: 'go' }] });
const ask = (id: string, headers: Record<string, string> = {}): Promise<Answer> =>
  client.call('POST', TASKS, { json: question(id), as: 'admin', headers });

const file = (path: string): string => join(service.workspace, path);
const put = (path: string, content: string): void => {
  mkdirSync(service.workspace, { recursive: true });
  writeFileSync(file(path), content);
};
const text = (path: string): string | null => (existsSync(file(path)) ? readFileSync(file(path), 'utf8') : null);
const trees = (): string[] => {
  const folder = join(service.dataDir, 'trees');
  return existsSync(folder) ? readdirSync(folder) : [];
};

it('what a turn wrote is in the workspace when it is told to have completed, and not before', async () => {
  let seen: string | null = 'not looked at';
  const looking: ModelAnswer = (response, asked) => {
    seen = text('written.txt');
    return says('Done.')(response, asked);
  };
  const { body } = await ask(await agent([writes('written.txt', 'one\n'), looking]));
  expect(body).toMatchObject({ status: 'completed', response: 'Done.' });
  expect([seen, text('written.txt'), trees()]).toEqual([null, 'one\n', []]);
});

it('a turn that fails or is cancelled leaves the workspace as it was', async () => {
  const failed = await ask(await agent([writes('failed.txt', 'x'), fails(400)]));
  expect([failed.body.status, text('failed.txt'), trees()]).toEqual(['failed', null, []]);

  const hanging = held();
  const running = await ask(await agent([writes('cancelled.txt', 'x'), hanging.answer]), { prefer: 'wait=0' });
  await hanging.asked;
  expect(trees()).toEqual([running.body.task_id]);
  const cancelled = await client.call('POST', `${TASKS}/${running.body.task_id}/cancel`, { as: 'admin' });
  expect([cancelled.body.status, text('cancelled.txt'), trees()]).toEqual(['cancelled', null, []]);
});

it('the result and the stream name the file that the workspace keeps', async () => {
  put('shared.txt', 'one\n');
  const changes: ModelAnswer = (response, asked) => {
    put('shared.txt', 'owner\n');
    return says('Done.')(response, asked);
  };
  const told =
    'Done.\n\nNot published, so that the workspace keeps its own version. The workspace changed meanwhile: shared.txt.';
  const { body } = await ask(await agent([writes('shared.txt', 'turn\n'), changes]));
  expect(body).toMatchObject({ status: 'completed', response: told });
  expect(text('shared.txt')).toBe('owner\n');

  put('shared.txt', 'one\n');
  const id = await agent([writes('shared.txt', 'turn\n'), changes]);
  const stream = await client.stream('POST', `${TASKS}/stream`, { json: question(id), as: 'admin' });
  const said = [...(await stream.text()).matchAll(/^data: (\{"t".*\})$/gm)].map(([, json]) => JSON.parse(json ?? '').t);
  expect(said.join('')).toBe(told);
});

it('what the owner’s git would obey is undone, and the tool says so', async () => {
  const { body } = await ask(
    await agent([
      calls('run_shell', {
        command: 'git init -q lib && git -C lib config core.fsmonitor "touch /tmp/x" && echo x > lib/ok',
      }),
      says('Done.'),
    ]),
  );
  expect(body).toMatchObject({ status: 'completed', response: 'Done.' });
  expect(body.tool_calls[0]).toMatchObject({
    is_error: true,
    result: expect.stringContaining('git would obey it: lib/.git (a .git)'),
  });
  expect([existsSync(file('lib/.git')), text('lib/ok')]).toEqual([false, 'x\n']);
});

it('an agent that a turn asks works in the same tree, which the turn publishes', async () => {
  const helper = await agent([writes('helped.txt', 'by the helper\n'), says('Helped.')]);
  let seen: string | null = 'not looked at';
  const looking: ModelAnswer = (response, asked) => {
    seen = text('helped.txt');
    return calls('read_file', { path: 'helped.txt' })(response, asked);
  };
  const { body } = await ask(
    await agent([calls('send_message_to_agent', { agent_id: helper, message: 'please' }), looking, says('Done.')]),
  );
  expect(body.status).toBe('completed');
  expect(seen).toBeNull();
  expect(body.tool_calls[1].result).toContain('by the helper');
  expect([text('helped.txt'), trees()]).toEqual(['by the helper\n', []]);
});

it('of turns whose process was killed nothing stays, and their trees are swept', async () => {
  put('kept.txt', 'one\n');
  const hanging = held();
  await ask(await agent([writes('kept.txt', 'two\n'), hanging.answer]), { prefer: 'wait=0' });
  await hanging.asked;
  const folders = { NOVA_DATA_DIR: service.dataDir, NOVA_WORKSPACE: service.workspace };
  const left = trees();
  const { dataDir, workspace } = service;
  service.signal('SIGKILL');
  await service.exited;
  // As if it had died in the middle of publishing: the first of two files is there.
  writeFileSync(join(dataDir, 'trees', left[0] ?? '', 'published.json'), JSON.stringify(['kept.txt']));
  writeFileSync(join(workspace, 'kept.txt'), 'two\n');
  const dead = service;
  await start(folders);
  await eventually('the tree is swept', () => readdirSync(join(dataDir, 'trees')).length === 0);
  expect(readFileSync(join(workspace, 'kept.txt'), 'utf8')).toBe('one\n');
  await service.stop();
  await dead.kill();
  await start();
});

it('a turn that is asked to end while it publishes has ended as what it is told to be', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const running = await ask(await agent([writes('late.txt', 'x'), after(gate, 'Done.')]), { prefer: 'wait=0' });
  await eventually('the turn has its tree', () => trees().includes(running.body.task_id as string));
  release();
  const path = `${TASKS}/${running.body.task_id}`;
  const { status } = await client.call('POST', `${path}/cancel`, { as: 'admin' });
  expect([200, 409]).toContain(status);
  const { body } = await client.call('GET', path, { as: 'admin' });
  expect([body.status, text('late.txt')]).toEqual(status === 200 ? ['cancelled', null] : ['completed', 'x']);
  expect(trees()).toEqual([]);
});

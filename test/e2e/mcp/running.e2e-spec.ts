/** @needs bwrap */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { ModelServer, says } from '../../support/model-server.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';
import { PASSING, StageModels, streamed } from '../../support/stage-models.js';
import { eventually } from '../../support/eventually.js';

const SMALL = join(fileURLToPath(import.meta.url), '../../../integration/mcp/servers/stdio-server.mjs');
const NETWORK = join(SMALL, '../network-server.mjs');
const MARK = `mark-${Math.random().toString(36).slice(2)}`;

function small(name: string, options: object = {}, fields: object = {}): object {
  return {
    name,
    transport: 'stdio',
    command: 'node',
    args: [SMALL, JSON.stringify({ ...options, mark: MARK })],
    ...fields,
  };
}

/** Processes that hold the mark of this file. */
function running(): number {
  const lines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(MARK)).length;
}

async function add(service: Service, body: object): Promise<Record<string, unknown>> {
  const answer = await service.admin('/api/v1/mcp-servers', { method: 'POST', json: body });
  const json = (await answer.json()) as Record<string, unknown>;
  if (answer.status !== 201) throw new Error(JSON.stringify(json));
  return json;
}

async function statuses(service: Service): Promise<Record<string, string>> {
  const list = (await (await service.admin('/api/v1/mcp-servers')).json()) as { name: string; status: string }[];
  return Object.fromEntries(list.map(({ name, status }) => [name, status]));
}

describe('a service with five servers, one dead and one that never answers', () => {
  let database: TestDatabase;
  let folder: TemporaryFolder;
  beforeAll(async () => {
    database = await createTestDatabase();
    folder = temporaryFolder();
  });
  afterAll(async () => {
    await database.drop();
    folder.remove();
  });

  it('starts without waiting for them, and leaves nothing of them when it ends or is killed', async () => {
    const holdWhile = join(folder.path, 'hold');
    const first = await startService({ DATABASE_URL: database.url });
    for (const name of ['one', 'two', 'three'])
      await add(first, small(name, { holdWhile, child: name === 'two' ? 'detached' : true }));
    await add(first, { name: 'dead', transport: 'stdio', command: '/no/such/program' });
    await add(first, small('silent', { silent: true }));
    expect(running()).toBeGreaterThanOrEqual(4);
    await first.stop();
    await eventually('no program is left', () => running() === 0);

    // None of them answers before the start is complete.
    writeFileSync(holdWhile, '');
    const second = await startService({ DATABASE_URL: database.url });
    await second.untilLogged((line) => line.message === 'The start is complete');
    expect(Object.values(await statuses(second))).not.toContain('connected');
    rmSync(holdWhile);
    await eventually(
      'all three are connected',
      async () => Object.values(await statuses(second)).filter((status) => status === 'connected').length === 3,
    );
    expect(await statuses(second)).toMatchObject({ one: 'connected', two: 'connected', three: 'connected' });
    expect(running()).toBeGreaterThanOrEqual(4);
    await second.kill();
    await eventually('no program is left', () => running() === 0);
  });
});

describe('addresses inside', () => {
  let service: Service;
  let canary: Server;
  let port = 0;
  let seen = 0;
  beforeAll(async () => {
    canary = createServer((socket) => {
      seen += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => canary.listen(0, resolve));
    port = (canary.address() as { port: number }).port;
    service = await startService();
  });
  afterAll(async () => {
    await service.stop();
    canary.close();
  });

  it.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0x7f000001',
    '017700000001',
    '0177.0.0.1',
    '①②⑦.⓪.⓪.①',
    '127.0.0.1.',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '0.0.0.0',
    '0',
    'localhost',
    'localhost.',
    'LOCALHOST',
    'a.localhost',
    '169.254.169.254',
    '10.0.0.1',
    '192.168.0.1',
    '172.16.0.1',
    '100.64.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '[fc00::1]',
    '127.0.0.\t1',
  ])('are not connected to: %s', async (host) => {
    const server = await add(service, { name: 'inside', transport: 'http', url: `http://${host}:${port}/mcp` });
    expect(server).toMatchObject({ connected: false, status: 'failed' });
    const patched = await service.admin(`/api/v1/mcp-servers/${String(server['id'])}`, {
      method: 'PATCH',
      json: { transport: 'sse', url: `http://${host}:${port}/sse` },
    });
    expect(await patched.json()).toMatchObject({ connected: false });
    await service.admin(`/api/v1/mcp-servers/${String(server['id'])}`, { method: 'DELETE' });
    expect(seen).toBe(0);
  });

  it.each(['file:///etc/passwd', 'gopher://127.0.0.1/', 'unix:/run/x', 'http://a@127.0.0.1/', 'http://b:c@127.0.0.1/'])(
    'cannot be written: %s',
    async (url) => {
      const answer = await service.admin('/api/v1/mcp-servers', {
        method: 'POST',
        json: { name: 'inside', transport: 'http', url },
      });
      expect(answer.status).toBe(422);
      expect(seen).toBe(0);
    },
  );
});

describe('a server in a sandbox', () => {
  it('with a network does not reach the service that runs it', async () => {
    const service = await startService();
    mkdirSync(service.workspace, { recursive: true });
    copyFileSync(NETWORK, join(service.workspace, 'server.mjs'));
    const { port } = new URL(service.url);
    const args = ['/workspace/server.mjs', JSON.stringify([`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`])];
    const body = { name: 'boxed', transport: 'stdio', command: 'node', args, sandbox: 'workspace_network' };
    expect(await add(service, body)).toMatchObject({ status: 'connected', last_error: null, tool_count: 3 });
    const groups = (await (await service.fetch('/api/v1/tools')).json()) as {
      category: string;
      tools: { description: string }[];
    }[];
    const tools = groups.find(({ category }) => category === 'mcp:boxed')?.tools ?? [];
    expect(tools).toHaveLength(3);
    for (const { description } of tools) expect(description).toMatch(/^E[A-Z_]+ \| 403 \| 403$/);
    await service.stop();
  });

  it('sees the workspace and nothing else of this machine', async () => {
    const service = await startService();
    mkdirSync(service.workspace, { recursive: true });
    copyFileSync(SMALL, join(service.workspace, 'server.mjs'));
    const args = ['/workspace/server.mjs', JSON.stringify({ tools: [] })];
    const body = { name: 'boxed', transport: 'stdio', command: 'node', args, sandbox: 'workspace' };
    expect(await add(service, body)).toMatchObject({ status: 'connected', last_error: null });
    const outside = { ...body, name: 'outside', args: [SMALL, '{}'] };
    expect(await add(service, outside)).toMatchObject({ status: 'failed', connected: false });
    await service.stop();
  });
});

describe('an agent', () => {
  it('uses the tool of a server', async () => {
    const models = await ModelServer.start();
    const service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'test-model' });
    await add(service, small('small', {}, { env: { TOKEN: 'never-shown-to-models' } }));
    const agent = (await (
      await service.fetch('/api/v1/agents', {
        method: 'POST',
        json: { config: { name: 'Test', tools: ['mcp:small'] } },
      })
    ).json()) as { id: string };
    models.willAnswer(
      streamed({ tool_calls: [{ name: 'mcp__small__echo', arguments: { text: 'from the model' } }] }),
      says('It is done.'),
    );
    const turn = (await (
      await service.fetch('/api/v1/tasks', {
        method: 'POST',
        json: { agent_id: agent.id, messages: [{ role: 'user', content: 'go' }] },
      })
    ).json()) as { response: string; tool_calls: { result: string }[] };
    expect(turn).toMatchObject({
      status: 'completed',
      response: 'It is done.',
      tool_calls: [
        { name: 'mcp__small__echo', is_error: false, result: expect.stringContaining('you said: from the model') },
      ],
    });
    const offered = models.asked[0]?.body['tools'] as { function: { name: string } }[];
    expect(offered.map((tool) => tool.function.name)).toContain('mcp__small__echo');
    expect(offered.every((tool) => tool.function.name.startsWith('mcp__small__'))).toBe(true);
    expect(JSON.stringify(models.asked)).not.toContain('never-shown-to-models');
    await service.stop();
    await models.stop();
  });
});

describe('a pipeline task', () => {
  let models: StageModels;
  let service: Service;
  let pipeline: PipelineClient;
  beforeAll(async () => {
    models = await StageModels.start();
    service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'none' });
    await add(service, small('small'));
    pipeline = await PipelineClient.of(service);
  });
  afterAll(async () => {
    await service.stop();
    await models.stop();
  });

  /** What the model was shown after it had asked for the server's tool. */
  async function told(allowedTools: string[]): Promise<string> {
    const call = { name: 'mcp__small__echo', arguments: { text: 'from the task' } };
    const model = models.model({ task: [{ tool_calls: [call] }, 'So it is.', PASSING.task] });
    const task = await pipeline.run(model, { agents: { task: { allowed_tools: allowedTools } } });
    expect(task).toMatchObject({ status: 'complete', result: { output: PASSING.task['output'] } });
    return models.calls.filter((asked) => asked.model === model && asked.offersTools)[1]?.prompt ?? '';
  }

  it('uses the tool of a server in its task stage', async () => {
    expect(await told(['mcp:small'])).toContain('you said: from the task');
  });

  it('may not use the tool of a server that its pod does not allow', async () => {
    const prompt = await told(['list_dir']);
    expect(prompt).toContain('not allowed');
    expect(prompt).not.toContain('you said');
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PipelineClient } from '../../support/pipeline-client.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';
import { PASSING, StageModels, type StageAnswer } from '../../support/stage-models.js';

const SMALL = join(fileURLToPath(import.meta.url), '../../../integration/mcp/servers/stdio-server.mjs');
const COUNT = 160;
/** The last of the crowd, which no list of 128 tools begins with. */
const WANTED = 'mcp__crowd__report_159';
const REASON =
  /^Definitions of tools may take a quarter of the context, \d+ tokens, and 128 places\. .*search_tools\.$/;

const search: StageAnswer = { tool_calls: [{ name: 'search_tools', arguments: { query: 'weather of Uppsala' } }] };
const call: StageAnswer = { tool_calls: [{ name: WANTED, arguments: { text: 'now' } }] };

let folder: TemporaryFolder;
let models: StageModels;
let service: Service;
let client: PipelineClient;

beforeAll(async () => {
  folder = temporaryFolder();
  const toolsFile = join(folder.path, 'tools.json');
  const tools = Array.from({ length: COUNT }, (_, number) => ({
    name: `report_${number}`,
    description: `${number === COUNT - 1 ? 'Tells the weather of Uppsala.' : 'Reports on a subject.'} ${'Words that fill it up. '.repeat(25)}`,
    inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
  }));
  writeFileSync(toolsFile, JSON.stringify(tools));
  models = await StageModels.start();
  service = await startService({ LLM_BASE_URL: models.url });
  client = await PipelineClient.of(service);
  const crowd = {
    name: 'crowd',
    transport: 'stdio',
    command: process.execPath,
    args: [SMALL, JSON.stringify({ toolsFile })],
  };
  const added = await client.api.call('POST', '/api/v1/mcp-servers', { as: 'admin', json: crowd });
  expect([added.status, added.body.status]).toEqual([201, 'connected']);
});
afterAll(async () => {
  await service?.stop();
  await models?.stop();
  folder?.remove();
});

/** Of each call to `model`: the tools that it was shown. */
const shown = (model: string): string[][] =>
  models.calls.filter((asked) => asked.model === model).map(({ tools }) => tools);

describe('an agent with more tools than fit', () => {
  it('is told of in its status, and finds with the search what it was not shown', async () => {
    const model = models.model({ task: [search, call, 'It is sunny.'] });
    const created = await client.api.call('POST', '/api/v1/agents', {
      as: 'admin',
      json: { config: { name: 'Ask', model } },
    });
    const agent = (await client.api.call('GET', `/api/v1/agents/${created.body.id}`)).body;
    expect(agent.tools_left_out).toEqual({
      count: expect.any(Number),
      names: expect.arrayContaining([WANTED]),
      reason: expect.stringMatching(REASON),
    });
    // The conversation keeps three quarters of what the agent has.
    expect(agent.tools_left_out.count).toBeGreaterThan(COUNT - 20);

    const turn = await client.api.call('POST', '/api/v1/tasks', {
      as: 'admin',
      json: { agent_id: created.body.id, messages: [{ role: 'user', content: 'The first word was: juniper.' }] },
    });
    expect([turn.status, turn.body.status, turn.body.response]).toEqual([202, 'completed', 'It is sunny.']);
    expect(turn.body.tool_calls.map(({ name }: { name: string }) => name)).toEqual(['search_tools', WANTED]);
    expect(turn.body.tool_calls[1].result).toContain('this was report_159');
    const [first = [], second = []] = shown(model);
    expect(first).toContain('search_tools');
    expect(first).not.toContain(WANTED);
    expect(second.slice(0, first.length)).toEqual(first);
    expect(second).toContain(WANTED);
    expect(models.calls.at(-1)?.prompt).toContain('juniper');
  });

  it('is told of in the status of its pod and in the record of its stage', async () => {
    const model = models.model({ task: [search, call, PASSING.task] });
    const pod = await client.createPod(model, {
      agents: { context: null, task: { allowed_tools: ['mcp:crowd'] }, code_review: null, decision: null },
    });
    const { agents } = (await client.api.call('GET', `/api/v1/pods/${pod.id}`, { as: 'admin' })).body;
    const told = Object.fromEntries(
      (agents as { role: string; tools_left_out?: object }[]).map((agent) => [agent.role, agent.tools_left_out]),
    );
    expect(told).toEqual({
      task: { count: expect.any(Number), names: expect.any(Array), reason: expect.any(String) },
      guardrail: undefined,
    });

    const id = await client.submit(pod.name);
    await client.until(id, (event) => event.type === 'task.finished');
    const stages = await client.list(id, 'stages');
    expect(stages.map(({ role, status, tools_left_out }) => [role, status, tools_left_out])).toEqual([
      ['task', 'complete', told['task']],
      ['guardrail', 'complete', null],
    ]);
    const { count } = told['task'] as { count: number };
    const ended = (await client.events(id)).filter(({ type }) => type === 'stage.finished');
    expect(ended.map(({ data }) => [data['role'], data['tools_left_out']])).toEqual([
      ['task', count],
      ['guardrail', 0],
    ]);
    const [first = []] = shown(model);
    expect(first.length + count).toBe(COUNT + 1);
    expect(first.length).toBeLessThanOrEqual(128);
  });
});

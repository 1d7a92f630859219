import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import PQueue from 'p-queue';
import { DIALECTS, DialectServer } from '../../support/model-dialects/dialect-server.js';
import type { Dialect } from '../../support/model-dialects/dialect.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';

const AT_ONCE = 4;

describe.each(['true', 'false'])('every kind of endpoint (LLM_STREAMING: %s)', (streaming) => {
  let models: DialectServer;
  let service: Service;
  let client: Api;
  let pipeline: PipelineClient;
  /** Several are tried at once; each test waits for its own. */
  const trials = new Map<string, Promise<void>>();
  beforeAll(async () => {
    models = await DialectServer.start();
    service = await startService({
      LLM_STREAMING: streaming,
      LLM_BASE_URL: models.url,
      LLM_API_KEY: 'sk-gateway-12345',
      ANTHROPIC_API_KEY: 'sk-ant-12345',
      ANTHROPIC_BASE_URL: models.url,
      OLLAMA_BASE_URL: models.url,
      DEFAULT_CHAT_MODEL: 'none',
    });
    client = await api(service);
    pipeline = await PipelineClient.of(service);
    await mkdir(service.workspace, { recursive: true });
    for (const name of ['one', 'two']) await writeFile(join(service.workspace, `${name}.txt`), `words of ${name}`);
    const limit = new PQueue({ concurrency: AT_ONCE });
    for (const dialect of DIALECTS) {
      const trial = limit.add(() => tried(dialect));
      trial.catch(() => undefined);
      trials.set(dialect.name, trial);
    }
  });
  afterAll(async () => {
    await service?.stop();
    await models?.stop();
  });

  const turn = async ({ name, model }: Dialect): Promise<Answer['body']> => {
    const config = { name, model, tools: ['files'] };
    const agent = await client.call('POST', '/api/v1/agents', { json: { config }, as: 'admin' });
    expect(agent.status).toBe(201);
    const messages = [{ role: 'user', content: 'Read both files.' }];
    const json = { agent_id: agent.body.id as string, messages };
    return (await client.call('POST', '/api/v1/tasks', { json, as: 'admin' })).body;
  };
  const callsOf = ({ name }: Dialect) => models.calls.filter(({ dialect }) => dialect === name);

  const tried = async (dialect: Dialect): Promise<void> => {
    const answer = await turn(dialect);
    expect(answer).toMatchObject({ status: 'completed', error: null });
    expect(answer.response).toMatch(/Read: .*words of one.* \| .*words of two/s);
    const read = (answer.tool_calls as { arguments: { path: string } }[]).map((call) => call.arguments.path);
    expect(read).toEqual(['one.txt', 'two.txt']);
    const tellsUsage = streaming === 'false' || dialect.hidesStreamedUsage !== true;
    const cached = tellsUsage ? dialect.cachedTokens : 0;
    if (tellsUsage) expect(answer).toMatchObject({ input_tokens: 2_400, output_tokens: 180 });
    expect(answer).toMatchObject({ cached_input_tokens: 2 * cached });
    expect(callsOf(dialect).filter(({ refused }) => refused === null)).toHaveLength(2);

    // What is refused is found out by one task, and no longer sent by the next.
    for (const round of ['first', 'second']) {
      const before = callsOf(dialect).length;
      const task = await pipeline.run(dialect.model);
      expect({ round, ...task }).toMatchObject({ status: 'complete', error_context: null });
      const calls = callsOf(dialect).slice(before);
      const answered = calls.filter(({ refused }) => refused === null);
      expect(answered.map(({ role }) => String(role)).sort()).toEqual(['code_review', 'context', 'guardrail', 'task']);
      if (round === 'second') expect(calls).toHaveLength(4);
      expect(task.total_cached_input_tokens).toBe(4 * cached);
      const stages = await pipeline.list(task.id as string, 'stages');
      expect(stages.map((stage) => stage.cached_input_tokens)).toEqual(Array(4).fill(cached));
      const ends = (await pipeline.events(task.id as string)).filter(({ type }) => type === 'stage.finished');
      expect(ends.map(({ data }) => data.cached_input_tokens)).toEqual(Array(4).fill(cached));
    }
    expect(callsOf(dialect).every(({ streamed }) => String(streamed) === streaming)).toBe(true);
  };

  it.each(DIALECTS)('$name: a turn with two parallel tool calls, and tasks of the Quartet', ({ name }) =>
    trials.get(name),
  );

  it('what endpoints refused is shown, and forgotten by an admin alone', async () => {
    await Promise.all(trials.values());
    const key = (await service.createKey()).raw_key;
    const learnt = async () => {
      const { body } = await client.call('GET', '/api/v1/models', { as: key });
      const models = body as { id: string; options: { learnt: { parameter: string; instead: string | null }[] } }[];
      return new Map(models.map(({ id, options }) => [id, options.learnt.map((one) => [one.parameter, one.instead])]));
    };
    const forget = (query: string, as: string | undefined) =>
      client.call('DELETE', `/api/v1/models/options${query}`, as === undefined ? {} : { as });
    const known = await learnt();
    expect(known.get('gpt-5-mini')).toEqual([
      ['max_tokens', 'max_completion_tokens'],
      ['temperature', null],
    ]);
    expect(known.get('moonshotai/kimi-k2-thinking') ?? []).toEqual([]);
    expect(JSON.stringify([...known.values()])).not.toContain('"tools"');
    expect((await forget('', key)).status).toBe(403);
    expect((await forget('', undefined)).status).toBe(401);
    expect((await forget('?of=gpt-5-mini', 'admin')).status).toBe(422);
    expect((await forget('?model=script%2Fnobody', 'admin')).status).toBe(404);
    expect(await learnt()).toEqual(known);
    expect((await forget('?model=gpt-5-mini', 'admin')).status).toBe(204);
    expect(await learnt()).toEqual(new Map([...known].filter(([id]) => id !== 'gpt-5-mini')));
    expect((await forget('', 'admin')).status).toBe(204);
    expect([...(await learnt()).values()].flat()).toEqual([]);
  });

  it.each(DIALECTS)('$name: the words of an error reach the caller', async (dialect) => {
    await trials.get(dialect.name);
    models.without.add(dialect.name);
    const { status, error } = await turn(dialect);
    expect(status).toBe('failed');
    const words = JSON.stringify(dialect.unknownModel.body);
    const told = /"(?:message|error)":"([^"\\]{5,60})/.exec(words)?.[1];
    expect(JSON.stringify(error)).toContain(told);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api, type Answer, type Api, type Call } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

const AGENTS = '/api/v1/agents';
const UNKNOWN = '00000000-0000-4000-8000-000000000000';

let service: Service;
let client: Api;
let key: string;
beforeAll(async () => {
  service = await startService({ ALLOWED_MODELS: 'script/echo', LLM_BASE_URL: 'http://127.0.0.1:9/v1' });
  client = await api(service);
  key = (await service.createKey()).raw_key;
});
afterAll(() => service.stop());

const create = (config: unknown, call: Call = {}): Promise<Answer> =>
  client.call('POST', AGENTS, { json: { config }, as: key, ...call });
const canonical = async (): Promise<{ id: string }> =>
  (await client.call('GET', `${AGENTS}?name=Nova&limit=1`)).body[0] as { id: string };

function faultsOf(answer: Answer): string[] {
  expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  return (answer.body.errors as { pointer: string }[]).map((fault) => fault.pointer);
}

describe('a new agent', () => {
  it('needs a name only, and has the defaults that are documented', async () => {
    const answer = await create({ name: 'Ada' });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`${AGENTS}/${answer.body.id}`);
    expect(answer.body).toEqual({
      id: expect.any(String),
      config: {
        name: 'Ada',
        system_prompt: '',
        model: 'script/demo',
        tools: null,
        memory_tiers: [],
        max_context_tokens: 8192,
        fallback_models: [],
        metadata: {},
      },
      status: 'idle',
      created_at: expect.any(String),
      updated_at: expect.any(String),
      last_active: null,
    });
    expect((await client.call('GET', answer.headers.get('location') ?? '')).body).toEqual(answer.body);
  });

  it('keeps what it was given', async () => {
    const config = {
      name: 'Grace',
      system_prompt: 'Be brief.',
      model: 'script/echo',
      tools: ['files', 'run_shell'],
      memory_tiers: ['episodic'],
      max_context_tokens: 1000,
      fallback_models: ['script/demo'],
      metadata: { team: 'a' },
    };
    expect((await create(config)).body.config).toEqual(config);
  });

  it.each<[unknown, string]>([
    [undefined, '#/config'],
    [[], '#/config'],
    ['x', '#/config'],
    [{}, '#/config/name'],
    [{ name: '' }, '#/config/name'],
    [{ name: 'x'.repeat(101) }, '#/config/name'],
    [{ name: 'a\u0000' }, '#/config/name'],
    [{ name: 'x', system_prompt: 'x'.repeat(100_001) }, '#/config/system_prompt'],
    [{ name: 'x', model: '' }, '#/config/model'],
    [{ name: 'x', tools: 'files' }, '#/config/tools'],
    [{ name: 'x', tools: [''] }, '#/config/tools'],
    [{ name: 'x', max_context_tokens: 0 }, '#/config/max_context_tokens'],
    [{ name: 'x', fallback_models: [1] }, '#/config/fallback_models'],
    [{ name: 'x', metadata: { text: 'x'.repeat(16 * 1024) } }, '#/config/metadata'],
    [{ name: 'x', status: 'running' }, '#/config/status'],
  ])('is refused when it is %#', async (config, pointer) => {
    expect(faultsOf(await create(config))).toContain(pointer);
  });

  it('names only models that callers may name', async () => {
    expect((await create({ name: 'x', model: 'big/model' })).body).toMatchObject({ code: 'model_not_allowed' });
    const fallback = { name: 'x', fallback_models: ['script/demo', 'big/model'] };
    expect((await create(fallback)).body).toMatchObject({ code: 'model_not_allowed' });
    expect((await create({ name: 'x', model: 'big/model' }, { as: 'admin' })).status).toBe(201);
  });
});

describe('the list', () => {
  it('is oldest first, and pages through all of them by its links', async () => {
    for (let n = 0; n < 5; n += 1) await create({ name: `Page ${n}` });
    const whole = (await client.call('GET', `${AGENTS}?limit=200`)).body as { id: string; created_at: string }[];
    const times = whole.map((agent) => agent.created_at);
    expect(times).toEqual([...times].sort());
    const paged: string[] = [];
    for (let next: string | undefined = `${AGENTS}?limit=2`; next !== undefined;) {
      const page: Answer = await client.call('GET', next);
      expect(page.body.length).toBeLessThanOrEqual(2);
      paged.push(...(page.body as { id: string }[]).map((agent) => agent.id));
      next = /<([^>]+)>/.exec(page.headers.get('link') ?? '')?.[1];
    }
    expect(paged).toEqual(whole.map((agent) => agent.id));
    expect((await client.call('GET', `${AGENTS}?limit=1&offset=1`)).body[0].id).toBe(whole[1]?.id);
  });

  it('filters by name and status, and cuts long texts', async () => {
    await create({ name: 'Long', system_prompt: 'x'.repeat(2_001) });
    const [long] = (await client.call('GET', `${AGENTS}?name=Long`)).body;
    expect(long).toMatchObject({ truncated: ['config.system_prompt'], status: 'idle' });
    expect(long.config.system_prompt).toHaveLength(2_000);
    expect((await client.call('GET', `${AGENTS}?name=Long&status=running`)).body).toEqual([]);
    expect((await client.call('GET', `${AGENTS}?status=asleep`)).status).toBe(422);
    expect((await client.call('GET', `${AGENTS}?cursor=x`)).status).toBe(422);
  });
});

describe('a change', () => {
  it('is the admin’s, touches what it names, and moves updated_at', async () => {
    const made = (await create({ name: 'Before', system_prompt: 'one' })).body;
    const path = `${AGENTS}/${made.id}/config`;
    expect((await client.call('PATCH', path, { json: { name: 'x' }, as: key })).status).toBe(403);
    expect((await client.call('PATCH', path, { json: { name: 'x' } })).status).toBe(401);
    const json = { name: 'After', model: 'script/echo', tools: [], metadata: { a: 1 } };
    const changed = await client.call('PATCH', path, { json, as: 'admin' });
    expect(changed.status).toBe(200);
    expect(changed.body.config).toEqual({ ...made.config, ...json });
    expect(Date.parse(changed.body.updated_at)).toBeGreaterThan(Date.parse(made.updated_at));
    expect((await client.call('GET', `${AGENTS}/${made.id}`)).body).toEqual(changed.body);
    // What was read can be sent back.
    const again = await client.call('PATCH', path, { json: changed.body.config, as: 'admin' });
    expect(again.body.config).toEqual(changed.body.config);
  });

  it('with a null model goes back to the service’s default', async () => {
    const { id } = (await create({ name: 'x', model: 'script/echo' })).body;
    const answer = await client.call('PATCH', `${AGENTS}/${id}/config`, { json: { model: null }, as: 'admin' });
    expect(answer.body.config.model).toBe('script/demo');
  });

  it.each<[unknown, string]>([
    [{ name: null }, '#/name'],
    [{ nome: 'x' }, '#/nome'],
    [{ max_context_tokens: 1.5 }, '#/max_context_tokens'],
  ])('is refused when it is %#', async (json, pointer) => {
    const { id } = await canonical();
    expect(faultsOf(await client.call('PATCH', `${AGENTS}/${id}/config`, { json, as: 'admin' }))).toContain(pointer);
  });
});

describe('an id', () => {
  it.each(['GET', 'DELETE'])('that is unknown or none: %s', async (method) => {
    expect((await client.call(method, `${AGENTS}/${UNKNOWN}`)).body).toMatchObject({ code: 'not_found' });
    expect((await client.call(method, `${AGENTS}/nova`)).status).toBe(422);
  });

  it('that is unknown cannot be changed', async () => {
    const answer = await client.call('PATCH', `${AGENTS}/${UNKNOWN}/config`, { json: {}, as: 'admin' });
    expect(answer.body).toMatchObject({ code: 'not_found' });
  });
});

describe('the canonical agent', () => {
  it('cannot be deleted; one that callers named Nova can', async () => {
    const { id } = await canonical();
    const refused = await client.call('DELETE', `${AGENTS}/${id}`, { as: 'admin' });
    expect(refused.body).toMatchObject({ status: 409, code: 'canonical_agent' });
    const other = (await create({ name: 'Nova' })).body;
    expect((await client.call('DELETE', `${AGENTS}/${other.id}`, { as: key })).status).toBe(204);
    expect((await client.call('GET', `${AGENTS}/${other.id}`)).status).toBe(404);
    expect((await client.call('DELETE', `${AGENTS}/${other.id}`, { as: key })).status).toBe(404);
    expect((await client.call('GET', `${AGENTS}/${id}`)).status).toBe(200);
  });
});

describe('the tools', () => {
  it('are listed by group', async () => {
    const groups = (await client.call('GET', '/api/v1/tools', { as: key })).body as {
      category: string;
      source: string;
      tools: { name: string }[];
    }[];
    const platform = groups.find(({ category }) => category === 'platform');
    expect(platform).toMatchObject({ source: 'builtin' });
    expect(platform?.tools.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'list_agents',
        'get_agent_info',
        'create_agent',
        'list_available_models',
        'send_message_to_agent',
      ]),
    );
    expect(groups.map(({ category }) => category)).toContain('files');
  });
});

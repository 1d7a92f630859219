import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from '../../../src/platform/database/index.js';
import { insertTask } from '../../integration/pods/insert-task.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

const UNKNOWN = '00000000-0000-4000-8000-000000000000';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

let service: Service;
let client: Api;
let key: string;
let names = 0;

beforeAll(async () => {
  service = await startService({ REQUIRE_AUTH: 'true' });
  client = await api(service);
  key = (await service.createKey()).raw_key;
});
afterAll(() => service.stop());

const get = (path: string): Promise<Answer> => client.call('GET', `/api/v1/pods${path}`, { as: key });
const admin = (method: string, path: string, json?: unknown): Promise<Answer> =>
  client.call(method, `/api/v1/pods${path}`, { as: 'admin', json });

async function newPod(fields: object = {}): Promise<Answer['body']> {
  names += 1;
  const answer = await admin('POST', '', { name: `Pod ${names}`, ...fields });
  expect(answer.status).toBe(201);
  return answer.body;
}

async function newAgent(podId: string, fields: object = {}): Promise<Answer['body']> {
  const answer = await admin('POST', `/${podId}/agents`, { name: 'An agent', role: 'task', ...fields });
  expect(answer.status).toBe(201);
  return answer.body;
}

/** The pointers of a 422. */
function faultsOf(answer: Answer): string[] {
  expect(answer.status).toBe(422);
  expect(answer.body.code).toBe('validation_failed');
  const pointers = (answer.body.errors as { pointer: string }[]).map((fault) => fault.pointer);
  return [...new Set(pointers)].sort();
}

describe('the seeded pods', () => {
  const CONTEXT_TOOLS = ['list_dir', 'read_file', 'search_codebase'];
  const CODE_TOOLS = ['list_dir', 'read_file', 'write_file', 'edit_file', 'run_shell', 'search_codebase'];
  const fields = (agent: Answer['body']): unknown[] => [
    agent.role,
    agent.temperature,
    agent.max_tokens,
    agent.timeout_seconds,
    agent.max_retries,
    agent.on_failure,
    agent.parallel_group,
    agent.allowed_tools,
    agent.run_condition,
  ];
  const context = ['context', 0.2, 4096, 60, 0, 'abort', null, CONTEXT_TOOLS, null];
  const task = (tools: string[]): unknown[] => ['task', 0.5, 8192, 300, 0, 'abort', null, tools, null];
  const guardrail = ['guardrail', 0.1, 2048, 60, 3, 'escalate', 'review', [], null];
  const codeReview = ['code_review', 0.3, 4096, 120, 3, 'escalate', 'review', [], null];
  const condition = {
    type: 'or',
    conditions: [
      { type: 'on_flag', flag: 'guardrail_blocked' },
      { type: 'on_flag', flag: 'code_review_rejected' },
    ],
  };
  const decision = ['decision', 0.2, 4096, 60, 0, 'escalate', null, [], condition];
  const PODS: Record<string, { review: string; threshold: string; agents: unknown[][] }> = {
    Quartet: {
      review: 'on_escalation',
      threshold: 'medium',
      agents: [context, task(CODE_TOOLS), guardrail, codeReview, decision],
    },
    'Quick Reply': { review: 'never', threshold: 'critical', agents: [task([])] },
    Research: { review: 'on_escalation', threshold: 'medium', agents: [context, task(CONTEXT_TOOLS)] },
    'Code Generation': {
      review: 'on_escalation',
      threshold: 'medium',
      agents: [context, task(CODE_TOOLS), guardrail, codeReview, decision],
    },
    Analysis: { review: 'on_escalation', threshold: 'medium', agents: [context, task(CONTEXT_TOOLS)] },
  };

  it('are the five, with the agents and limits they are documented with', async () => {
    const listed = await get('');
    expect(listed.status).toBe(200);
    const seeded = listed.body.filter((pod: { name: string }) => pod.name in PODS);
    expect(seeded.map((pod: { name: string }) => pod.name)).toEqual(Object.keys(PODS).sort());
    for (const pod of seeded) {
      const expected = PODS[pod.name]!;
      expect(pod).toMatchObject({
        enabled: true,
        sandbox: 'workspace',
        network: 'off',
        max_execution_seconds: 1800,
        max_cost_usd: null,
        default_model: null,
        review_by: 'owner',
        require_human_review: expected.review,
        escalation_threshold: expected.threshold,
        is_system_default: pod.name === 'Quartet',
        active_agent_count: expected.agents.length,
      });
      const detail = await get(`/${pod.id}`);
      expect(detail.body.agents.map(fields)).toEqual(expected.agents);
      expect(detail.body.agents.every((agent: { enabled: boolean }) => agent.enabled)).toBe(true);
    }
  });

  it('keep an edit over a restart', async () => {
    const first = await startService();
    const { database } = first;
    const id = '00000000-0000-7000-8000-000000000003';
    const edit = { name: 'My research', max_cost_usd: 1.5 };
    expect((await first.admin(`/api/v1/pods/${id}`, { method: 'PATCH', json: edit })).status).toBe(200);
    const removed = await first.admin('/api/v1/pods/00000000-0000-7000-8000-000000000005', { method: 'DELETE' });
    expect(removed.status).toBe(204);
    first.signal('SIGTERM');
    await first.exited;

    const second = await startService({ DATABASE_URL: database!.url });
    try {
      const listed = (await (await second.fetch('/api/v1/pods')).json()) as { name: string }[];
      expect(listed.map((pod) => pod.name)).toEqual(['Code Generation', 'My research', 'Quartet', 'Quick Reply']);
      expect(await (await second.fetch(`/api/v1/pods/${id}`)).json()).toMatchObject(edit);
    } finally {
      await second.stop();
      await first.stop();
    }
  });
});

describe('access', () => {
  const ROUTES: [string, string, object | undefined, boolean][] = [
    ['GET', '', undefined, false],
    ['POST', '', { name: 'Mine' }, true],
    ['GET', `/${UNKNOWN}`, undefined, false],
    ['PATCH', `/${UNKNOWN}`, {}, true],
    ['DELETE', `/${UNKNOWN}`, undefined, true],
    ['GET', `/${UNKNOWN}/agents`, undefined, false],
    ['POST', `/${UNKNOWN}/agents`, { name: 'Mine', role: 'task' }, true],
    ['PATCH', `/${UNKNOWN}/agents/${UNKNOWN}`, {}, true],
    ['DELETE', `/${UNKNOWN}/agents/${UNKNOWN}`, undefined, true],
  ];

  it.each(ROUTES)('%s /pods%s asks for the right credential', async (method, path, json, adminOnly) => {
    const url = `/api/v1/pods${path}`;
    const call = (as?: string): Promise<Answer> => client.call(method, url, { json, ...(as && { as }) });
    expect((await call()).status).toBe(401);
    expect((await call(key)).status).toBe(adminOnly ? 403 : path === '' ? 200 : 404);
    if (path !== '') expect((await call('admin')).status).toBe(404);
  });
});

describe('a pod', () => {
  it('needs a name only and is made with the documented defaults', async () => {
    const answer = await admin('POST', '', { name: 'Plain' });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`/api/v1/pods/${answer.body.id}`);
    expect(answer.body).toEqual({
      id: expect.stringMatching(UUID),
      name: 'Plain',
      description: '',
      enabled: true,
      default_model: null,
      max_cost_usd: null,
      max_execution_seconds: 1800,
      review_by: 'owner',
      network: 'off',
      require_human_review: 'on_escalation',
      escalation_threshold: 'medium',
      sandbox: 'workspace',
      routing_keywords: [],
      metadata: {},
      is_system_default: false,
      active_agent_count: 0,
      agents: [],
      created_at: expect.stringMatching(TIME),
      updated_at: expect.stringMatching(TIME),
    });
    expect((await get(`/${answer.body.id}`)).body).toEqual(answer.body);
  });

  it('keeps every field it is made with', async () => {
    const fields = {
      name: 'Whole ❤️',
      description: 'Text',
      enabled: false,
      default_model: 'openai/gpt',
      max_cost_usd: 0.25,
      max_execution_seconds: 86_400,
      review_by: 'admin',
      network: 'on',
      require_human_review: 'always',
      escalation_threshold: 'high',
      sandbox: 'isolated',
      routing_keywords: ['a', 'b'],
      metadata: { nested: [1, { two: null }] },
    };
    expect(await newPod(fields)).toMatchObject(fields);
  });

  it('has a name that no other pod has', async () => {
    const pod = await newPod({ name: 'Only one' });
    const other = await newPod();
    for (const answer of [
      await admin('POST', '', { name: 'Only one' }),
      await admin('PATCH', `/${other.id}`, { name: 'Only one' }),
    ]) {
      expect(answer.status).toBe(409);
      expect(answer.body.code).toBe('name_taken');
    }
    expect((await admin('PATCH', `/${pod.id}`, { name: 'Only one' })).status).toBe(200);
  });

  it.each([
    [['#/name'], {}],
    [['#/name'], { name: '' }],
    [['#/name'], { name: 'x'.repeat(101) }],
    [['#/name'], { name: '\u2764\ufe0f'.repeat(51) }],
    [['#/name'], { name: 7 }],
    [['#/name'], { name: 'a\u0000b' }],
    [['#/colour', '#/is_system_default'], { name: 'n', colour: 'red', is_system_default: true }],
    [['#/description', '#/enabled', '#/sandbox'], { name: 'n', description: null, enabled: null, sandbox: null }],
    [['#/description'], { name: 'n', description: 'x'.repeat(2001) }],
    [['#/enabled'], { name: 'n', enabled: 'yes' }],
    [['#/max_cost_usd'], { name: 'n', max_cost_usd: 0 }],
    [['#/max_cost_usd', '#/max_execution_seconds'], { name: 'n', max_cost_usd: -1, max_execution_seconds: 0 }],
    [['#/max_execution_seconds'], { name: 'n', max_execution_seconds: 86_401 }],
    [['#/max_execution_seconds'], { name: 'n', max_execution_seconds: 1.5 }],
    [['#/network', '#/review_by'], { name: 'n', review_by: 'nobody', network: 'maybe' }],
    [['#/require_human_review'], { name: 'n', require_human_review: 'sometimes' }],
    [['#/escalation_threshold', '#/sandbox'], { name: 'n', escalation_threshold: 'none', sandbox: 'root' }],
    [['#/routing_keywords'], { name: 'n', routing_keywords: 'x' }],
    [['#/routing_keywords'], { name: 'n', routing_keywords: [''] }],
    [['#/metadata'], { name: 'n', metadata: [] }],
    [['#/metadata'], { name: 'n', metadata: { big: 'x'.repeat(16_384) } }],
  ])('is refused for what is wrong at %j', async (pointers, body) => {
    expect(faultsOf(await admin('POST', '', body))).toEqual(pointers);
  });

  it('cannot have the tier host on a service without it', async () => {
    const pod = await newPod();
    for (const answer of [
      await admin('POST', '', { name: 'Host', sandbox: 'host' }),
      await admin('PATCH', `/${pod.id}`, { sandbox: 'host' }),
    ]) {
      expect(answer.status).toBe(422);
      expect(answer.body).toMatchObject({ code: 'sandbox_not_allowed', errors: [{ pointer: '#/sandbox' }] });
    }
  });

  it('changes in the fields that a PATCH holds, and updated_at moves', async () => {
    const pod = await newPod({ default_model: 'a', routing_keywords: ['x'], metadata: { a: 1 } });
    const changed = await admin('PATCH', `/${pod.id}`, { default_model: null, enabled: false });
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({
      ...pod,
      default_model: null,
      enabled: false,
      updated_at: expect.stringMatching(TIME),
    });
    expect(Date.parse(changed.body.updated_at)).toBeGreaterThan(Date.parse(pod.updated_at));
    const nothing = await admin('PATCH', `/${pod.id}`, {});
    expect(Date.parse(nothing.body.updated_at)).toBeGreaterThan(Date.parse(changed.body.updated_at));
    expect(nothing.body).toEqual({ ...changed.body, updated_at: nothing.body.updated_at });
  });

  it('can be sent back as it was read, and its read-only fields do not change', async () => {
    const pod = await newPod();
    await newAgent(pod.id);
    const read = (await get(`/${pod.id}`)).body;
    const tampered = {
      ...read,
      id: UNKNOWN,
      is_system_default: true,
      active_agent_count: 9,
      created_at: 'x',
      agents: 1,
    };
    for (const body of [read, tampered]) {
      const answer = await admin('PATCH', `/${pod.id}`, body);
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ ...read, updated_at: answer.body.updated_at });
    }
  });

  it.each([
    [['#/name'], { name: null }],
    [['#/name'], { name: '' }],
    [['#/enabled', '#/metadata', '#/routing_keywords'], { enabled: null, metadata: null, routing_keywords: null }],
    [['#/colour'], { colour: 'red' }],
    [['#/max_cost_usd', '#/sandbox'], { sandbox: 'root', max_cost_usd: '1' }],
  ])('is not changed by a PATCH that is wrong at %j', async (pointers, body) => {
    const pod = await newPod();
    expect(faultsOf(await admin('PATCH', `/${pod.id}`, body))).toEqual(pointers);
    expect((await get(`/${pod.id}`)).body).toEqual(pod);
  });

  it('is gone after a DELETE, with its agents', async () => {
    const pod = await newPod();
    await newAgent(pod.id);
    expect((await admin('DELETE', `/${pod.id}`)).status).toBe(204);
    for (const path of [`/${pod.id}`, `/${pod.id}/agents`]) expect((await get(path)).status).toBe(404);
    expect((await admin('DELETE', `/${pod.id}`)).status).toBe(404);
  });

  it('stays while it is the system pod or has unfinished tasks', async () => {
    const quartet = (await get('')).body.find((pod: { is_system_default: boolean }) => pod.is_system_default);
    const system = await admin('DELETE', `/${quartet.id}`);
    expect([system.status, system.body.code]).toEqual([409, 'system_pod']);

    const pod = await newPod();
    const database = service.database!.database;
    const task = await insertTask(database, { podId: pod.id, status: 'queued' });
    const inUse = await admin('DELETE', `/${pod.id}`);
    expect([inUse.status, inUse.body.code]).toEqual([409, 'pod_in_use']);
    await database.query('test.remove', sql`delete from tasks where id = ${task}`);
    expect((await admin('DELETE', `/${pod.id}`)).status).toBe(204);
  });

  it('is 404 by an unknown id and 422 by what is no id', async () => {
    expect((await get(`/${UNKNOWN}`)).body.code).toBe('not_found');
    expect((await get(`/${UNKNOWN.toUpperCase()}`)).status).toBe(404);
    for (const [method, path] of [
      ['GET', '/x'],
      ['PATCH', '/x'],
      ['DELETE', '/x'],
      ['GET', '/x/agents'],
      ['POST', '/x/agents'],
      ['PATCH', `/${UNKNOWN}/agents/x`],
      ['DELETE', `/${UNKNOWN}/agents/x`],
    ] as const) {
      expect((await admin(method, path, method === 'POST' ? { name: 'a', role: 'task' } : undefined)).status).toBe(422);
    }
  });
});

describe('the list of pods', () => {
  it('is ordered by name and pages by limit, offset and links', async () => {
    for (const name of ['zz b', 'zz a', 'ZZ', 'zz ä']) await newPod({ name });
    const all: string[] = (await get('?limit=200')).body.map((pod: { name: string }) => pod.name);
    expect(all).toEqual([...all].sort());
    expect((await get('?limit=2&offset=3')).body.map((pod: { name: string }) => pod.name)).toEqual(all.slice(3, 5));

    const followed: string[] = [];
    for (let path: string | null = '/api/v1/pods?limit=3&offset=1'; path !== null;) {
      const page: Answer = await client.call('GET', path, { as: key });
      followed.push(...page.body.map((pod: { name: string }) => pod.name));
      path = /^<([^>]+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1] ?? null;
    }
    expect(followed).toEqual(all.slice(1));
  });

  it.each([['limit=0'], ['limit=201'], ['offset=-1'], ['offset=10001'], ['limit=x'], ['cursor='], ['cursor=gA']])(
    'refuses ?%s',
    async (query) => {
      expect(faultsOf(await get(`?${query}`))).toEqual([`#/query/${query.split('=')[0]}`]);
    },
  );
});

describe('a pod agent', () => {
  it('needs a name and a role only and is made with the documented defaults', async () => {
    const pod = await newPod();
    const agent = await newAgent(pod.id, { name: 'Worker', role: 'task' });
    expect(agent).toEqual({
      id: expect.stringMatching(UUID),
      pod_id: pod.id,
      name: 'Worker',
      role: 'task',
      description: '',
      enabled: true,
      position: 1,
      parallel_group: null,
      model: null,
      fallback_models: [],
      temperature: 0.3,
      max_tokens: 4096,
      timeout_seconds: 120,
      max_retries: 2,
      system_prompt: null,
      allowed_tools: null,
      on_failure: 'abort',
      run_condition: null,
      artifact_type: null,
      created_at: expect.stringMatching(TIME),
      updated_at: expect.stringMatching(TIME),
    });
    expect((await get(`/${pod.id}`)).body).toMatchObject({ active_agent_count: 1, agents: [agent] });
    expect((await get(`/${pod.id}/agents`)).body).toEqual([{ ...agent, truncated: [] }]);
  });

  it('keeps every field it is made with, and pods list theirs by position', async () => {
    const pod = await newPod();
    const fields = {
      name: 'Reviewer',
      role: 'code_review',
      description: 'Text',
      enabled: false,
      position: 7,
      parallel_group: 'review',
      model: 'openai/gpt',
      fallback_models: ['a', 'b/c'],
      temperature: 2,
      max_tokens: 1,
      timeout_seconds: 86_400,
      max_retries: 10,
      system_prompt: 'Be strict.',
      allowed_tools: ['read_file', 'git', 'mcp:server', 'mcp__server__tool', 'not_known_yet'],
      on_failure: 'escalate',
      run_condition: {
        type: 'and',
        conditions: [{ type: 'on_pass' }, { type: 'not_flag', flag: 'has_code_artifacts' }],
      },
      artifact_type: 'review',
    };
    const agent = await newAgent(pod.id, fields);
    expect(agent).toMatchObject(fields);
    const after = await newAgent(pod.id, { role: 'decision' });
    const before = await newAgent(pod.id, { role: 'context', position: 0 });
    const ids = (await get(`/${pod.id}/agents`)).body.map((one: { id: string }) => one.id);
    expect(ids).toEqual([before.id, agent.id, after.id]);
    expect(after.position).toBe(8);
    expect((await get(`/${pod.id}/agents?limit=1&offset=1`)).body.map((one: { id: string }) => one.id)).toEqual([
      agent.id,
    ]);
  });

  it('has a role and a position of its own', async () => {
    const pod = await newPod();
    await newAgent(pod.id, { position: 1 });
    const other = await newAgent(pod.id, { role: 'context', position: 2 });
    const path = `/${pod.id}/agents`;
    for (const [answer, code] of [
      [await admin('POST', path, { name: 'n', role: 'decision', position: 1 }), 'position_taken'],
      [await admin('PATCH', `${path}/${other.id}`, { position: 1 }), 'position_taken'],
      [await admin('POST', path, { name: 'n', role: 'task' }), 'role_taken'],
      [await admin('PATCH', `${path}/${other.id}`, { role: 'task' }), 'role_taken'],
    ] as const) {
      expect([answer.status, answer.body.code]).toEqual([409, code]);
    }
  });

  it.each([
    [['#/name', '#/role'], {}],
    [['#/role'], { name: 'n', role: 'boss' }],
    [['#/colour', '#/pod_id'], { name: 'n', role: 'task', colour: 'red', pod_id: UNKNOWN }],
    [['#/position', '#/temperature'], { name: 'n', role: 'task', position: -1, temperature: 2.1 }],
    [['#/position'], { name: 'n', role: 'task', position: 1001 }],
    [['#/position'], { name: 'n', role: 'task', position: 1.5 }],
    [['#/position'], { name: 'n', role: 'task', position: null }],
    [['#/max_retries', '#/max_tokens'], { name: 'n', role: 'task', max_retries: 11, max_tokens: 0 }],
    [['#/timeout_seconds'], { name: 'n', role: 'task', timeout_seconds: 0 }],
    [['#/fallback_models'], { name: 'n', role: 'task', fallback_models: [''] }],
    [['#/allowed_tools'], { name: 'n', role: 'task', allowed_tools: ['rm -rf'] }],
    [['#/allowed_tools'], { name: 'n', role: 'task', allowed_tools: Array(201).fill('read_file') }],
    [['#/system_prompt'], { name: 'n', role: 'task', system_prompt: 'x'.repeat(100_001) }],
    [['#/on_failure'], { name: 'n', role: 'task', on_failure: 'retry' }],
    [['#/on_failure'], { name: 'n', role: 'task', on_failure: 'skip' }],
    [['#/run_condition'], { name: 'n', role: 'task', run_condition: 'always' }],
    [['#/run_condition/flag'], { name: 'n', role: 'task', run_condition: { type: 'on_flag' } }],
    [
      ['#/run_condition/conditions/0/type'],
      { name: 'n', role: 'task', run_condition: { type: 'or', conditions: [{ type: 'x' }] } },
    ],
  ])('is refused for what is wrong at %j', async (pointers, body) => {
    const pod = await newPod();
    expect(faultsOf(await admin('POST', `/${pod.id}/agents`, body))).toEqual(pointers);
    expect((await get(`/${pod.id}/agents`)).body).toEqual([]);
  });

  it('changes in the fields that a PATCH holds, and can be sent back as it was read', async () => {
    const pod = await newPod();
    const agent = await newAgent(pod.id, { model: 'a', run_condition: { type: 'never' }, allowed_tools: [] });
    const path = `/${pod.id}/agents/${agent.id}`;
    const changed = await admin('PATCH', path, { model: null, run_condition: null, position: 4 });
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({
      ...agent,
      model: null,
      run_condition: null,
      position: 4,
      updated_at: expect.stringMatching(TIME),
    });
    expect(Date.parse(changed.body.updated_at)).toBeGreaterThan(Date.parse(agent.updated_at));
    const [listed] = (await get(`/${pod.id}/agents`)).body;
    const same = await admin('PATCH', path, { ...listed, id: UNKNOWN, pod_id: UNKNOWN, created_at: 'x' });
    expect(same.status).toBe(200);
    expect(same.body).toEqual({ ...changed.body, updated_at: same.body.updated_at });
  });

  it('is listed with a long prompt cut, and keeps it whole when the cut one is sent back', async () => {
    const pod = await newPod();
    const prompt = `${'x'.repeat(1999)}🙂${'y'.repeat(5000)}`;
    const agent = await newAgent(pod.id, { system_prompt: prompt });
    const [listed] = (await get(`/${pod.id}/agents`)).body;
    expect(listed.truncated).toEqual(['system_prompt']);
    expect(listed.system_prompt).toBe('x'.repeat(1999));
    const answer = await admin('PATCH', `/${pod.id}/agents/${agent.id}`, listed);
    expect(answer.body.system_prompt).toBe(prompt);
    expect((await get(`/${pod.id}`)).body.agents[0].system_prompt).toBe(prompt);
  });

  it('holds no writing tool in a parallel group, checked on the result', async () => {
    const pod = await newPod();
    const path = `/${pod.id}/agents`;
    const readOnly = { parallel_group: 'review', allowed_tools: ['read_file'] };
    await newAgent(pod.id, { role: 'guardrail', ...readOnly });
    for (const tools of [null, ['write_file'], ['shell']]) {
      const body = { name: 'n', role: 'code_review', parallel_group: 'review', allowed_tools: tools };
      expect(faultsOf(await admin('POST', path, body))).toEqual(['#/allowed_tools']);
    }
    const review = await newAgent(pod.id, { role: 'code_review', ...readOnly });
    const patched = await admin('PATCH', `${path}/${review.id}`, { allowed_tools: null });
    expect(faultsOf(patched)).toEqual(['#/allowed_tools']);
    expect((await admin('PATCH', `${path}/${review.id}`, { allowed_tools: null, parallel_group: null })).status).toBe(
      200,
    );
    expect(faultsOf(await admin('PATCH', `${path}/${review.id}`, { parallel_group: 'review' }))).toEqual([
      '#/allowed_tools',
    ]);
  });

  it('is not taken out where those left would then run together and may not', async () => {
    const pod = await newPod();
    const path = `/${pod.id}/agents`;
    await newAgent(pod.id, { role: 'task', parallel_group: 'g' });
    const between = await newAgent(pod.id, { role: 'guardrail', allowed_tools: [] });
    const last = await newAgent(pod.id, { role: 'code_review', parallel_group: 'g', allowed_tools: [] });
    const refused = await admin('DELETE', `${path}/${between.id}`);
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict']);
    expect((await admin('DELETE', `${path}/${last.id}`)).status).toBe(204);
    expect((await admin('DELETE', `${path}/${between.id}`)).status).toBe(204);
    expect((await admin('DELETE', `${path}/${between.id}`)).status).toBe(404);
  });

  it('is reached through its own pod only', async () => {
    const [one, other] = [await newPod(), await newPod()];
    const agent = await newAgent(one.id);
    expect((await admin('PATCH', `/${other.id}/agents/${agent.id}`, { name: 'x' })).status).toBe(404);
    expect((await admin('DELETE', `/${other.id}/agents/${agent.id}`)).status).toBe(404);
  });
});

describe('many admins at once', () => {
  it('get answers, never a fault', async () => {
    const pod = await newPod();
    const roles = ['context', 'task', 'guardrail', 'code_review', 'decision'];
    const calls = Array.from({ length: 60 }, (_, index) => {
      const role = roles[index % roles.length];
      if (index % 4 === 0) return admin('POST', '', { name: `Same ${index % 3}` });
      if (index % 4 === 1) return admin('PATCH', `/${pod.id}`, { name: `Same ${index % 3}` });
      return admin('POST', `/${pod.id}/agents`, { name: 'n', role, ...(index % 4 === 2 && { position: index % 7 }) });
    });
    const statuses = new Set((await Promise.all(calls)).map((answer) => answer.status));
    expect([...statuses].every((status) => [200, 201, 409].includes(status))).toBe(true);
    expect((await get(`/${pod.id}/agents`)).body.length).toBe(5);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { api, type Answer, type Api, type Call } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

const TASKS = '/api/v1/pipeline/tasks';
const UNKNOWN = '00000000-0000-4000-8000-000000000000';

let service: Service;
let client: Api;
let key: string;
beforeAll(async () => {
  // Nothing works on tasks here: what is submitted stays queued.
  service = await startService({ ROLES: 'api' });
  client = await api(service);
  key = (await service.createKey()).raw_key;
});
afterAll(() => service.stop());

const submit = (json: unknown, call: Call = {}): Promise<Answer> => client.call('POST', TASKS, { json, ...call });
const keyed = (idempotencyKey: string, as?: string): Call => ({
  headers: { 'idempotency-key': idempotencyKey },
  ...(as === undefined ? {} : { as }),
});

function faultsOf(answer: Answer): string[] {
  expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  return (answer.body.errors as { pointer: string }[]).map((fault) => fault.pointer);
}

describe('a submission', () => {
  it('is accepted and found where the answer says', async () => {
    const answer = await submit({ user_input: 'Say hello.', metadata: { ticket: 7 }, priority: 9, max_retries: 0 });
    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({
      task_id: expect.any(String),
      status: 'queued',
      pod_name: 'Quartet',
      queued_at: expect.any(String),
    });
    const location = answer.headers.get('location') ?? '';
    expect(location).toBe(`${TASKS}/${answer.body.task_id}`);
    expect(answer.headers.has('idempotency-replayed')).toBe(false);
    const task = await client.call('GET', location);
    expect(task.body).toMatchObject({
      id: answer.body.task_id,
      status: 'queued',
      user_input: 'Say hello.',
      metadata: { ticket: 7 },
      priority: 9,
      max_retries: 0,
      output: null,
      summary: null,
      review: null,
      checkpoint: {},
      waiting_for: { reason: 'position', position: expect.any(Number) },
      findings_count: 0,
      total_cost_usd: 0,
    });
  });

  it('chooses a pod by name or id, and never another one instead', async () => {
    const pods = (await client.call('GET', '/api/v1/pods')).body as { id: string; name: string }[];
    const research = pods.find((pod) => pod.name === 'Research')?.id ?? '';
    expect((await submit({ user_input: 'x', pod_name: 'Research' })).body.pod_name).toBe('Research');
    expect((await submit({ user_input: 'x', pod_id: research.toUpperCase() })).body.pod_name).toBe('Research');
    expect((await submit({ user_input: 'x', pod_id: research, pod_name: 'Research' })).status).toBe(202);
    expect((await submit({ user_input: 'x', pod_id: research, pod_name: 'Quartet' })).status).toBe(422);
    expect((await submit({ user_input: 'x', pod_name: 'Nobody' })).body).toMatchObject({
      status: 404,
      code: 'not_found',
    });
    expect((await submit({ user_input: 'x', pod_id: UNKNOWN })).body).toMatchObject({ status: 404, code: 'not_found' });
    const off = await client.call('POST', '/api/v1/pods', { as: 'admin', json: { name: 'Off', enabled: false } });
    expect((await submit({ user_input: 'x', pod_id: off.body.id })).body).toMatchObject({
      code: 'pod_disabled',
      status: 409,
    });
  });

  it.each<[unknown, string]>([
    [{}, '#/user_input'],
    [{ user_input: '' }, '#/user_input'],
    [{ user_input: 5 }, '#/user_input'],
    [{ user_input: 'x'.repeat(200_001) }, '#/user_input'],
    [{ user_input: 'a\u0000b' }, '#/user_input'],
    [{ user_input: 'a\ud800b' }, '#/user_input'],
    [{ user_input: 'x', status: 'complete' }, '#/status'],
    [{ user_input: 'x', pod_id: 'quartet' }, '#/pod_id'],
    [{ user_input: 'x', pod_name: 7 }, '#/pod_name'],
    [{ user_input: 'x', pod_name: null }, '#/pod_name'],
    [{ user_input: 'x', priority: 10 }, '#/priority'],
    [{ user_input: 'x', priority: '5' }, '#/priority'],
    [{ user_input: 'x', max_retries: -1 }, '#/max_retries'],
    [{ user_input: 'x', max_retries: 0.5 }, '#/max_retries'],
    [{ user_input: 'x', metadata: [] }, '#/metadata'],
    [{ user_input: 'x', metadata: { text: 'x'.repeat(16 * 1024) } }, '#/metadata'],
    [{ user_input: 'x', metadata: { model_override: 7 } }, '#/metadata'],
    [{ user_input: 'x', metadata: { sandbox_override: 'root' } }, '#/metadata'],
    [{ user_input: 'x', metadata: { a: { b: 'a\u0000' } } }, '#/metadata/a/b'],
    [{ user_input: 'x', metadata: { 'a\u0000': 1 } }, '#/metadata/a%00'],
    [['x'], '#'],
  ])('is refused when it is %#', async (body, pointer) => {
    expect(faultsOf(await submit(body))).toContain(pointer);
  });

  it.each<[string, RequestInit, number]>([
    ['no body', {}, 422],
    ['an empty body', { body: '' }, 422],
    ['half a body', { body: '{"user_input":' }, 422],
    ['another type', { body: 'x', headers: { 'content-type': 'text/plain' } }, 415],
    ['bytes that are no UTF-8', { body: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]) }, 422],
    ['more than 4 MiB', { body: JSON.stringify({ user_input: 'x'.repeat(4 * 1024 * 1024) }) }, 413],
    [
      'more than 1 MiB that is a fault of its own',
      { body: JSON.stringify({ user_input: 'x'.repeat(2_000_000) }) },
      422,
    ],
  ])('with %s is refused', async (_, init, status) => {
    const answer = await service.fetch(TASKS, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ...init,
    });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });

  it('may hold what needs every byte of its limit', async () => {
    const answer = await submit({ user_input: '😀'.repeat(200_000) });
    expect(answer.status).toBe(202);
    const detail = await client.call('GET', `${TASKS}/${answer.body.task_id}`);
    expect(detail.body.user_input).toBe('😀'.repeat(200_000));
    const [listed] = (await client.call('GET', `${TASKS}?limit=1`)).body;
    expect(listed).toMatchObject({ id: answer.body.task_id, truncated: ['user_input'] });
    expect(listed.user_input.length).toBeLessThanOrEqual(4_000);
    expect(listed.user_input.isWellFormed()).toBe(true);
  });

  it('may lower the sandbox tier and never widen it', async () => {
    expect((await submit({ user_input: 'x', metadata: { sandbox_override: 'isolated' } })).status).toBe(202);
    for (const as of [undefined, key]) {
      const answer = await submit(
        { user_input: 'x', metadata: { sandbox_override: 'host' } },
        as === undefined ? {} : { as },
      );
      expect(answer.body).toMatchObject({ status: 422, code: 'sandbox_not_allowed' });
    }
  });
});

describe('an Idempotency-Key', () => {
  it('makes one task of fifty requests at once', async () => {
    const call = keyed(randomUUID(), key);
    const answers = await Promise.all(Array.from({ length: 50 }, () => submit({ user_input: 'once' }, call)));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]));
    const ids = new Set(answers.map((answer) => answer.body.task_id as string));
    expect(ids.size).toBe(1);
    expect(answers.filter((answer) => answer.headers.get('idempotency-replayed') !== 'true')).toHaveLength(1);
    const listed = (await client.call('GET', `${TASKS}?limit=200`, { as: key })).body as {
      id: string;
      user_input: string;
    }[];
    expect(listed.filter((task) => task.user_input === 'once').map((task) => task.id)).toEqual([...ids]);
  });

  it('answers with the task as it is now', async () => {
    const call = keyed('the task moves on', key);
    const first = await submit({ user_input: 'x' }, call);
    await client.call('POST', `${TASKS}/${first.body.task_id}/cancel`, { as: key });
    // Members in another order and defaults written out are the same body.
    const again = await submit({ priority: 5, max_retries: 2, user_input: 'x' }, call);
    expect(again.status).toBe(202);
    expect(again.body).toEqual({ ...first.body, status: 'cancelled' });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
  });

  it('is refused with another body, and belongs to its caller', async () => {
    const other = (await service.createKey()).raw_key;
    const mine = await submit({ user_input: 'mine' }, keyed('shared', key));
    const refused = await submit({ user_input: 'other' }, keyed('shared', key));
    expect(refused.body).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    const theirs = await submit({ user_input: 'theirs' }, keyed('shared', other));
    expect(theirs.status).toBe(202);
    expect(theirs.body.task_id).not.toBe(mine.body.task_id);
  });

  it('is not used up by a request that made nothing', async () => {
    expect((await submit({ user_input: 'x', pod_name: 'Nobody' }, keyed('failed'))).status).toBe(404);
    expect((await submit({ user_input: 'x' }, keyed('failed'))).status).toBe(202);
  });

  it.each(['', 'x'.repeat(256)])('of %# is refused', async (header) => {
    expect(faultsOf(await submit({ user_input: 'x' }, keyed(header)))).toEqual(['#/header/Idempotency-Key']);
  });
});

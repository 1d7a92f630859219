import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { json, sql, type Database } from '../../../src/platform/database/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { seedArtifact, seedEvents, seedFinding, seedStage, seedTask } from '../../integration/pipeline-views/seed.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

const PIPELINE = '/api/v1/pipeline';
const TASKS = `${PIPELINE}/tasks`;
const UNKNOWN = '00000000-0000-4000-8000-000000000000';
const clock = new Clock();

let service: Service;
let client: Api;
let db: Database;
/** Two callers and what they are called in `owner` columns. */
let a: string, b: string, ownerA: string;

beforeAll(async () => {
  service = await startService({ ROLES: 'api', REQUIRE_AUTH: 'true' });
  client = await api(service);
  if (service.database === null) throw new Error('the service has no database of its own');
  db = service.database.database;
  const [keyA, keyB] = [await service.createKey(), await service.createKey()];
  [a, b, ownerA] = [keyA.raw_key, keyB.raw_key, `key:${keyA.id}`];
});
afterAll(() => service.stop());

const get = (path: string, as = a): Promise<Answer> => client.call('GET', path, { as });

/** A task of A that waits for a person and has something of everything. */
async function richTask(): Promise<string> {
  const gate = { id: clock.newId(), kind: 'finding', reason: 'Open findings need a person.' };
  const id = await seedTask(db, { owner: ownerA, status: 'pending_human_review', gate });
  const stage = await seedStage(db, id, { role: 'guardrail' });
  await seedFinding(db, id, stage, 'found');
  await seedArtifact(db, id, { type: 'pending_output' });
  await db.query(
    'test.review',
    sql`insert into reviews (id, task_id, stage_id, iteration, verdict, issues, summary)
        values (${clock.newId()}, ${id}, ${stage}, 1, 'needs_refactor', ${json([{ severity: 'low', description: 'd', line: 3 }])}, 's')`,
  );
  await seedEvents(db, id, [{ type: 'task.queued' }, { type: 'gate.opened', data: { kind: 'finding' } }]);
  return id;
}

describe('a task of one key', () => {
  const reads = ['', '/findings', '/reviews', '/artifacts', '/stages', '/events', '/events?wait=false'];

  it.each(reads)('does not exist for another key at %j', async (path) => {
    const id = await richTask();
    const refused = await get(`${TASKS}/${id}${path}`, b);
    expect(refused.body).toMatchObject({ status: 404, code: 'not_found' });
    // The same words as for a task that never was.
    expect(refused.body.detail).toBe((await get(`${TASKS}/${UNKNOWN}${path}`, a)).body.detail.replace(UNKNOWN, id));
    if (path !== '/events') expect((await get(`${TASKS}/${id}${path}`, 'admin')).status).toBe(200);
  });

  it.each(['findings', 'reviews', 'artifacts', 'stages', 'events?wait=false'])('shows its %s', async (path) => {
    expect((await get(`${TASKS}/${await richTask()}/${path}`)).body.length).toBeGreaterThan(0);
  });

  it('cannot be changed by another key', async () => {
    const id = await richTask();
    const tries: [string, string, unknown?][] = [
      ['POST', `${TASKS}/${id}/cancel`],
      ['POST', `${TASKS}/${id}/review`, { decision: 'approve' }],
      ['DELETE', `${TASKS}/${id}`],
    ];
    for (const [method, path, body] of tries) {
      const answer = await client.call(method, path, { as: b, ...(body === undefined ? {} : { json: body }) });
      expect(answer.body).toMatchObject({ status: 404, code: 'not_found' });
    }
    expect((await get(`${TASKS}/${id}`)).body.status).toBe('pending_human_review');
  });

  it('is in no list of another key, whatever the filter', async () => {
    const id = await richTask();
    const seen = async (as: string, query: string): Promise<boolean> =>
      ((await get(`${TASKS}?limit=200${query}`, as)).body as { id: string }[]).some((task) => task.id === id);
    for (const query of ['', '&status=pending_human_review', '&pod_name=Quartet']) {
      expect([await seen(a, query), await seen(b, query), await seen('admin', query)]).toEqual([true, false, true]);
    }
  });
});

describe('a task that is over', () => {
  it('can be deleted, once; others cannot', async () => {
    const id = await seedTask(db, { owner: ownerA, status: 'failed' });
    const live = await seedTask(db, { owner: ownerA });
    expect((await client.call('DELETE', `${TASKS}/${live}`, { as: a })).body).toMatchObject({
      code: 'task_not_terminal',
    });
    expect((await client.call('DELETE', `${TASKS}/${id}`, { as: a })).status).toBe(204);
    expect((await client.call('DELETE', `${TASKS}/${id}`, { as: a })).status).toBe(404);
    expect((await get(`${TASKS}/${id}`)).status).toBe(404);
  });

  it('cannot be cancelled; others can, and stay so', async () => {
    const live = await seedTask(db, { owner: ownerA });
    const cancel = (): Promise<Answer> => client.call('POST', `${TASKS}/${live}/cancel`, { as: a });
    expect((await cancel()).body).toEqual({ task_id: live, status: 'cancelled' });
    expect((await cancel()).body).toMatchObject({ status: 409, code: 'task_terminal' });
    expect((await get(`${TASKS}/${live}`)).body).toMatchObject({
      status: 'cancelled',
      completed_at: expect.any(String),
    });
  });

  it('can be deleted by status, by the admin alone', async () => {
    const id = await seedTask(db, { owner: ownerA, status: 'complete' });
    const remove = (query: string, as = 'admin'): Promise<Answer> => client.call('DELETE', `${TASKS}${query}`, { as });
    expect((await remove('?status=complete', a)).status).toBe(403);
    expect((await remove('?status=complete,queued')).body).toMatchObject({ status: 400, code: 'not_terminal_status' });
    expect((await remove('?status=pending_human_review')).status).toBe(400);
    for (const query of ['', '?status=', '?status=done', '?status=complete,done', '?status=queued,done']) {
      expect((await remove(query)).body).toMatchObject({ status: 422, code: 'validation_failed' });
    }
    const done = await remove('?status=complete,failed,cancelled');
    expect(done.body).toEqual({ deleted: expect.any(Number), statuses: ['complete', 'failed', 'cancelled'] });
    expect(done.body.deleted).toBeGreaterThan(0);
    expect((await get(`${TASKS}/${id}`)).status).toBe(404);
    expect((await remove('?status=complete')).body).toEqual({ deleted: 0, statuses: ['complete'] });
  });

  it('are narrowed by the filters of the list when they are deleted by status', async () => {
    const podId = clock.newId();
    const [early, late] = ['2024-01-01T00:00:00Z', '2024-03-01T00:00:00Z'];
    const mine = await seedTask(db, { owner: ownerA, status: 'complete', podName: 'Mine', createdAt: early });
    const other = await seedTask(db, { owner: ownerA, status: 'complete', podName: 'Other', createdAt: late });
    const remove = async (query: string): Promise<unknown> =>
      (await client.call('DELETE', `${TASKS}?status=complete&${query}`, { as: 'admin' })).body.deleted;
    for (const query of [
      'pod_name=NoSuchPod',
      `pod_id=${podId}`,
      'created_before=2023-12-31',
      'created_after=2024-01-01T00:00:00Z&created_before=2024-03-01T00:00:00Z',
      'pod_name=Mine&created_after=2024-02-01',
    ]) {
      expect([query, await remove(query)]).toEqual([query, 0]);
    }
    for (const bad of ['pod_name=', 'pod_id=', 'pod_id=x', 'created_before=soon', 'pod_name=Mine&pod_name=Other']) {
      expect((await client.call('DELETE', `${TASKS}?status=complete&${bad}`, { as: 'admin' })).status).toBe(422);
    }
    expect(await remove('pod_name=Mine&created_before=2024-02-01')).toBe(1);
    expect((await get(`${TASKS}/${mine}`)).status).toBe(404);
    expect((await get(`${TASKS}/${other}`)).status).toBe(200);
    expect(await remove('created_after=2024-02-01&created_before=2024-04-01')).toBe(1);
  });
});

describe('lists', () => {
  const routes = (id: string): string[] => [
    TASKS,
    ...['findings', 'reviews', 'artifacts', 'stages'].map((part) => `${TASKS}/${id}/${part}`),
  ];

  it('refuse pages that are none', async () => {
    const forged = (at: string): string => Buffer.from(JSON.stringify([at, UNKNOWN])).toString('base64url');
    const bad = [
      'limit=0',
      'limit=201',
      'limit=x',
      'limit=1.5',
      'limit=',
      'offset=-1',
      'offset=10001',
      'cursor=',
      'cursor=x',
    ];
    const cursors = ['0000-01-01T00:00:00Z', '2024-02-30T00:00:00Z', '2024-01-01T00:00:00+23:00', 'now', "'"];
    for (const route of [...routes(await richTask()), `${PIPELINE}/dead-letter`]) {
      for (const query of [...bad, ...cursors.map((at) => `cursor=${forged(at)}`)]) {
        expect([query, (await get(`${route}?${query}`, 'admin')).status]).toEqual([query, 422]);
      }
    }
  });

  it('refuse filters that are none', async () => {
    const bad = [
      'status=done',
      'status=',
      'status=complete,,failed',
      'status=COMPLETE',
      'pod_id=quartet',
      'pod_name=',
      'pod_name=%00',
      'created_after=yesterday',
      'created_after=2024-02-30',
      'created_after=2024-W01',
      'created_before=0000-01-01T00:00:00Z',
      'created_before=',
    ];
    for (const query of bad) expect([query, (await get(`${TASKS}?${query}`)).status]).toEqual([query, 422]);
  });

  it('go on by their links with the filter kept, without gap or repetition', async () => {
    const { id: keyId, raw_key: reader } = await service.createKey();
    const ids: string[] = [];
    for (let task = 0; task < 5; task += 1) ids.push(await seedTask(db, { owner: `key:${keyId}`, status: 'failed' }));
    await seedTask(db, { owner: `key:${keyId}` });
    const seen: string[] = [];
    let path: string | undefined = `${TASKS}?status=failed,complete&limit=2&offset=0`;
    while (path !== undefined) {
      const page: Answer = await get(path, reader);
      seen.push(...(page.body as { id: string }[]).map((task) => task.id));
      // A task that comes meanwhile is on none of the later pages.
      await seedTask(db, { owner: `key:${keyId}`, status: 'failed' });
      path = /^<([^>]+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1];
    }
    expect(seen).toEqual(ids.toReversed());
    const byTime = await get(`${TASKS}?created_before=${new Date(0).toISOString()}`, reader);
    expect([byTime.body, byTime.headers.get('link')]).toEqual([[], null]);
    const local = new Date(Date.now() - 60_000).toISOString().replace('Z', '');
    expect((await get(`${TASKS}?created_after=${local}&limit=200`, reader)).body).toHaveLength(9);
  });
});

describe('every route', () => {
  const everyRoute = (id: string): [string, string, unknown?][] => [
    ...['', '/findings', '/reviews', '/artifacts', '/stages', '/events', '/events?wait=false'].map(
      (path): [string, string] => ['GET', `${TASKS}/${id}${path}`],
    ),
    ['POST', `${TASKS}/${id}/cancel`],
    ['POST', `${TASKS}/${id}/review`, { decision: 'approve' }],
    ['DELETE', `${TASKS}/${id}`],
    ['POST', `${PIPELINE}/dead-letter/${id}/requeue`],
    ['DELETE', `${PIPELINE}/dead-letter/${id}`],
  ];

  it('answers 404 for an unknown id and 422 for what is no id', async () => {
    for (const [method, path, body] of everyRoute(UNKNOWN)) {
      const call = { as: 'admin', ...(body === undefined ? {} : { json: body }) };
      expect([path, (await client.call(method, path, call)).status]).toEqual([path, 404]);
      for (const bad of ['x', '1', 'null', `${UNKNOWN}0`, '%00', "'%20or%201=1--", '%F0%9F%98%80']) {
        const wrong = path.replace(UNKNOWN, bad);
        expect([wrong, (await client.call(method, wrong, call)).status]).toEqual([wrong, 422]);
      }
    }
  });

  it('takes ids in any case', async () => {
    const id = await seedTask(db, { owner: ownerA });
    expect((await get(`${TASKS}/${id.toUpperCase()}`)).body.id).toBe(id);
  });

  it.each([
    {},
    [],
    { decision: 'maybe' },
    { decision: 'approve', gate_id: 'x' },
    { decision: 'approve', extra: 1 },
    { decision: 'reject', comment: 'a\u0000' },
    { decision: 'reject', comment: 'x'.repeat(10_001) },
    { decision: 'reject', comment: null },
  ])('refuses the decision %#', async (body) => {
    const answer = await client.call('POST', `${TASKS}/${await richTask()}/review`, { as: a, json: body });
    expect(answer.body).toMatchObject({ status: 422, code: 'validation_failed' });
  });

  it('takes labelled but empty bodies where none is needed', async () => {
    const id = await seedTask(db, { owner: ownerA });
    const answer = await service.fetch(`${TASKS}/${id}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': a },
    });
    expect(answer.status).toBe(200);
  });
});

describe('the queue', () => {
  it('is seen by every key; its dead letters and the reaper are the admin’s', async () => {
    expect((await get(`${PIPELINE}/queue-stats`, b)).status).toBe(200);
    const routes: [string, string][] = [
      ['GET', '/dead-letter'],
      ['POST', `/dead-letter/${UNKNOWN}/requeue`],
      ['DELETE', `/dead-letter/${UNKNOWN}`],
      ['POST', '/reap-now'],
    ];
    for (const [method, path] of routes) {
      expect((await client.call(method, `${PIPELINE}${path}`, { as: a })).status).toBe(403);
      expect((await client.call(method, `${PIPELINE}${path}`)).status).toBe(401);
    }
    expect((await client.call('POST', `${PIPELINE}/reap-now`, { as: 'admin' })).body).toEqual({ status: 'reaped' });
  });

  it('shows, requeues and forgets dead letters, as many as it counts', async () => {
    const bury = async (): Promise<string> => {
      const answer = await client.call('POST', TASKS, { as: a, json: { user_input: 'u'.repeat(5_000) } });
      const id = answer.body.task_id as string;
      await seedEvents(db, id, [{ type: 'task.finished' }], 'failed');
      await db.query(
        'test.bury',
        sql`insert into dead_letters (task_id, reason, error, stage, attempts) values (${id}, 'crashed', 'It died.', 'task', 3)`,
      );
      return id;
    };
    const [requeued, forgotten] = [await bury(), await bury()];
    const failed = await seedTask(db, { owner: ownerA, status: 'failed' });
    const letters = await get(`${PIPELINE}/dead-letter`, 'admin');
    expect(letters.body).toEqual(
      [forgotten, requeued].map((id) => ({
        task_id: id,
        reason: 'crashed',
        error: 'It died.',
        stage: 'task',
        attempts: 3,
        pod_name: 'Quartet',
        user_input: 'u'.repeat(2_000),
        queued_at: expect.any(String),
        dead_at: expect.any(String),
        truncated: ['user_input'],
      })),
    );
    expect((await get(`${PIPELINE}/queue-stats`)).body.dead_letter_depth).toBe(letters.body.length);
    await db.query(
      'test.wearOut',
      sql`update tasks set retry_count = 4, stage_crashes = 2, execution_ms = 9, cost_usd = 1.5,
            control = control || '{"machinePauses": 10, "providerWaitMs": 7, "retries": {"task#1": 2}}'
          where id = ${requeued}`,
    );
    const requeue = (id: string): Promise<Answer> =>
      client.call('POST', `${PIPELINE}/dead-letter/${id}/requeue`, { as: 'admin' });
    expect((await requeue(requeued)).body).toEqual({ task_id: requeued, status: 'queued' });
    // Everything that is counted begins anew, but for what was spent.
    const { control, ...counted } = await db.one<Record<string, unknown>>(
      'test.counted',
      sql`select retry_count, stage_crashes, execution_ms, cost_usd, control from tasks where id = ${requeued}`,
    );
    expect(counted).toEqual({ retry_count: 0, stage_crashes: 0, execution_ms: 0, cost_usd: 1.5 });
    expect(control).toMatchObject({ machinePauses: 0, providerWaitMs: 0, retries: {} });
    expect((await requeue(requeued)).body).toMatchObject({ status: 409, code: 'not_a_dead_letter' });
    expect((await requeue(failed)).status).toBe(409);
    expect((await get(`${TASKS}/${requeued}`)).body).toMatchObject({ status: 'queued', error: null });
    const forget = (): Promise<Answer> =>
      client.call('DELETE', `${PIPELINE}/dead-letter/${forgotten}`, { as: 'admin' });
    expect((await forget()).status).toBe(204);
    expect((await forget()).status).toBe(404);
    expect((await get(`${TASKS}/${forgotten}`)).body.status).toBe('failed');
    expect((await get(`${PIPELINE}/queue-stats`)).body.dead_letter_depth).toBe(0);
  });
});

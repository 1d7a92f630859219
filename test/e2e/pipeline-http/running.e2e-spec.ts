import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { seedEvents, seedTask } from '../../integration/pipeline-views/seed.js';
import { api, type Answer, type Api, type Call } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { framesOf, take, type Frame } from './frames.js';

const PIPELINE = '/api/v1/pipeline';
const TASKS = `${PIPELINE}/tasks`;
const SECRET_WORK = 'the words that only a reviewer may see';

let service: Service;
let client: Api;
let key: string, other: string;

beforeAll(async () => {
  service = await startService();
  client = await api(service);
  key = (await service.createKey()).raw_key;
  other = (await service.createKey()).raw_key;
  for (const reviewBy of ['owner', 'admin']) {
    const name = `Reviewed by ${reviewBy}`;
    const pod = await client.call('POST', '/api/v1/pods', {
      as: 'admin',
      json: { name, require_human_review: 'always', review_by: reviewBy },
    });
    await client.call('POST', `/api/v1/pods/${pod.body.id}/agents`, {
      as: 'admin',
      json: { name: 'Worker', role: 'task', allowed_tools: [] },
    });
  }
});
afterAll(() => service.stop());

async function submit(json: object, as?: string): Promise<string> {
  const answer = await client.call('POST', TASKS, { json, ...(as === undefined ? {} : { as }) });
  expect(answer.status).toBe(202);
  return answer.body.task_id;
}

async function follow(path: string, call: Call = {}): Promise<AsyncGenerator<Frame, void>> {
  const response = await client.stream('GET', path, call);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-cache, no-transform');
  return framesOf(response);
}

/** All events of a task, read until its stream ends. */
async function untilEnd(id: string, as?: string): Promise<Frame[]> {
  return take(await follow(`${TASKS}/${id}/events`, as === undefined ? {} : { as }), Infinity);
}

/** Reads the task's stream until an event of `type`. */
async function until(type: string, id: string, as: string): Promise<void> {
  const abort = new AbortController();
  for await (const frame of await follow(`${TASKS}/${id}/events`, { as, signal: abort.signal })) {
    if (frame.event === type) break;
  }
  abort.abort();
}

describe('the events of a task', () => {
  it('tell its whole life and end with it', async () => {
    const id = await submit({ user_input: 'Tell me.' });
    const frames = await untilEnd(id);
    expect(frames.map((frame) => frame.id)).toEqual(frames.map((_, index) => String(index + 1)));
    expect(frames[0]?.event).toBe('task.queued');
    expect(frames.at(-1)?.event).toBe('task.finished');
    for (const frame of frames) {
      expect(frame.data).toMatchObject({
        seq: Number(frame.id),
        type: frame.event,
        task_id: id,
        at: expect.stringMatching(/Z$/),
      });
    }
    const task = (await client.call('GET', `${TASKS}/${id}`)).body;
    expect(task).toMatchObject({ status: 'complete', current_stage: null, waiting_for: null });
    expect(task.output.slice(0, task.result.output.length)).toBe(task.result.output);
    expect(task.result.output).toContain('Tell me.');
    expect(Object.keys(task.checkpoint).sort()).toEqual(['code_review', 'context', 'guardrail', 'task']);
    const stages = (await client.call('GET', `${TASKS}/${id}/stages`)).body as { role: string; status: string }[];
    expect(stages.map((stage) => stage.role).sort()).toEqual(['code_review', 'context', 'guardrail', 'task']);
    expect(stages.every((stage) => stage.status === 'complete')).toBe(true);
  });

  it('resume after any of them by header or query, the header first', async () => {
    const id = await submit({ user_input: 'x', pod_name: 'Quick Reply' });
    const all = await untilEnd(id);
    for (let after = 0; after <= all.length; after += 1) {
      const path = `${TASKS}/${id}/events`;
      expect(await take(await follow(`${path}?after=${after}`), Infinity)).toEqual(all.slice(after));
      const headers = { 'last-event-id': String(after) };
      expect(await take(await follow(`${path}?after=1`, { headers }), Infinity)).toEqual(all.slice(after));
    }
    expect(await take(await follow(`${TASKS}/${id}/events?after=${Number.MAX_SAFE_INTEGER}`), Infinity)).toEqual([]);
  });

  it('come as an array in pages when nobody wants to wait', async () => {
    const id = await submit({ user_input: 'x', pod_name: 'Quick Reply' });
    const all = (await untilEnd(id)).map((frame) => frame.data);
    const read = async (query: string): Promise<unknown[]> =>
      (await client.call('GET', `${TASKS}/${id}/events?wait=false${query}`)).body;
    expect(await read('')).toEqual(all);
    expect(await read('&limit=2')).toEqual(all.slice(0, 2));
    expect(await read('&after=2&limit=2')).toEqual(all.slice(2, 4));
    expect(await read('&after=1000')).toEqual([]);
    const { headers } = await client.call('GET', `${TASKS}/${id}/events?wait=false&limit=2`);
    expect(headers.get('link')).toBe(`<${TASKS}/${id}/events?wait=false&limit=2&after=2>; rel="next"`);
  });

  it.each([
    'after=-1',
    'after=x',
    'after=1e400',
    'after=9007199254740993',
    'wait=maybe',
    'wait=false&limit=0',
    'wait=false&limit=1001',
  ])('refuse %s', async (query) => {
    const id = await submit({ user_input: 'x', pod_name: 'Quick Reply' });
    expect((await client.call('GET', `${TASKS}/${id}/events?${query}`)).status).toBe(422);
  });

  it.each(['x', '-1', '1.5', '99999999999999999999'])('refuse to resume after %s', async (header) => {
    const id = await submit({ user_input: 'x', pod_name: 'Quick Reply' });
    const headers = { 'last-event-id': header };
    expect((await client.call('GET', `${TASKS}/${id}/events`, { headers })).status).toBe(422);
  });

  it('reach a reader that comes and goes without gap or repetition', async () => {
    const db = service.database?.database;
    if (db === undefined) throw new Error('no database');
    const id = await seedTask(db, { owner: 'anonymous', ready: false, runAt: new Date('2099-01-01') });
    const total = 2_000;
    const write = async (): Promise<void> => {
      for (let written = 0; written < total; written += 20) {
        await seedEvents(
          db,
          id,
          Array.from({ length: 20 }, () => ({ type: 'stage.started', data: { text: 'x'.repeat(500) } })),
        );
      }
      await seedEvents(db, id, [{ type: 'task.finished' }], 'failed');
    };
    const read = async (): Promise<number[]> => {
      const seqs: number[] = [];
      for (let last = '0'; ;) {
        const abort = new AbortController();
        const frames = await follow(`${TASKS}/${id}/events`, {
          headers: { 'last-event-id': last },
          signal: abort.signal,
        });
        const part = await take(frames, 150);
        abort.abort();
        seqs.push(...part.map((frame) => frame.data.seq as number));
        last = part.at(-1)?.id ?? last;
        if (part.at(-1)?.event === 'task.finished') return seqs;
      }
    };
    const [seqs] = await Promise.all([read(), write()]);
    expect(seqs).toEqual(Array.from({ length: total + 1 }, (_, index) => index + 1));
  });

  it('wait for a reader that takes nothing, and reach it whole', async () => {
    const db = service.database?.database;
    if (db === undefined) throw new Error('no database');
    const id = await seedTask(db, { owner: 'anonymous', status: 'failed' });
    const text = 'x'.repeat(2_000);
    for (let batch = 0; batch < 20; batch += 1) {
      await seedEvents(
        db,
        id,
        Array.from({ length: 500 }, () => ({ type: 'stage.started', data: { text } })),
      );
    }
    const received = await new Promise<string[]>((resolve, reject) => {
      request(`${service.url}${TASKS}/${id}/events`, (response) => {
        const ids: string[] = [];
        response.setEncoding('utf8').pause();
        let rest = '';
        response.on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) if (line.startsWith('id: ')) ids.push(line.slice(4));
        });
        response.on('end', () => resolve(ids)).on('error', reject);
        // Other callers are served while this one takes nothing of its 20 MB.
        void client.call('GET', `${PIPELINE}/queue-stats`).then(() => response.resume(), reject);
      })
        .on('error', reject)
        .end();
    });
    expect(received).toEqual(Array.from({ length: 10_000 }, (_, index) => String(index + 1)));
  });
});

describe('work that needs a person', () => {
  async function waiting(pod: 'owner' | 'admin', as: string): Promise<string> {
    const id = await submit({ user_input: SECRET_WORK, pod_name: `Reviewed by ${pod}` }, as);
    await until('gate.opened', id, as);
    return id;
  }
  const review = (id: string, json: object, as?: string): Promise<Answer> =>
    client.call('POST', `${TASKS}/${id}/review`, { json, ...(as === undefined ? {} : { as }) });

  it('is shown to those who may decide, and nothing of it anywhere else', async () => {
    const id = await waiting('admin', key);
    const detail = (await client.call('GET', `${TASKS}/${id}`, { as: key })).body;
    expect(detail).toMatchObject({ status: 'pending_human_review', output: null, summary: null, artifacts_count: 0 });
    expect(detail.review).toMatchObject({
      kind: 'final',
      gate_id: expect.any(String),
      content_hash: expect.any(String),
    });
    expect(detail.waiting_for).toEqual({ reason: 'review', gate_id: detail.review.gate_id });
    const parts = await Promise.all(
      ['', '/findings', '/reviews', '/artifacts', '/stages', '/events?wait=false'].map(async (path) => {
        const { body } = await client.call('GET', `${TASKS}/${id}${path}`, { as: key });
        return JSON.stringify(path === '' ? { ...body, user_input: '' } : body);
      }),
    );
    expect(parts.join()).not.toContain('You asked');
    const shown = (await client.call('GET', `${TASKS}/${id}/artifacts`, { as: 'admin' })).body;
    expect(shown).toMatchObject([{ artifact_type: 'pending_output', content: expect.stringContaining(SECRET_WORK) }]);
    expect((await review(id, { decision: 'approve' }, key)).body).toMatchObject({ status: 403, code: 'forbidden' });
  });

  it('is decided once, on the gate that is open', async () => {
    const id = await waiting('owner', key);
    const gate = (await client.call('GET', `${TASKS}/${id}`, { as: key })).body.review.gate_id as string;
    expect((await client.call('GET', `${TASKS}/${id}/artifacts`, { as: key })).body).toHaveLength(1);
    expect((await review(id, { decision: 'approve' })).status).toBe(401);
    const stale = await review(id, { decision: 'approve', gate_id: '00000000-0000-4000-8000-000000000000' }, key);
    expect(stale.body).toMatchObject({ status: 409, code: 'gate_stale' });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => review(id, { decision: 'approve', gate_id: gate.toUpperCase() }, key)),
    );
    const won = answers.filter((answer) => answer.status === 200);
    expect(won).toHaveLength(1);
    expect(won[0]?.body).toMatchObject({ task_id: id, decision: 'approve' });
    for (const lost of answers.filter((answer) => answer !== won[0])) expect(lost.status).toBe(409);
    const frames = await untilEnd(id, key);
    expect(frames.filter((frame) => frame.event === 'gate.decided')).toHaveLength(1);
    const done = (await client.call('GET', `${TASKS}/${id}`, { as: key })).body;
    expect(done).toMatchObject({ status: 'complete', review: null });
    expect(done.output).toContain(SECRET_WORK);
  });

  it('is cancelled by a rejection, with the comment as its error', async () => {
    const id = await waiting('owner', key);
    const answer = await review(id, { decision: 'reject', comment: 'Not like this.' }, 'admin');
    expect(answer.body).toEqual({ task_id: id, status: 'cancelled', decision: 'reject' });
    const task = (await client.call('GET', `${TASKS}/${id}`, { as: key })).body;
    expect(task).toMatchObject({ status: 'cancelled', error: 'Not like this.', output: null, review: null });
    expect((await review(id, { decision: 'approve' }, key)).body).toMatchObject({ status: 409, code: 'no_open_gate' });
  });

  it('can be cancelled while it waits', async () => {
    const id = await waiting('owner', key);
    expect((await client.call('POST', `${TASKS}/${id}/cancel`, { as: key })).body).toEqual({
      task_id: id,
      status: 'cancelled',
    });
    expect((await untilEnd(id, key)).at(-1)?.event).toBe('task.finished');
  });
});

describe('notifications', () => {
  const STREAM = `${PIPELINE}/notifications/stream`;

  it('reach the owner and the admin, and no other key', async () => {
    const abort = new AbortController();
    const listen = (as: string): Promise<AsyncGenerator<Frame, void>> => follow(STREAM, { as, signal: abort.signal });
    const [mine, others, admins] = [await listen(key), await listen(other), await listen('admin')];
    const id = await submit({ user_input: SECRET_WORK, pod_name: 'Reviewed by owner' }, key);
    const [opened] = await take(mine, 1);
    expect(opened).toEqual({
      data: {
        type: 'gate.opened',
        task_id: id,
        title: 'Reviewed by owner: waits for review',
        body: expect.any(String),
        timestamp: expect.stringMatching(/Z$/),
      },
    });
    await client.call('POST', `${TASKS}/${id}/review`, { as: key, json: { decision: 'approve' } });
    const told = await take(mine, 2);
    expect(told.map((frame) => frame.data.type)).toEqual(['gate.decided', 'task.finished']);
    expect(told[1]?.data.title).toBe('Reviewed by owner: complete');
    expect(JSON.stringify([opened, told])).not.toContain(SECRET_WORK);
    expect((await take(admins, 3)).map((frame) => frame.data.task_id)).toEqual([id, id, id]);
    // What the other key hears first is about its own task, which came later.
    const theirs = await submit({ user_input: 'x', pod_name: 'Quick Reply' }, other);
    expect((await take(others, 1))[0]?.data).toMatchObject({ task_id: theirs, type: 'task.finished' });
    abort.abort();
  });
});

it('ends its streams when it is told to stop', async () => {
  const stopping = await startService();
  const streams = await api(stopping);
  const frames = framesOf(await streams.stream('GET', `${PIPELINE}/notifications/stream`, { as: 'admin' }));
  const end = take(frames, 1);
  expect(await stopping.stop()).toBe(0);
  expect(await end).toEqual([]);
});

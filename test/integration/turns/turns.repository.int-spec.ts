import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type TurnOutcome, type TurnRequest } from '../../../src/modules/tasks/turn.js';
import { TurnsRepository } from '../../../src/modules/tasks/turns.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

const clock = new Clock();
const ME = clock.newId();
const OTHER = clock.newId();
const REQUEST: TurnRequest = {
  owner: 'admin',
  origin: 'task',
  prompt: [],
  sessionId: null,
  taskType: null,
  metadata: {},
  answerWithinMs: 0,
  needsReaders: false,
};
const COMPLETED: TurnOutcome = {
  status: 'completed',
  said: 'all',
  after: 0,
  toolCalls: [],
  error: null,
  model: 'm',
  inputTokens: 3,
  cachedInputTokens: 1,
  outputTokens: 2,
  costUsd: null,
  eventId: 9,
};

let db: TestDatabase;
let turns: TurnsRepository;
beforeAll(async () => {
  db = await createTestDatabase();
  turns = new TurnsRepository(db.database);
});
afterAll(() => db.drop());
beforeEach(() => db.database.query('test.clear', sql`truncate agents, turns`));

async function begin(
  over: Partial<TurnRequest> = {},
  lease: { owner?: string; seconds?: number; agentId?: string } = {},
) {
  const id = clock.newId();
  const agentId = lease.agentId ?? clock.newId();
  const inserted = await turns.insert(
    { id, agentId, model: 'm', leaseOwner: lease.owner ?? ME, leaseSeconds: lease.seconds ?? 60 },
    { ...REQUEST, ...over },
  );
  return { id, agentId, inserted };
}

const progress = (id: string, after: number, said: string, eventId: number, epoch = 0) => ({
  id,
  epoch,
  said,
  after,
  eventId,
});

describe('a lease', () => {
  it('is renewed by its holder, with what was said since', async () => {
    const mine = await begin();
    const theirs = await begin({}, { owner: OTHER });
    expect([
      ...(await turns.renew(ME, 60, [progress(mine.id, 0, '😀 ha', 4), progress(theirs.id, 0, 'x', 1)])),
    ]).toEqual([mine.id]);
    expect(await turns.find(mine.id)).toMatchObject({ status: 'running', response: '😀 ha', eventId: 4 });
    await turns.renew(ME, 60, [progress(mine.id, 4, '', 0)]);
    expect(await turns.find(mine.id)).toMatchObject({ response: '😀 ha', eventId: 4 });
    await turns.renew(ME, 60, [progress(mine.id, 4, 'lf', 6)]);
    expect(await turns.find(mine.id)).toMatchObject({ response: '😀 half', eventId: 6 });
    // A checkpoint that was overtaken on its way takes nothing back, and one whose answer was lost is made again.
    await turns.renew(ME, 60, [progress(mine.id, 4, 'l', 5)]);
    expect(await turns.find(mine.id)).toMatchObject({ response: '😀 half', eventId: 6 });
    await turns.renew(ME, 60, [progress(mine.id, 4, 'lf a', 7)]);
    expect(await turns.find(mine.id)).toMatchObject({ response: '😀 half a', eventId: 7 });
    expect((await turns.renew(ME, 60, [progress(mine.id, 8, 'late', 8, 1)])).size).toBe(0);
    expect(await turns.find(theirs.id)).toMatchObject({ response: null });
  });

  it('that has run out ends its turn, once, and no living one', async () => {
    const dead = await begin({}, { owner: OTHER, seconds: -1 });
    const alive = await begin({}, { owner: OTHER });
    const ended = await Promise.all([turns.interrupt(null, 10), turns.interrupt(null, 10)]);
    expect(ended.flat()).toEqual([{ id: dead.id, agentId: dead.agentId }]);
    expect(await turns.find(dead.id)).toMatchObject({ status: 'failed', error: { code: 'interrupted' }, eventId: 2 });
    expect(await turns.find(alive.id)).toMatchObject({ status: 'running' });
    // The holder was only slow: nothing it writes counts any more.
    expect(await turns.finish(dead.id, 0, COMPLETED)).toBe(false);
    await turns.complete(dead.id, 0, COMPLETED);
    expect(await turns.find(dead.id)).toMatchObject({ status: 'failed', response: null });
  });

  it('of others ends their turns where a process is alone', async () => {
    const mine = await begin();
    const theirs = await begin({}, { owner: OTHER });
    expect((await turns.interrupt(ME, 10)).map(({ id }) => id)).toEqual([theirs.id]);
    expect(await turns.find(mine.id)).toMatchObject({ status: 'running' });
  });

  it('makes its agent run, as long as it lasts', async () => {
    const running = await begin();
    const dead = await begin({}, { seconds: -1 });
    expect([...(await turns.findRunningAgents(null))]).toEqual([running.agentId]);
    expect((await turns.findRunningAgents([dead.agentId])).size).toBe(0);
    await turns.finish(running.id, 0, COMPLETED);
    expect((await turns.findRunningAgents(null)).size).toBe(0);
  });
});

describe('the end of a turn', () => {
  it('is stored once', async () => {
    const { id } = await begin();
    expect(await turns.finish(id, 0, COMPLETED)).toBe(true);
    expect(await turns.finish(id, 0, { ...COMPLETED, said: 'again' })).toBe(false);
    expect(await turns.cancel(id, { code: 'cancelled', message: 'x' })).toBe(false);
    expect(await turns.find(id)).toMatchObject({
      status: 'completed',
      response: 'all',
      inputTokens: 3,
      cachedInputTokens: 1,
      costUsd: null,
      isAwaited: false,
    });
  });

  it('adds what was said to what is stored of it, which may be more than its process knows', async () => {
    const { id } = await begin();
    await turns.renew(ME, 60, [progress(id, 0, 'a😀bc', 3)]);
    await turns.finish(id, 0, { ...COMPLETED, said: 'd', after: 2 });
    expect(await turns.find(id)).toMatchObject({ response: 'a😀d' });
  });

  it('without a word is an answer of no words, or none', async () => {
    const [completed, failed] = [await begin(), await begin()];
    await turns.finish(completed.id, 0, { ...COMPLETED, said: '' });
    await turns.finish(failed.id, 0, { ...COMPLETED, said: '', status: 'failed', error: { code: 'c', message: 'm' } });
    expect(await turns.find(completed.id)).toMatchObject({ response: '' });
    expect(await turns.find(failed.id)).toMatchObject({ response: null });
  });

  it('by a cancel lets its process add what it had done, and nothing else', async () => {
    const { id } = await begin();
    const other = await begin();
    expect(await turns.cancel(id, { code: 'cancelled', message: 'x' })).toBe(true);
    expect(await turns.finish(id, 0, COMPLETED)).toBe(false);
    await turns.complete(id, 0, COMPLETED);
    await turns.complete(other.id, 0, COMPLETED);
    expect(await turns.find(id)).toMatchObject({ status: 'cancelled', response: 'all', error: { code: 'cancelled' } });
    expect(await turns.find(other.id)).toMatchObject({ status: 'running', response: null });
  });
});

it('a request counts as waiting for as long as it said, and only while the turn lives', async () => {
  const waiting = await begin({ answerWithinMs: 60_000 });
  const answered = await begin({ answerWithinMs: 0 });
  const dead = await begin({ answerWithinMs: 60_000 }, { seconds: -1 });
  const awaited = await Promise.all([waiting, answered, dead].map(async ({ id }) => (await turns.find(id))?.isAwaited));
  expect(awaited).toEqual([true, false, false]);
});

it('a chat session has one running turn, which a dead process does not hold', async () => {
  const chat = { origin: 'chat' as const, sessionId: 's' };
  const attempts = await Promise.all(Array.from({ length: 10 }, () => begin(chat)));
  expect(attempts.filter(({ inserted }) => inserted)).toHaveLength(1);
  expect((await begin({ origin: 'stream', sessionId: 's' })).inserted).toBe(true);
  expect((await begin({ ...chat, sessionId: 'other' }, { seconds: -1 })).inserted).toBe(true);
  await turns.interruptSession('other');
  await turns.interruptSession('s');
  expect((await begin({ ...chat, sessionId: 'other' })).inserted).toBe(true);
  expect((await begin(chat)).inserted).toBe(false);
});

it('old turns are deleted, a few at a time and never running ones', async () => {
  const ended = await Promise.all([begin(), begin(), begin()]);
  for (const { id } of ended) await turns.finish(id, 0, COMPLETED);
  const running = await begin();
  await db.database.query(
    'test.age',
    sql`update turns set completed_at = completed_at - interval '2 days'
    where completed_at is not null`,
  );
  await turns.deleteEndedBefore(3, 10);
  await turns.deleteEndedBefore(1, 2);
  const left = await Promise.all([...ended, running].map(({ id }) => turns.find(id)));
  expect(left.filter((turn) => turn !== null)).toHaveLength(2);
  expect(await turns.find(running.id)).not.toBeNull();
});

it('words are read in pieces, and whatever else readers need without them', async () => {
  const { id } = await begin();
  expect(await turns.findHead(id)).toMatchObject({ id, owner: 'admin', status: 'running', length: 0, eventId: 0 });
  expect(await turns.text(id, 0, 10)).toBeNull();
  await turns.finish(id, 0, { ...COMPLETED, status: 'failed', said: 'a😀bc', error: { code: 'c', message: 'm' } });
  expect(await turns.findHead(id)).toEqual({
    id,
    owner: 'admin',
    status: 'failed',
    error: { code: 'c', message: 'm' },
    eventId: 9,
    length: 4,
    completedAt: expect.any(Date),
  });
  expect(await Promise.all([turns.text(id, 0, 2), turns.text(id, 2, 10)])).toEqual(['a😀', 'bc']);
  expect(await turns.findHead(clock.newId())).toBeNull();
  expect(await turns.text(clock.newId(), 0, 1)).toBeNull();
});

it('says how the turns have ended that work trees are named after', async () => {
  const [running, completed, failed, cancelled] = [await begin(), await begin(), await begin(), await begin()];
  await turns.finish(completed.id, 0, COMPLETED);
  await turns.finish(failed.id, 0, { ...COMPLETED, status: 'failed', error: { code: 'x', message: 'x' } });
  await turns.cancel(cancelled.id, { code: 'x', message: 'x' });
  const ids = [running, completed, failed, cancelled].map(({ id }) => id);
  expect(await turns.fates([...ids, clock.newId(), `${running.id}-2`, 'no id'])).toEqual(
    new Map([
      [running.id, 'unfinished'],
      [completed.id, 'complete'],
      [failed.id, 'given_up'],
      [cancelled.id, 'given_up'],
    ]),
  );
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import type { Principal } from '../../../src/modules/auth/index.js';
import { PipelineViews } from '../../../src/modules/pipeline/views/pipeline-views.service.js';
import { TaskPartsRepository } from '../../../src/modules/pipeline/views/task-parts.repository.js';
import { TaskViewsRepository } from '../../../src/modules/pipeline/views/task-views.repository.js';
import { Clock } from '../../../src/platform/clock/index.js';
import type { Page, PageRequest } from '../../../src/platform/paging/index.js';
import { json, sql } from '../../../src/platform/database/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { seedArtifact, seedFinding, seedStage, seedTask } from './seed.js';

const clock = new Clock();
const ADMIN: Principal = { kind: 'admin' };
const ANONYMOUS: Principal = { kind: 'anonymous' };
const key = (keyId: string): Principal => ({ kind: 'key', keyId, name: keyId });
const ALL: PageRequest = { limit: 200, offset: 0, after: null };

describe('views of tasks', () => {
  let db: TestDatabase;
  let views: PipelineViews;
  let guarded: PipelineViews;

  beforeAll(async () => {
    db = await createTestDatabase();
    const tasks = new TaskViewsRepository(db.database);
    const parts = new TaskPartsRepository(db.database);
    views = new PipelineViews(AppConfig.from({}), tasks, parts);
    guarded = new PipelineViews(AppConfig.from({ REQUIRE_AUTH: 'true' }), tasks, parts);
  });
  afterAll(() => db.drop());

  async function walk<T extends { id: string }>(read: (page: PageRequest) => Promise<Page<T>>, limit: number) {
    const pages: string[][] = [];
    for (let after: PageRequest['after'] = null; ;) {
      const page: Page<T> = await read({ limit, offset: 0, after });
      pages.push(page.items.map((item) => item.id));
      if (page.next === null) return pages;
      after = page.next;
    }
  }

  describe('a list', () => {
    it('pages newest first by key without repeating or missing rows that share a time', async () => {
      const owner = 'key:pager';
      const ids: string[] = [];
      // Three tasks in one microsecond, and neighbours that differ by one: a Date could not tell them apart.
      for (const micros of ['000001', '000001', '000001', '000002', '000003', '000004', '000004']) {
        ids.push(await seedTask(db.database, { owner, createdAt: `2026-01-01T00:00:00.${micros}Z` }));
      }
      const pages = await walk((page) => views.list(key('pager'), { podName: 'Quartet' }, page), 2);
      expect(pages.map((page) => page.length)).toEqual([2, 2, 2, 1]);
      expect(pages.flat()).toEqual([...ids.slice(5).toReversed(), ids[4], ids[3], ...ids.slice(0, 3).toReversed()]);
      const byOffset = await views.list(key('pager'), {}, { limit: 3, offset: 2, after: null });
      expect(byOffset.items.map((task) => task.id)).toEqual(pages.flat().slice(2, 5));
      expect(byOffset.next).not.toBeNull();
    });

    it('merges the own and the anonymous tasks of a key while auth is off, and keeps others out', async () => {
      const own = await seedTask(db.database, { owner: 'key:merge', createdAt: '2030-01-01T00:00:01Z' });
      const open = await seedTask(db.database, { owner: 'anonymous', createdAt: '2030-01-01T00:00:02Z' });
      const foreign = await seedTask(db.database, { owner: 'key:other', createdAt: '2030-01-01T00:00:03Z' });
      const filter = {
        createdAfter: new Date('2030-01-01T00:00:00Z'),
        createdBefore: new Date('2030-01-02T00:00:00Z'),
      };
      const ids = async (service: PipelineViews, principal: Principal): Promise<string[]> =>
        (await service.list(principal, filter, ALL)).items.map((task) => task.id);
      expect(await ids(views, key('merge'))).toEqual([open, own]);
      expect(await ids(views, ANONYMOUS)).toEqual([open]);
      expect(await ids(guarded, key('merge'))).toEqual([own]);
      expect(await ids(views, ADMIN)).toEqual([foreign, open, own]);
    });

    it('filters by statuses, pod and time', async () => {
      const owner = 'key:filters';
      const podId = clock.newId();
      await db.database.query('test.pod', sql`insert into pods (id, name) values (${podId}, 'Filtered')`);
      const failed = await seedTask(db.database, { owner, status: 'failed', podId, podName: 'Filtered' });
      const done = await seedTask(db.database, { owner, status: 'complete' });
      await seedTask(db.database, { owner });
      const ids = async (filter: Parameters<PipelineViews['list']>[1]): Promise<string[]> =>
        (await views.list(key('filters'), filter, ALL)).items.map((task) => task.id);
      expect(await ids({ statuses: ['failed', 'complete'] })).toEqual([done, failed]);
      expect(await ids({ podId })).toEqual([failed]);
      expect(await ids({ podName: 'Filtered' })).toEqual([failed]);
      expect(await ids({ podName: "Filtered' or true --" })).toEqual([]);
      expect(await ids({ podName: 'Filtered', createdAfter: new Date(Date.now() + 60_000) })).toEqual([]);
      expect(await ids({ podName: 'Filtered', createdBefore: new Date(Date.now() + 60_000) })).toEqual([failed]);
    });

    it('reads no more of a long text than it needs to cut it', async () => {
      const owner = 'key:long';
      await seedTask(db.database, {
        owner,
        userInput: 'é'.repeat(150_000),
        status: 'failed',
        error: 'x'.repeat(5_000),
      });
      const [task] = (await views.list(key('long'), { statuses: ['failed'] }, ALL)).items;
      expect(task?.userInput).toHaveLength(2_001);
      expect(task?.error).toHaveLength(2_001);
    });
  });

  describe('a task', () => {
    it('does not exist for another caller, on any of its routes', async () => {
      const id = await seedTask(db.database, { owner: 'key:a' });
      const reads = [
        () => views.get(key('b'), id),
        () => views.findings(key('b'), id, ALL),
        () => views.reviews(key('b'), id, ALL),
        () => views.artifacts(key('b'), id, ALL),
        () => views.stages(key('b'), id, ALL),
        () => views.get(ANONYMOUS, id),
        () => views.get(ADMIN, clock.newId()),
      ];
      for (const read of reads) await expect(read()).rejects.toMatchObject({ code: 'not_found' });
      await expect(views.get(ADMIN, id)).resolves.toMatchObject({ id });
      const open = await seedTask(db.database, { owner: 'anonymous' });
      await expect(views.get(key('b'), open)).resolves.toMatchObject({ id: open });
      await expect(guarded.get(key('b'), open)).rejects.toMatchObject({ code: 'not_found' });
    });

    it('shows neither output nor the task stage in the checkpoint before it is complete', async () => {
      const result = { output: { output: 'secret work' }, summary: { headline: 'h' } };
      const running = await seedTask(db.database, { status: 'guardrail_running', ...result });
      const complete = await seedTask(db.database, { status: 'complete', ...result });
      for (const id of [running, complete]) {
        await seedStage(db.database, id, { role: 'context', output: { curated_context: 'old' }, iteration: 1 });
        await seedStage(db.database, id, {
          role: 'context',
          output: { curated_context: 'failed' },
          attempt: 2,
          status: 'failed',
        });
        await seedStage(db.database, id, { role: 'task', output: { output: 'first' }, iteration: 1 });
        await seedStage(db.database, id, { role: 'task', output: { output: 'secret work' }, iteration: 2 });
      }
      const before = await views.get(ADMIN, running);
      expect(before).toMatchObject({ output: null, checkpoint: { context: { curated_context: 'old' } } });
      expect(before.currentStage).toBe('guardrail');
      expect(JSON.stringify(before)).not.toContain('secret work');
      expect(JSON.stringify((await views.list(ADMIN, { statuses: ['guardrail_running'] }, ALL)).items)).not.toContain(
        'secret work',
      );
      expect(await views.get(ADMIN, complete)).toMatchObject({
        output: { output: 'secret work' },
        checkpoint: { context: { curated_context: 'old' }, task: { output: 'secret work' } },
        currentStage: null,
        summary: { headline: 'h' },
      });
    });

    it('shows the open gate and waits for it', async () => {
      const gate = { id: clock.newId(), kind: 'cost', reason: 'The limit is reached.', details: { spent_usd: 1.5 } };
      const id = await seedTask(db.database, { status: 'pending_human_review', gate, costUsd: 1.25, inputTokens: 12 });
      await seedStage(db.database, id, { role: 'task', status: 'running' });
      expect(await views.get(ADMIN, id)).toMatchObject({
        review: {
          gateId: gate.id,
          kind: 'cost',
          contentHash: 'abc',
          details: { spent_usd: 1.5 },
          since: expect.any(Date),
        },
        waitingFor: { reason: 'review', gateId: gate.id },
        currentStage: 'task',
        totalCostUsd: 1.25,
        totalInputTokens: 12,
      });
    });

    it('puts the code of an error into its context', async () => {
      const id = await seedTask(db.database, { status: 'failed', error: 'It failed.', errorCode: 'stage_failed' });
      expect(await views.get(ADMIN, id)).toMatchObject({ error: 'It failed.', errorContext: { code: 'stage_failed' } });
    });

    it('counts what it has, and lists it oldest first in pages', async () => {
      const id = await seedTask(db.database, { status: 'task_running' });
      const stage = await seedStage(db.database, id, { role: 'guardrail', startedAt: '2026-01-01T00:00:00.000002Z' });
      const earlier = await seedStage(db.database, id, { role: 'context', startedAt: '2026-01-01T00:00:00.000001Z' });
      const findings = [];
      for (const text of ['one', 'two', 'three']) findings.push(await seedFinding(db.database, id, stage, text));
      await db.database.query(
        'test.review',
        sql`insert into reviews (id, task_id, stage_id, iteration, verdict, issues, summary)
            values (${clock.newId()}, ${id}, ${stage}, 1, 'pass', ${json([{ severity: 'low', description: 'd' }])}, 's')`,
      );
      expect(await views.get(ADMIN, id)).toMatchObject({ findingsCount: 3, reviewsCount: 1, artifactsCount: 0 });
      expect(await walk((page) => views.findings(ADMIN, id, page), 2)).toEqual([
        findings.slice(0, 2),
        findings.slice(2),
      ]);
      expect((await walk((page) => views.stages(ADMIN, id, page), 1)).flat()).toEqual([earlier, stage]);
      const stages = await views.stages(ADMIN, id, ALL);
      expect(stages.items[0]).toMatchObject({ role: 'context', costUsd: 0.25, durationMs: 1500, inputTokens: 0 });
      expect(stages.items[0]).not.toHaveProperty('cursor_at');
      expect((await views.reviews(ADMIN, id, ALL)).items).toMatchObject([
        { verdict: 'pass', issues: [{ description: 'd' }] },
      ]);
    });
  });

  describe('work that waits to be released', () => {
    it.each([
      { what: 'its owner', owner: 'key:o', principal: key('o'), reviewBy: 'owner', seen: true },
      { what: 'the admin', owner: 'key:o', principal: ADMIN, reviewBy: 'owner', seen: true },
      {
        what: 'its owner where the admin reviews',
        owner: 'key:o',
        principal: key('o'),
        reviewBy: 'admin',
        seen: false,
      },
      { what: 'the admin where the admin reviews', owner: 'key:o', principal: ADMIN, reviewBy: 'admin', seen: true },
      { what: 'any key, for anonymous work', owner: 'anonymous', principal: key('o'), reviewBy: 'owner', seen: true },
      { what: 'nobody without a credential', owner: 'anonymous', principal: ANONYMOUS, reviewBy: 'owner', seen: false },
    ] as const)('is seen by $what: $seen', async ({ owner, principal, reviewBy, seen }) => {
      const id = await seedTask(db.database, { owner, reviewBy, status: 'task_running' });
      await seedArtifact(db.database, id, { type: 'pending_output', content: 'unreleased' });
      await seedArtifact(db.database, id, { type: 'adr' });
      const types = (await views.artifacts(principal, id, ALL)).items.map((artifact) => artifact.artifactType);
      expect(types).toEqual(seen ? ['pending_output', 'adr'] : ['adr']);
      expect((await views.get(principal, id)).artifactsCount).toBe(types.length);
    });

    it('belongs to the admin when the snapshot does not say who reviews', async () => {
      const id = await seedTask(db.database, { owner: 'key:o', status: 'task_running' });
      await db.database.query('test.pod', sql`update task_requests set pod = '{}' where task_id = ${id}`);
      await seedArtifact(db.database, id, { type: 'pending_output' });
      expect((await views.artifacts(key('o'), id, ALL)).items).toEqual([]);
      expect((await views.artifacts(ADMIN, id, ALL)).items).toHaveLength(1);
    });
  });

  it('ends a page of artifacts early when their contents are large, and goes on where it ended', async () => {
    const id = await seedTask(db.database, { status: 'task_running' });
    const ids = [];
    for (let second = 0; second < 5; second += 1) {
      const createdAt = `2026-01-01T00:00:0${second}Z`;
      ids.push(await seedArtifact(db.database, id, { type: 'diff', content: 'x'.repeat(5 * 1024 * 1024), createdAt }));
    }
    expect(await walk((page) => views.artifacts(ADMIN, id, page), 50)).toEqual([
      ids.slice(0, 2),
      ids.slice(2, 4),
      ids.slice(4),
    ]);
  });

  describe('what a queued task waits for', () => {
    beforeAll(async () => {
      await db.database.query('test.clear', sql`delete from tasks where status = 'queued'`);
    });

    it('is its place in the order of claims', async () => {
      const late = await seedTask(db.database, { priority: 5, vstart: 9 });
      const first = await seedTask(db.database, { priority: 9, vstart: 50 });
      const second = await seedTask(db.database, { priority: 5, vstart: 3 });
      const places = [];
      for (const id of [first, second, late]) places.push((await views.get(ADMIN, id)).waitingFor);
      expect(places).toEqual([1, 2, 3].map((position) => ({ reason: 'position', position })));
    });

    it('is a time, a provider or an empty worker when it is not due', async () => {
      const runAt = new Date('2036-01-01T00:00:00Z');
      const retry = await seedTask(db.database, { ready: false, waitReason: 'retry_at', runAt });
      const provider = await seedTask(db.database, {
        ready: false,
        waitReason: 'provider',
        waitProvider: 'openai',
        runAt,
      });
      const suspect = await seedTask(db.database, { suspect: true });
      expect((await views.get(ADMIN, retry)).waitingFor).toEqual({ reason: 'retry_at', until: runAt });
      expect((await views.get(ADMIN, provider)).waitingFor).toEqual({
        reason: 'provider',
        until: runAt,
        provider: 'openai',
      });
      expect((await views.get(ADMIN, suspect)).waitingFor).toEqual({ reason: 'suspect_slot' });
      const running = await seedTask(db.database, { status: 'task_running' });
      expect((await views.get(ADMIN, running)).waitingFor).toBeNull();
    });

    it('names the stage that runs next only once a worker had the task', async () => {
      const fresh = await seedTask(db.database, { nextStatus: 'context_running' });
      const again = await seedTask(db.database, { nextStatus: 'code_review_running', started: true });
      expect((await views.get(ADMIN, fresh)).currentStage).toBeNull();
      expect((await views.get(ADMIN, again)).currentStage).toBe('code_review');
    });

    it('is counted up to 1000', async () => {
      await db.database.query(
        'test.many',
        sql`insert into tasks (id, owner, pod_name, status, next_status, ready, priority, vstart, max_retries, control)
            select gen_random_uuid(), 'admin', 'p', 'queued', 'task_running', true, 9, 1, 2, '{}' from generate_series(1, 1000)`,
      );
      const id = await seedTask(db.database, { priority: 0, vstart: 1_000_000 });
      expect((await views.get(ADMIN, id)).waitingFor).toEqual({ reason: 'position', position: '>1000' });
    });
  });
});

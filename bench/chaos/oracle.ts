import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { LEGAL_TRANSITIONS } from '../../test/support/legal-transitions.js';
import { fileOf, iterationsOf, writes, type Question } from './stage-endpoint.js';

/** What became of a submission: `ok` was answered 202, `refused` was answered otherwise, of the others nobody knows. */
export interface Submission {
  tag: number;
  outcome: 'ok' | 'refused' | 'unknown';
  id?: string;
}

/** What must all be empty or zero, and what is only told. */
export interface Findings {
  lost: string[];
  duplicated: string[];
  wrong: string[];
  askedAgain: string[];
  stages: number;
  /** Questions for a stage's result beyond one for each stage. */
  extraQuestions: number;
}

/** Questions of a paused worker that wakes up to a lease it has lost: it notices within a moment. */
const ZOMBIE_MS = 1_500;
const ROLES = ['context', 'task', 'guardrail', 'code_review'] as const;

/**
 * Judges a run from outside. Writes that end a stage or a task are counted by triggers into a table without any unique index,
 * and the service's own index that would hide a duplicate is dropped.
 */
export class Oracle {
  constructor(private readonly pool: pg.Pool) {}

  /** Sets the probes; the schema must be there. */
  async prepare(): Promise<void> {
    await this.pool.query(
      `
        drop index stages_task_id_role_iteration_attempt_idx;
        create table chaos_effects (task_id uuid, what text, at timestamptz not null default clock_timestamp());
        create function note_stage() returns trigger language plpgsql as $$ begin
          insert into chaos_effects values (new.task_id, new.role || ' ' || new.iteration); return null; end $$;
        create function note_result() returns trigger language plpgsql as $$ begin
          insert into chaos_effects values (new.task_id, 'result'); return null; end $$;
        create trigger note after insert or update on stages for each row when (new.status = 'complete')
          execute function note_stage();
        create trigger note after insert or update on task_results for each row execute function note_result();`,
    );
  }

  /** Tasks that have not ended. */
  async unfinished(): Promise<number> {
    const { rows } = await this.pool.query<{ n: number }>(
      'select count(*)::int as n from tasks where completed_at is null',
    );
    return rows[0]?.n ?? 0;
  }

  async judge(
    submissions: readonly Submission[],
    questions: readonly Question[],
    wokenAt: readonly number[],
    workspace: string,
  ): Promise<Findings> {
    const found: Findings = { lost: [], duplicated: [], wrong: [], askedAgain: [], stages: 0, extraQuestions: 0 };
    const tags = await this.tasks(submissions, found);
    await this.effects(tags, found);
    await this.stages(tags, questions, wokenAt, found);
    await this.events(tags, found);
    await files(tags, workspace, found);
    return found;
  }

  /** Every accepted task is there once and complete; one that was refused is not, and the others at most once. */
  private async tasks(submissions: readonly Submission[], found: Findings): Promise<Map<string, number>> {
    const { rows } = await this.pool.query<{ id: string; status: string; tag: number }>(
      `select t.id, t.status, substring(r.user_input from 'tag-([0-9]+)')::int as tag
        from tasks t join task_requests r on r.task_id = t.id`,
    );
    const byTag = grouped(rows, ({ tag }) => tag);
    for (const { tag, outcome, id } of submissions) {
      const tasks = byTag.get(tag) ?? [];
      if (outcome === 'ok' && !tasks.some((task) => task.id === id)) found.lost.push(`task ${tag} was accepted`);
      if (outcome === 'refused' && tasks.length > 0) found.wrong.push(`task ${tag} was refused and is there`);
      if (tasks.length > 1) found.duplicated.push(`task ${tag} is there ${tasks.length} times`);
    }
    for (const { id, tag, status } of rows) {
      if (status !== 'complete') found.lost.push(`task ${tag} (${id}) is ${status}`);
    }
    return new Map(rows.map(({ id, tag }) => [id, tag]));
  }

  /** Each stage of each iteration was ended once, by one write, and so was the task. */
  private async effects(tags: ReadonlyMap<string, number>, found: Findings): Promise<void> {
    const { rows } = await this.pool.query<{ task_id: string; what: string; n: number }>(
      `select task_id, what, count(*)::int as n from chaos_effects group by task_id, what`,
    );
    const seen = new Set<string>();
    for (const { task_id, what, n } of rows) {
      seen.add(`${task_id} ${what}`);
      if (n > 1) found.duplicated.push(`${what} of task ${tags.get(task_id)} was stored ${n} times`);
    }
    for (const [id, tag] of tags) {
      const missing = expectedStages(tag).filter((what) => !seen.has(`${id} ${what}`));
      if (!seen.has(`${id} result`)) missing.push('result');
      for (const what of missing) found.lost.push(`${what} of task ${tag}`);
    }
  }

  /** One complete row for each stage and no other, and nobody is asked for what is there already. */
  private async stages(
    tags: ReadonlyMap<string, number>,
    questions: readonly Question[],
    wokenAt: readonly number[],
    found: Findings,
  ): Promise<void> {
    const { rows } = await this.pool.query<{ task_id: string; what: string; status: string; ended: number }>(
      `select task_id, role || ' ' || iteration as what, status,
          extract(epoch from completed_at)::float8 * 1000 as ended from stages`,
    );
    const endOf = new Map<string, number>();
    for (const { task_id, what, status, ended } of rows) {
      const key = `${tags.get(task_id)} ${what}`;
      if (status !== 'complete') {
        found.wrong.push(`${what} of task ${tags.get(task_id)} is ${status}`);
        continue;
      }
      if (endOf.has(key)) found.duplicated.push(`${what} of task ${tags.get(task_id)} has two rows`);
      endOf.set(key, ended);
    }
    found.stages = rows.length;
    found.extraQuestions = questions.filter(({ kind }) => kind === 'result').length - rows.length;
    for (const { tag, role, iteration, at } of questions) {
      const ended = endOf.get(`${tag} ${role} ${iteration}`);
      if (ended === undefined || at <= ended) continue;
      if (wokenAt.some((woken) => at >= woken && at < woken + ZOMBIE_MS)) continue;
      found.askedAgain.push(`${role} ${iteration} of task ${tag}, ${Math.round(at - ended)} ms after its end`);
    }
  }

  /** Numbers without a hole, moves that are on the list and join, one end. */
  private async events(tags: ReadonlyMap<string, number>, found: Findings): Promise<void> {
    const { rows } = await this.pool.query<{
      task_id: string;
      seq: number;
      type: string;
      from: string | null;
      to: string | null;
    }>(
      `select task_id, seq::int, type, data ->> 'from' as from, data ->> 'to' as to from task_events order by task_id, seq`,
    );
    for (const [id, events] of grouped(rows, ({ task_id }) => task_id)) {
      const name = `the log of task ${tags.get(id)}`;
      if (events.some(({ seq }, index) => seq !== index + 1)) found.wrong.push(`${name} has a hole or a repetition`);
      let status: string | null = null;
      for (const { from, to } of events) {
        if (to === null) continue;
        if (from !== status) found.wrong.push(`${name} goes on from ${from} and stood at ${status}`);
        if (from !== null && from !== to && !LEGAL_TRANSITIONS.has(`${from} > ${to}`)) {
          found.wrong.push(`${name} holds ${from} > ${to}`);
        }
        status = to;
      }
      const ends = events.filter(({ type }) => type === 'task.finished').length;
      if (ends > 1) found.duplicated.push(`${name} holds ${ends} ends`);
    }
  }
}

function grouped<Row, Key>(rows: readonly Row[], keyOf: (row: Row) => Key): Map<Key, Row[]> {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group === undefined) groups.set(keyOf(row), [row]);
    else group.push(row);
  }
  return groups;
}

function expectedStages(tag: number): string[] {
  const loops = ['task', 'guardrail', 'code_review'];
  const later = Array.from({ length: iterationsOf(tag) - 1 }, (_, index) =>
    loops.map((role) => `${role} ${index + 2}`),
  );
  return [...ROLES.map((role) => `${role} 1`), ...later.flat()];
}

/** What was published is whole, and there is nothing else. */
async function files(tags: ReadonlyMap<string, number>, workspace: string, found: Findings): Promise<void> {
  const expected = new Map([...tags.values()].filter(writes).map((tag) => [`${tag}.txt`, fileOf(tag).content]));
  const there = await readdir(join(workspace, 'made')).catch(() => []);
  for (const name of there) if (!expected.has(name)) found.wrong.push(`the file ${name} belongs to no task`);
  for (const [name, content] of expected) {
    const text = await readFile(join(workspace, 'made', name), 'utf8').catch(() => null);
    if (text !== content) found.lost.push(`the file ${name}`);
  }
}

import type pg from 'pg';
import { LEGAL_TRANSITIONS } from '../../test/support/legal-transitions.js';
import type { Owner } from './owner.js';
import type { Waking } from './fleet.js';
import type { Question } from './stage-endpoint.js';
import type { Submission } from './task-client.js';
import { expectedStages, writes } from './work.js';

/** Faults that fail a run, and figures that are only told. */
export interface Findings {
  /** Accepted tasks, stages, results and files that are not there. */
  lost: string[];
  /** Stage results that were stored again. */
  doubledStages: string[];
  /** Tasks, results, ends and published files that came twice. */
  doubledEffects: string[];
  /** Everything else that must not be. */
  wrong: string[];
  tasks: number;
  finished: number;
  stages: number;
  /** Whole answers that were sent for stages' results beyond one for each stage. */
  stagesRunAgain: number;
}

/** Evidence of the judge beside the tables. */
export interface Evidence {
  submissions: readonly Submission[];
  questions: readonly Question[];
  wakings: readonly Waking[];
  owner: Owner;
  /** Paths that are left in the workspace. */
  leftFiles: readonly string[];
}

/** A paused worker that wakes up to a lease it has lost notices within a moment, and may ask until then. */
const ZOMBIE_MS = 1_500;
/** Failed attempts that a model's faults lead to. */
const FAILS_OF_MODELS = /^model_(?:timeout|unavailable|malformed|rate_limited)$/;

/** Judges a run from outside: by the client's log, the model's log, the workspace and the tables of the probes. */
export async function judge(pool: pg.Pool, evidence: Evidence): Promise<Findings> {
  const found: Findings = {
    lost: [],
    doubledStages: [],
    doubledEffects: [...evidence.owner.faults.doubled],
    wrong: [...evidence.owner.faults.wrong],
    tasks: 0,
    finished: 0,
    stages: 0,
    stagesRunAgain: 0,
  };
  const tags = await judgeTasks(pool, evidence, found);
  await judgeEffects(pool, tags, found);
  await judgeStages(pool, tags, evidence, found);
  await judgeEvents(pool, tags, found);
  await judgeLeases(pool, tags, found);
  await judgeGates(pool, tags, evidence.owner, found);
  judgeFiles(tags, evidence, found);
  return found;
}

/** Every accepted task is there once and complete; one that was refused is not, and the others at most once. */
async function judgeTasks(pool: pg.Pool, evidence: Evidence, found: Findings): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ id: string; status: string; tag: number; error: string | null }>(
    `select t.id, t.status, t.error, substring(r.user_input from 'tag-([0-9]+)')::int as tag
       from tasks t join task_requests r on r.task_id = t.id`,
  );
  const byTag = grouped(rows, ({ tag }) => tag);
  for (const { tag, outcome, id } of evidence.submissions) {
    const tasks = byTag.get(tag) ?? [];
    if (outcome === 'ok' && !tasks.some((task) => task.id === id)) found.lost.push(`task ${tag} was accepted`);
    if (outcome === 'refused' && tasks.length > 0) found.wrong.push(`task ${tag} was refused and is there`);
    if (tasks.length > 1) found.doubledEffects.push(`task ${tag} is there ${tasks.length} times`);
  }
  for (const { id, tag, status, error } of rows) {
    if (status !== 'complete') found.lost.push(`task ${tag} (${id}) is ${status}: ${error ?? ''}`);
  }
  found.tasks = rows.length;
  found.finished = rows.filter(({ status }) => status === 'complete').length;
  return new Map(rows.map(({ id, tag }) => [id, tag]));
}

/** Each stage of each iteration was ended once, by one write, and so was the task. */
async function judgeEffects(pool: pg.Pool, tags: ReadonlyMap<string, number>, found: Findings): Promise<void> {
  const { rows } = await pool.query<{ task_id: string; what: string; n: number }>(
    `select task_id, what, count(*)::int as n from torture_effects group by task_id, what`,
  );
  const seen = new Set<string>();
  for (const { task_id, what, n } of rows) {
    seen.add(`${task_id} ${what}`);
    if (n === 1) continue;
    const words = `${what} of task ${tags.get(task_id)} was stored ${n} times`;
    (what === 'result' ? found.doubledEffects : found.doubledStages).push(words);
  }
  for (const [id, tag] of tags) {
    const missing = expectedStages(tag).filter((what) => !seen.has(`${id} ${what}`));
    if (!seen.has(`${id} result`)) missing.push('result');
    for (const what of missing) found.lost.push(`${what} of task ${tag}`);
  }
}

/** One complete row for each stage, besides attempts that the model failed, and nobody is asked for what is there already. */
async function judgeStages(
  pool: pg.Pool,
  tags: ReadonlyMap<string, number>,
  { questions, wakings }: Evidence,
  found: Findings,
): Promise<void> {
  const { rows } = await pool.query<{
    task_id: string;
    what: string;
    status: string;
    error_code: string | null;
    ended: number;
  }>(
    `select task_id, role || ' ' || iteration as what, status, error_code,
        extract(epoch from completed_at)::float8 * 1000 as ended from stages`,
  );
  const endOf = new Map<string, number>();
  for (const { task_id, what, status, error_code, ended } of rows) {
    const key = `${tags.get(task_id)} ${what}`;
    if (status === 'failed' && FAILS_OF_MODELS.test(error_code ?? '')) continue;
    if (status !== 'complete') {
      found.wrong.push(`${what} of task ${tags.get(task_id)} is ${status} (${error_code})`);
      continue;
    }
    if (endOf.has(key)) found.doubledStages.push(`${what} of task ${tags.get(task_id)} has two rows`);
    endOf.set(key, ended);
  }
  found.stages = endOf.size;
  found.stagesRunAgain = questions.filter(({ kind, answered }) => kind === 'result' && answered).length - endOf.size;
  for (const { tag, place, role, iteration, at } of questions) {
    const ended = endOf.get(`${tag} ${role} ${iteration}`);
    if (ended === undefined || at <= ended) continue;
    if (wakings.some((woken) => woken.place === place && at >= woken.at && at < woken.at + ZOMBIE_MS)) continue;
    found.wrong.push(
      `${role} ${iteration} of task ${tag} was asked for by worker ${place} ${Math.round(at - ended)} ms after its end`,
    );
  }
}

/** Numbers without a hole, moves that are on the list and join, one end. */
async function judgeEvents(pool: pg.Pool, tags: ReadonlyMap<string, number>, found: Findings): Promise<void> {
  const { rows } = await pool.query<{
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
    if (ends > 1) found.doubledEffects.push(`${name} holds ${ends} ends`);
  }
}

/** No lease was taken away as expired before its end; none was renewed, and no stage ended, by another worker than its holder. */
async function judgeLeases(pool: pg.Pool, tags: ReadonlyMap<string, number>, found: Findings): Promise<void> {
  const early = await pool.query<{ task_id: string; ms: number }>(
    `select l.task_id, extract(epoch from l.until_before - l.at)::float8 * 1000 as ms
       from torture_leases l join task_events e on e.task_id = l.task_id and e.seq > l.seq_before and e.seq <= l.seq
      where e.type = 'task.reaped' and e.data ->> 'reason' = 'lease_expired' and l.until_before > l.at`,
  );
  for (const { task_id, ms } of early.rows) {
    found.wrong.push(`the lease of task ${tags.get(task_id)} was taken ${Math.round(ms)} ms before its end`);
  }
  const known = await pool.query("select from torture_sessions where session ~ '^worker-'");
  if (known.rowCount === 0) found.wrong.push('no connection is known to be a worker of the rig');
  const late = await pool.query<{ task_id: string; what: string; holder: number; session: string }>(
    `select task_id, what, holder, session from torture_effects e
      where holder is not null and exists (select from torture_sessions s where s.session = e.session)
        and not exists (select from torture_sessions s where s.session = e.session and s.worker = e.holder)`,
  );
  for (const { task_id, what, holder, session } of late.rows) {
    found.wrong.push(`${session} ended ${what} of task ${tags.get(task_id)}, which worker ${holder} holds`);
  }
  const foreign = await pool.query<{ task_id: string; owner: number | null; worker: number }>(
    `select r.task_id, r.owner, b.worker from torture_renewals r join torture_beats b on b.statement = r.statement
      where r.owner is distinct from b.worker`,
  );
  for (const { task_id, owner, worker } of foreign.rows) {
    found.wrong.push(`worker ${worker} renewed the lease of task ${tags.get(task_id)}, which worker ${owner} holds`);
  }
}

/** A file that the owner made meanwhile was overwritten by a person's word and not without. */
async function judgeGates(
  pool: pg.Pool,
  tags: ReadonlyMap<string, number>,
  owner: Owner,
  found: Findings,
): Promise<void> {
  const { rows } = await pool.query<{ task_id: string }>(
    `select distinct task_id from gates where kind = 'publish_conflict' and decision = 'approve'`,
  );
  const approved = new Set(rows.map(({ task_id }) => tags.get(task_id)));
  for (const tag of owner.contested) {
    if ([...tags.values()].includes(tag) && !approved.has(tag)) {
      found.wrong.push(`the owner's file of task ${tag} was overwritten without a word`);
    }
  }
}

/** Every published file is whole, and there is no other. */
function judgeFiles(tags: ReadonlyMap<string, number>, { owner, leftFiles }: Evidence, found: Findings): void {
  for (const tag of tags.values()) {
    if (writes(tag) && !owner.taken.has(tag)) found.lost.push(`the file of task ${tag}`);
  }
  for (const path of leftFiles) found.wrong.push(`the workspace holds ${path} in the end`);
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

import { Injectable } from '@nestjs/common';
import { Clock } from '../../../platform/clock/index.js';
import {
  Database,
  json,
  preparedSql,
  sql,
  type Sql,
  storableJson,
  type TaskEventRow,
  type TaskRow,
} from '../../../platform/database/index.js';
import { withoutLogContext } from '../../../platform/logging/index.js';
import type { Transition } from './transition.js';
import { retryUnavailable } from './retry-unavailable.js';
import { TaskEventPublisher, type PublishedEvent } from './task-event-publisher.js';
import { isLegalTransition, isLeased, isTerminal } from '../rules/task-status.js';

/** Transitions in flight at once; with two, one flush is written while the next one gathers. */
const LANES = 2;
const FLUSH_LIMIT = 64;

interface Pending {
  readonly id: string;
  readonly transition: Transition;
  readonly signal: AbortSignal | undefined;
  resolve(applied: boolean): void;
  reject(error: unknown): void;
}

type AppliedTask = Pick<TaskRow, 'id' | 'owner' | 'pod_name'> & {
  events: (Pick<TaskEventRow, 'seq' | 'type'> & { data: Record<string, unknown>; at: string })[] | null;
};

/**
 * The one door through which a task changes. Transitions of several tasks are flushed together in one statement, as soon as a
 * lane is free: on two cores that is three to five times a transaction each, with the same fsync.
 */
@Injectable()
export class TransitionsRepository {
  private readonly waiting: Pending[] = [];
  private busyLanes = 0;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly publisher: TaskEventPublisher,
  ) {}

  /**
   * Applies `transition` and tells its events; false when its guard no longer holds, so the caller's lease or view is lost. A
   * commit whose answer was lost is tried again and recognises its own earlier success.
   * @throws DomainError `dependency_unavailable` when PostgreSQL stays away; Error when the transition is not a legal one.
   */
  commit(transition: Transition, signal?: AbortSignal): Promise<boolean> {
    if (!isLegalTransition(transition.from, transition.to))
      throw new Error(`A task may not go from ${transition.from} to ${transition.to}.`);
    return new Promise<boolean>((resolve, reject) => {
      this.waiting.push({ id: this.clock.newId(), transition, signal, resolve, reject });
      this.drainLanes();
    });
  }

  private drainLanes(): void {
    while (this.busyLanes < LANES && this.waiting.length > 0) {
      const batch = this.takeBatch();
      this.busyLanes += 1;
      void withoutLogContext(() => this.flush(batch)).finally(() => {
        this.busyLanes -= 1;
        this.drainLanes();
      });
    }
  }

  /** A task appears at most once in a flush: its second transition is judged on the first one's outcome. */
  private takeBatch(): Pending[] {
    const taken = new Map<string, Pending>();
    const kept: Pending[] = [];
    for (const pending of this.waiting.splice(0)) {
      if (taken.size < FLUSH_LIMIT && !taken.has(pending.transition.task_id))
        taken.set(pending.transition.task_id, pending);
      else kept.push(pending);
    }
    this.waiting.push(...kept);
    return [...taken.values()];
  }

  private async flush(batch: readonly Pending[]): Promise<void> {
    try {
      const applied = await this.apply(batch);
      for (const pending of batch) pending.resolve(applied.has(pending.id));
    } catch {
      // One row that PostgreSQL refuses fails the whole statement, and an unreachable server fails every row alike: each is
      // tried alone, and one whose answer was lost recognises its own success.
      await Promise.all(
        batch.map((pending) =>
          retryUnavailable(this.clock, pending.signal, () => this.apply([pending])).then(
            (applied) => pending.resolve(applied.has(pending.id)),
            (error: unknown) => pending.reject(error),
          ),
        ),
      );
    }
  }

  /** Ids of the transitions that hold now: applied by this statement, or by an earlier one whose answer was lost. */
  private async apply(batch: readonly Pending[]): Promise<Set<string>> {
    const rows = await this.database.query<AppliedTask & { move_id: string; now: boolean }>(
      'tasks.applyTransitions',
      transitionsStatement(storable(batch.map(({ id, transition }) => toRow(id, transition)))),
    );
    const published: PublishedEvent[] = [];
    for (const row of rows) {
      for (const event of row.events ?? []) {
        published.push({ task_id: row.id, owner: row.owner, pod_name: row.pod_name, ...event });
      }
    }
    this.publisher.publish(published);
    const applied = new Set(rows.map((row) => row.move_id));
    const unsure = batch.filter(({ id }) => !applied.has(id));
    if (unsure.length > 0) {
      const earlier = await this.database.query<{ last_move_id: NonNullable<TaskRow['last_move_id']> }>(
        'tasks.findAppliedTransitions',
        sql`select last_move_id from tasks where last_move_id = any(${unsure.map(({ id }) => id)}::uuid[])
              and id = any(${unsure.map(({ transition }) => transition.task_id)}::uuid[])`,
      );
      for (const row of earlier) applied.add(row.last_move_id);
    }
    return applied;
  }
}

/** JSON that PostgreSQL can store; only text that holds an escape it refuses pays for a second pass. */
function storable(rows: readonly unknown[]): string | null {
  const text = json(rows);
  return text !== null && /\\u(0000|d[89a-f])/i.test(text) ? json(storableJson(rows)) : text;
}

function toRow(id: string, transition: Transition): Record<string, unknown> {
  const leased = isLeased(transition.to);
  return {
    ...transition,
    move_id: id,
    from_status: transition.from,
    to_status: transition.to,
    ...transition.guard,
    leased,
    terminal: isTerminal(transition.to),
    stay_suspect: transition.suspect ?? null,
    beat_owner: transition.guard.owner_without_beat_since?.owner ?? null,
    beat_at: transition.guard.owner_without_beat_since?.last_heartbeat_at ?? null,
    error_code: transition.error?.code ?? null,
    error_text: transition.error?.message ?? null,
    error_context: transition.error?.context ?? null,
    keep_error: transition.error === undefined,
    ...transition.spent,
    next_status: transition.queue?.next_status ?? null,
    delay_ms: transition.queue?.delay_ms ?? null,
    wait_reason: transition.queue?.wait_reason ?? null,
    wait_provider: transition.queue?.wait_provider ?? null,
    // Where the transition leads stands in its last event, so that an event log can be replayed against the legal transitions.
    events: transition.events.map((event, index) =>
      index === transition.events.length - 1
        ? { ...event, data: { ...event.data, from: transition.from, to: transition.to } }
        : event,
    ),
  };
}

/** The flush of transitions, given as JSON; for the repository and for the plan test. */
export const transitionsStatement = (transitions: string | null): Sql => preparedSql`
  with m as materialized (
    select * from jsonb_to_recordset(${transitions}::jsonb) as m(
      move_id uuid, task_id uuid, from_status text, to_status text, epoch bigint, version bigint, lease_expired boolean,
      beat_owner integer, beat_at timestamptz, deadline_passed boolean, leased boolean, terminal boolean, control jsonb,
      raise_epoch boolean, next_status text, delay_ms double precision, wait_reason text, wait_provider text,
      stay_suspect boolean, stage_crashes integer, retries integer, deadline_ms double precision, keep_error boolean,
      error_code text, error_text text, error_context jsonb, input_tokens bigint,
      cached_input_tokens bigint, output_tokens bigint, cost_usd numeric,
      promised_usd numeric, execution_ms bigint, stages jsonb, end_running_stages jsonb, findings jsonb, resolve jsonb, reviews jsonb,
      artifacts jsonb, open_gate jsonb, decide_gate jsonb, result jsonb, dead_letter jsonb, revive boolean, events jsonb)
    -- Always true, and has the planner expect one transition, not a hundred: for those it would read the table whole while it is small,
    -- and go on so when it has grown.
    where jsonb_typeof(m.events) = 'array'
  ), u as (
    update tasks t set
      status = m.to_status,
      next_status = m.next_status,
      ready = m.to_status = 'queued' and coalesce(m.delay_ms, 0) <= 0,
      suspect = coalesce(m.stay_suspect, t.suspect),
      run_at = case when m.to_status = 'queued'
        then clock_timestamp() + coalesce(m.delay_ms, 0) * interval '1 millisecond' else t.run_at end,
      wait_reason = m.wait_reason,
      wait_provider = m.wait_provider,
      epoch = t.epoch + case when m.raise_epoch then 1 else 0 end,
      version = t.version + 1,
      last_move_id = m.move_id,
      retry_count = case when m.revive then 0 else t.retry_count + coalesce(m.retries, 0) end,
      stage_crashes = coalesce(m.stage_crashes, t.stage_crashes),
      lease_owner = case when m.leased then t.lease_owner end,
      lease_until = case when m.leased then t.lease_until end,
      deadline_at = case when not m.leased then null
        when m.deadline_ms is not null then clock_timestamp() + m.deadline_ms * interval '1 millisecond' else t.deadline_at end,
      control = m.control,
      gate_id = case when m.to_status = 'pending_human_review' then (m.open_gate ->> 'id')::uuid end,
      event_seq = t.event_seq + jsonb_array_length(m.events),
      error = case when m.keep_error then t.error else m.error_text end,
      error_code = case when m.keep_error then t.error_code else m.error_code end,
      error_context = case when m.keep_error then t.error_context else m.error_context end,
      input_tokens = t.input_tokens + coalesce(m.input_tokens, 0),
      cached_input_tokens = t.cached_input_tokens + coalesce(m.cached_input_tokens, 0),
      output_tokens = t.output_tokens + coalesce(m.output_tokens, 0),
      cost_usd = t.cost_usd + coalesce(m.cost_usd, 0),
      promised_usd = greatest(0, t.promised_usd + coalesce(m.promised_usd, 0)),
      execution_ms = case when m.revive then 0 else t.execution_ms + coalesce(m.execution_ms, 0) end,
      queued_at = case when m.revive then clock_timestamp() else t.queued_at end,
      completed_at = case when m.terminal then clock_timestamp() end,
      updated_at = clock_timestamp()
    from m
    where t.id = m.task_id and t.epoch = m.epoch and t.version = m.version
      -- Not as a condition of the index on statuses, which looks as good as the primary key while there are few tasks.
      and (t.status = m.from_status) is true
      and (m.lease_expired is not true or t.lease_until < clock_timestamp())
      and (m.deadline_passed is not true or t.deadline_at < clock_timestamp())
      and (m.beat_owner is null or (t.lease_owner = m.beat_owner and t.last_heartbeat_at is not distinct from m.beat_at))
    returning t.id, t.owner, t.pod_name, t.event_seq, t.attempt, m.*
  ), ended_stages as (
    update stages s set
      status = u.end_running_stages ->> 'status', error = u.end_running_stages ->> 'error',
      error_code = u.end_running_stages ->> 'error_code', completed_at = clock_timestamp()
    from u
    where u.end_running_stages is not null and s.task_id = u.id and s.status = 'running'
      -- One statement may write a row once only.
      and not coalesce(u.stages @> jsonb_build_array(jsonb_build_object('id', s.id)), false)
  ), written_stages as (
    insert into stages as s (
      id, task_id, role, position, iteration, attempt, status, model, output, error, error_code, input_tokens,
      cached_input_tokens, output_tokens, cost_usd, usage_estimated, duration_ms, tools_left_out,
      completed_at)
    select w.id, u.id, w.role, w.position, w.iteration, w.attempt, w.status, w.model, w.output, w.error, w.error_code,
      coalesce(w.input_tokens, 0), coalesce(w.cached_input_tokens, 0), coalesce(w.output_tokens, 0), w.cost_usd,
      coalesce(w.usage_estimated, false), w.duration_ms, w.tools_left_out,
      case when w.status <> 'running' then clock_timestamp() end
    from u cross join lateral jsonb_to_recordset(u.stages) as w(
      id uuid, role text, position integer, iteration integer, attempt integer, status text, model text, output jsonb,
      error text, error_code text, input_tokens bigint, cached_input_tokens bigint, output_tokens bigint, cost_usd numeric,
      usage_estimated boolean, duration_ms bigint, tools_left_out jsonb)
    on conflict (id) do update set
      status = excluded.status, model = excluded.model, output = excluded.output, error = excluded.error,
      error_code = excluded.error_code, input_tokens = excluded.input_tokens,
      cached_input_tokens = excluded.cached_input_tokens, output_tokens = excluded.output_tokens, cost_usd = excluded.cost_usd, usage_estimated = excluded.usage_estimated, duration_ms = excluded.duration_ms,
      tools_left_out = excluded.tools_left_out,
      completed_at = excluded.completed_at
  ), resolved_findings as (
    update findings f set
      status = 'resolved', resolved_by = r.resolved_by, resolution_notes = r.notes, resolved_at = clock_timestamp()
    from u cross join lateral jsonb_to_recordset(u.resolve) as r(
      resolved_by text, notes text, ids uuid[], before_iteration integer)
    where f.task_id = u.id and f.status = 'open' and (r.ids is null or f.id = any(r.ids))
      and (r.before_iteration is null or f.iteration < r.before_iteration)
  ), written_findings as (
    insert into findings (id, task_id, stage_id, finding_type, severity, description, evidence, iteration, deterministic)
    select w.id, u.id, w.stage_id, w.finding_type, w.severity, w.description, w.evidence, w.iteration, w.deterministic
    from u cross join lateral jsonb_to_recordset(u.findings) as w(
      id uuid, stage_id uuid, finding_type text, severity text, description text, evidence text, iteration integer,
      deterministic boolean)
  ), written_reviews as (
    insert into reviews (id, task_id, stage_id, iteration, verdict, issues, summary)
    select w.id, u.id, w.stage_id, w.iteration, w.verdict, w.issues, w.summary
    from u cross join lateral jsonb_to_recordset(u.reviews) as w(
      id uuid, stage_id uuid, iteration integer, verdict text, issues jsonb, summary text)
  ), written_artifacts as (
    insert into artifacts (id, task_id, stage_id, artifact_type, name, content, content_hash, file_path, metadata)
    select w.id, u.id, w.stage_id, w.artifact_type, w.name, w.content, w.content_hash, w.file_path, w.metadata
    from u cross join lateral jsonb_to_recordset(u.artifacts) as w(
      id uuid, stage_id uuid, artifact_type text, name text, content text, content_hash text, file_path text, metadata jsonb)
  ), decided_gates as (
    update gates g set
      decision = u.decide_gate ->> 'decision', decided_by = u.decide_gate ->> 'decided_by', decided_at = clock_timestamp(),
      comment = u.decide_gate ->> 'comment'
    from u
    where u.decide_gate is not null and g.id = (u.decide_gate ->> 'id')::uuid
  ), opened_gates as (
    insert into gates (id, task_id, kind, reason, content_hash, details)
    select (u.open_gate ->> 'id')::uuid, u.id, u.open_gate ->> 'kind', u.open_gate ->> 'reason',
      u.open_gate ->> 'content_hash', u.open_gate -> 'details'
    from u where u.open_gate is not null
  ), written_results as (
    insert into task_results (task_id, output, summary)
    select u.id, u.result -> 'output', u.result -> 'summary' from u where u.result is not null
    on conflict (task_id) do update set output = excluded.output, summary = excluded.summary
  ), buried as (
    insert into dead_letters (task_id, reason, error, stage, attempts)
    select u.id, u.dead_letter ->> 'reason', u.dead_letter ->> 'error', u.dead_letter ->> 'stage', u.attempt
    from u where u.dead_letter is not null
    on conflict (task_id) do update set reason = excluded.reason, error = excluded.error, stage = excluded.stage,
      attempts = excluded.attempts, dead_at = clock_timestamp()
  ), revived as (
    delete from dead_letters d using u where u.revive and d.task_id = u.id
  ), written_events as (
    insert into task_events (task_id, seq, type, data)
    select u.id, u.event_seq - jsonb_array_length(u.events) + e.ordinality, e.value ->> 'type', e.value -> 'data'
    from u cross join lateral jsonb_array_elements(u.events) with ordinality as e
    returning task_id, seq, type, at, data
  )
  select u.id, u.move_id, u.owner, u.pod_name,
    (select jsonb_agg(jsonb_build_object('seq', w.seq, 'type', w.type, 'at', w.at, 'data', w.data) order by w.seq)
       from written_events w where w.task_id = u.id) as events
  from u`;

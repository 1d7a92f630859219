import { Injectable } from '@nestjs/common';
import { validate as isUuid } from 'uuid';
import { Database, json, sql, type Sql, type TurnRow } from '../../platform/database/index.js';
import type { AgentWorkSource } from '../agents/index.js';
import type { ToolCallRecord } from '../loop/index.js';
import type { TaskFate } from '../tools/index.js';
import { INTERRUPTED, type Turn, type TurnError, type TurnHead, type TurnOutcome, type TurnRequest } from './turn.js';

type StoredTurn = Pick<
  TurnRow,
  | 'id'
  | 'owner'
  | 'agent_id'
  | 'status'
  | 'response'
  | 'error_code'
  | 'error_message'
  | 'model'
  | 'input_tokens'
  | 'cached_input_tokens'
  | 'output_tokens'
  | 'cost_usd'
  | 'tool_calls'
  | 'event_id'
  | 'epoch'
  | 'started_at'
  | 'completed_at'
> & { tool_calls: ToolCallRecord[]; is_awaited: boolean };

type StoredHead = Pick<
  TurnRow,
  'id' | 'owner' | 'status' | 'error_code' | 'error_message' | 'event_id' | 'completed_at'
>;

const COLUMNS = sql`
  id, owner, agent_id, status, response, tool_calls, error_code, error_message, model, input_tokens,
  cached_input_tokens, output_tokens, cost_usd, event_id, epoch, started_at, completed_at,
  status = 'running' and answer_until > clock_timestamp() and lease_until > clock_timestamp() as is_awaited`;
/** An error and the end are two events more. */
const ENDED = sql`
  epoch = epoch + 1, lease_owner = null, lease_until = null, completed_at = clock_timestamp(), event_id = event_id + 2`;
const INTERRUPT = sql`
  status = 'failed', error_code = ${INTERRUPTED.code}, error_message = ${INTERRUPTED.message}, ${ENDED}`;

const FATES: Readonly<Record<TurnRow['status'], TaskFate>> = {
  running: 'unfinished',
  completed: 'complete',
  failed: 'given_up',
  cancelled: 'given_up',
};

/** One checkpoint of a running turn. */
export interface TurnProgress {
  id: string;
  epoch: number;
  /** Text after the first `after` code points of the response; empty when there is nothing new. */
  said: string;
  after: number;
  /** The event that ends it; 0 when there is nothing new. */
  eventId: number;
}

/** Turns and their leases. Writes of the process that runs a turn carry its epoch; whoever ends the turn for it raises that. */
@Injectable()
export class TurnsRepository implements AgentWorkSource {
  constructor(private readonly db: Database) {}

  /** Stores a running turn, leased to `leaseOwner`; false when its chat session is answering already. */
  async insert(
    turn: { id: string; agentId: string; model: string | null; leaseOwner: string; leaseSeconds: number },
    request: TurnRequest,
  ): Promise<boolean> {
    const rows = await this.db.query(
      'turns.insert',
      sql`insert into turns (
            id, owner, agent_id, origin, session_id, task_type, metadata, model, lease_owner, lease_until, answer_until
          ) values (
            ${turn.id}, ${request.owner}, ${turn.agentId}, ${request.origin}, ${request.sessionId}, ${request.taskType},
            ${json(request.metadata)}, ${turn.model}, ${turn.leaseOwner},
            clock_timestamp() + ${turn.leaseSeconds} * interval '1 second',
            clock_timestamp() + ${request.answerWithinMs} * interval '1 millisecond'
          )
          on conflict (session_id) where status = 'running' and origin = 'chat' do nothing
          returning id`,
    );
    return rows.length > 0;
  }

  async find(id: string): Promise<Turn | null> {
    const row = await this.db.maybeOne<StoredTurn>('turns.find', sql`select ${COLUMNS} from turns where id = ${id}`);
    return row && toTurn(row);
  }

  async findHead(id: string): Promise<TurnHead | null> {
    const row = await this.db.maybeOne<StoredHead & { length: number }>(
      'turns.findHead',
      sql`select id, owner, status, error_code, error_message, event_id, completed_at,
            coalesce(char_length(response), 0) as length
          from turns where id = ${id}`,
    );
    return row && { ...toHead(row), length: row.length };
  }

  /** `count` code points of what was said, from the code point `from` on; null when the turn or its words are gone. */
  async text(id: string, from: number, count: number): Promise<string | null> {
    const row = await this.db.maybeOne<{ piece: TurnRow['response'] }>(
      'turns.text',
      sql`select substring(response from ${from + 1}::int for ${count}::int) as piece from turns where id = ${id}`,
    );
    return row?.piece ?? null;
  }

  /** Renews leases and notes what was said since, unless more is noted already; returns the ids that are still held, the others are lost. */
  async renew(leaseOwner: string, leaseSeconds: number, turns: readonly TurnProgress[]): Promise<Set<string>> {
    const rows = await this.db.query<Pick<TurnRow, 'id'>>(
      'turns.renew',
      sql`update turns t set
            lease_until = clock_timestamp() + ${leaseSeconds} * interval '1 second',
            response = case when p.said <> '' and p.event_id >= t.event_id
              then left(coalesce(t.response, ''), p.after) || p.said else t.response end,
            event_id = greatest(t.event_id, p.event_id)
          from unnest(
            ${turns.map((turn) => turn.id)}::uuid[], ${turns.map((turn) => turn.epoch)}::bigint[],
            ${turns.map((turn) => turn.said)}::text[], ${turns.map((turn) => turn.after)}::int[],
            ${turns.map((turn) => turn.eventId)}::bigint[]
          ) as p(id, epoch, said, after, event_id)
          where t.id = p.id and t.epoch = p.epoch and t.lease_owner = ${leaseOwner}
          returning t.id`,
    );
    return new Set(rows.map((row) => row.id));
  }

  /** Ends a turn that this process runs; false when somebody else has ended it. */
  async finish(id: string, epoch: number, outcome: TurnOutcome): Promise<boolean> {
    const rows = await this.db.query(
      'turns.finish',
      sql`update turns set
            status = ${outcome.status}, ${results(outcome)}, error_code = ${outcome.error?.code ?? null},
            error_message = ${outcome.error?.message ?? null}, event_id = ${outcome.eventId},
            lease_owner = null, lease_until = null, completed_at = clock_timestamp()
          where id = ${id} and epoch = ${epoch} and status = 'running'
          returning id`,
    );
    return rows.length > 0;
  }

  /** Adds what a turn had done when somebody else cancelled it. */
  async complete(id: string, epoch: number, outcome: TurnOutcome): Promise<void> {
    await this.db.query(
      'turns.complete',
      sql`update turns set ${results(outcome)}, event_id = ${outcome.eventId}
          where id = ${id} and epoch = ${epoch + 1} and status = 'cancelled'`,
    );
  }

  /** Cancels a running turn, whoever runs it; false when it has ended. */
  async cancel(id: string, error: TurnError): Promise<boolean> {
    const rows = await this.db.query(
      'turns.cancel',
      sql`update turns set status = 'cancelled', error_code = ${error.code}, error_message = ${error.message}, ${ENDED}
          where id = ${id} and status = 'running' returning id`,
    );
    return rows.length > 0;
  }

  /** Cancels the running turns of `owner`; returns their ids. */
  async cancelOfOwner(owner: string, error: TurnError): Promise<string[]> {
    const rows = await this.db.query<Pick<TurnRow, 'id'>>(
      'turns.cancelOfOwner',
      sql`update turns set status = 'cancelled', error_code = ${error.code}, error_message = ${error.message}, ${ENDED}
          where owner = ${owner} and status = 'running' returning id`,
    );
    return rows.map((row) => row.id);
  }

  /** The owners of running turns. */
  async runningOwners(): Promise<string[]> {
    const rows = await this.db.query<Pick<TurnRow, 'owner'>>(
      'turns.runningOwners',
      sql`select distinct owner from turns where status = 'running'`,
    );
    return rows.map((row) => row.owner);
  }

  /** How many turns of `owner` run. */
  async countRunningOf(owner: string): Promise<number> {
    const row = await this.db.one<{ running: number }>(
      'turns.countRunningOf',
      sql`select count(*)::integer as running from turns where owner = ${owner} and status = 'running'`,
    );
    return row.running;
  }

  /** Those of `ids` that are cancelled turns. */
  async cancelledAmong(ids: readonly string[]): Promise<string[]> {
    const rows = await this.db.query<Pick<TurnRow, 'id'>>(
      'turns.cancelledAmong',
      sql`select id from turns where id = any(${[...ids]}::uuid[]) and status = 'cancelled'`,
    );
    return rows.map((row) => row.id);
  }

  /** How the turns have ended whose ids name these work trees; trees of turns that do not exist are left out. */
  async fates(trees: readonly string[]): Promise<Map<string, TaskFate>> {
    const rows = await this.db.query<Pick<TurnRow, 'id' | 'status'>>(
      'turns.fates',
      sql`select id, status from turns where id = any(${trees.filter((name) => isUuid(name))}::uuid[])`,
    );
    return new Map(rows.map(({ id, status }) => [id, FATES[status]]));
  }

  /** Cancels every running turn of the agent. */
  async cancelOfAgent(agentId: string, error: TurnError): Promise<void> {
    await this.db.query(
      'turns.cancelOfAgent',
      sql`update turns set status = 'cancelled', error_code = ${error.code}, error_message = ${error.message}, ${ENDED}
          where agent_id = ${agentId} and status = 'running'`,
    );
  }

  /** Which of the agents `ids`, or of all when it is null, have a turn whose process lives. */
  async findRunningAgents(ids: readonly string[] | null): Promise<Set<string>> {
    const rows = await this.db.query<Pick<TurnRow, 'agent_id'>>(
      'turns.findRunningAgents',
      sql`select distinct agent_id from turns
          where status = 'running' and lease_until > clock_timestamp()
            ${ids === null ? sql`` : sql`and agent_id = any(${[...ids]}::uuid[])`}`,
    );
    return new Set(rows.map((row) => row.agent_id));
  }

  /** Fails turns whose lease has run out, or which are not leased to `self` when it is given; tells whose agents they were. */
  async interrupt(self: string | null, limit: number): Promise<{ id: string; agentId: string }[]> {
    const dead = self === null ? sql`lease_until < clock_timestamp()` : sql`lease_owner <> ${self}`;
    const rows = await this.db.query<Pick<TurnRow, 'id' | 'agent_id'>>(
      'turns.interrupt',
      sql`update turns set ${INTERRUPT}
          where id in (
            select id from turns where status = 'running' and ${dead} order by id limit ${limit} for update skip locked)
          returning id, agent_id`,
    );
    return rows.map((row) => ({ id: row.id, agentId: row.agent_id }));
  }

  /** Fails the turn that blocks a chat session although its process is gone. */
  async interruptSession(sessionId: string): Promise<void> {
    await this.db.query(
      'turns.interruptSession',
      sql`update turns set ${INTERRUPT}
          where session_id = ${sessionId} and status = 'running' and origin = 'chat' and lease_until < clock_timestamp()`,
    );
  }

  /** Deletes up to `limit` turns that ended more than `days` ago. */
  async deleteEndedBefore(days: number, limit: number): Promise<void> {
    await this.db.query(
      'turns.deleteEndedBefore',
      sql`delete from turns where id in (
            select id from turns where completed_at < clock_timestamp() - ${days} * interval '1 day'
            order by completed_at limit ${limit})`,
    );
  }
}

function results(outcome: TurnOutcome): Sql {
  // A whole answer without a word is empty, a broken one without a word is none.
  const stored = outcome.status === 'completed' || outcome.said !== '' ? sql`coalesce(response, '')` : sql`response`;
  return sql`
    response = left(${stored}, ${outcome.after}) || ${outcome.said},
    tool_calls = ${json(outcome.toolCalls)}, model = ${outcome.model},
    input_tokens = ${outcome.inputTokens}, cached_input_tokens = ${outcome.cachedInputTokens},
    output_tokens = ${outcome.outputTokens}, cost_usd = ${outcome.costUsd}`;
}

function toHead(row: StoredHead): Omit<TurnHead, 'length'> {
  return {
    id: row.id,
    owner: row.owner,
    status: row.status,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
    eventId: row.event_id,
    completedAt: row.completed_at,
  };
}

function toTurn(row: StoredTurn): Turn {
  return {
    ...toHead(row),
    agentId: row.agent_id,
    response: row.response,
    toolCalls: row.tool_calls,
    model: row.model,
    inputTokens: row.input_tokens,
    cachedInputTokens: row.cached_input_tokens,
    outputTokens: row.output_tokens,
    costUsd: row.cost_usd,
    epoch: row.epoch,
    isAwaited: row.is_awaited,
    startedAt: row.started_at,
  };
}

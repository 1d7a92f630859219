import { Injectable } from '@nestjs/common';
import { Database, joinSql, json, sql, type AgentRow, type Sql } from '../../platform/database/index.js';
import { LONGEST_LISTED_TEXT, type PageRequest } from '../../platform/paging/index.js';
import type { AgentConfig, AgentState, StoredAgent } from './agent.js';

/** Which agents; what is left out is any. */
export interface AgentFilter {
  readonly name?: string | undefined;
  readonly states?: readonly AgentState[];
  readonly among?: readonly string[];
  readonly except?: readonly string[];
}

const COLUMNS = sql`
  id, is_canonical, name, system_prompt, model, tools, memory_tiers, max_context_tokens, fallback_models, metadata, state,
  created_at, updated_at, last_active_at`;

/** The durable record of agents. Locks are on the agent's row and last until the surrounding transaction ends. */
@Injectable()
export class AgentsRepository {
  constructor(private readonly db: Database) {}

  /** Every agent, oldest first. */
  async findAll(): Promise<StoredAgent[]> {
    const rows = await this.db.query<AgentRow>(
      'agents.findAll',
      sql`select ${COLUMNS} from agents order by created_at, id`,
    );
    return rows.map(toAgent);
  }

  /**
   * A page of the agents that `filter` names, oldest first; one more than the page holds when others follow. Long instructions are cut
   * to one character more than lists show.
   */
  async page(page: PageRequest, filter: AgentFilter): Promise<StoredAgent[]> {
    const conditions: Sql[] = [sql`true`];
    if (filter.name !== undefined) conditions.push(sql`name = ${filter.name}`);
    if (filter.states !== undefined) conditions.push(sql`state = any(${[...filter.states]})`);
    if (filter.among !== undefined) conditions.push(sql`id = any(${[...filter.among]}::uuid[])`);
    if (filter.except !== undefined) conditions.push(sql`id <> all(${[...filter.except]}::uuid[])`);
    if (page.after !== null) {
      conditions.push(sql`(created_at, id) > (${page.after.at}::timestamptz, ${page.after.id}::uuid)`);
    }
    const rows = await this.db.query<AgentRow>(
      'agents.page',
      sql`select id, is_canonical, name, left(system_prompt, ${LONGEST_LISTED_TEXT + 1}) as system_prompt, model, tools, memory_tiers,
            max_context_tokens, fallback_models, metadata, state, created_at, updated_at, last_active_at
          from agents where ${joinSql(conditions, ' and ')}
          order by created_at, id limit ${page.limit + 1} offset ${page.offset}`,
    );
    return rows.map(toAgent);
  }

  /** How many agents `owner` has made that are there, and about what they take. */
  async heldBy(owner: string): Promise<{ agents: number; bytes: number }> {
    return this.db.one<{ agents: number; bytes: number }>(
      'agents.heldBy',
      sql`select count(*)::integer as agents,
            coalesce(sum(octet_length(system_prompt) + pg_column_size(metadata)), 0)::float8 as bytes
          from agents where owner = ${owner}`,
    );
  }

  async findCanonical(): Promise<StoredAgent | null> {
    const row = await this.db.maybeOne<AgentRow>(
      'agents.findCanonical',
      sql`select ${COLUMNS} from agents where is_canonical`,
    );
    return row && toAgent(row);
  }

  /** Keeps the agent from being deleted or changed while something is started with it. */
  lockForUse(id: string): Promise<StoredAgent | null> {
    return this.one('agents.lockForUse', id, sql`for key share`);
  }

  /** Keeps other edits of the agent waiting. */
  lockForEdit(id: string): Promise<StoredAgent | null> {
    return this.one('agents.lockForEdit', id, sql`for no key update`);
  }

  /** Keeps edits and whatever would use the agent waiting. */
  lockForDelete(id: string): Promise<StoredAgent | null> {
    return this.one('agents.lockForDelete', id, sql`for update`);
  }

  /** `owner` made it; null is unknown. */
  async insert(id: string, config: AgentConfig, owner: string | null): Promise<StoredAgent> {
    const row = await this.db.one<AgentRow>('agents.insert', insertion(id, config, owner, false, sql``));
    return toAgent(row);
  }

  /** Adds the canonical agent unless there is one; any number of processes may try at once. */
  async insertCanonical(id: string, config: AgentConfig): Promise<void> {
    await this.db.query(
      'agents.insertCanonical',
      insertion(id, config, null, true, sql`on conflict (is_canonical) where is_canonical do nothing`),
    );
  }

  /** Writes the whole configuration. `updated_at` moves by at least the millisecond that callers can see. */
  async update(id: string, config: AgentConfig): Promise<void> {
    await this.db.query(
      'agents.update',
      sql`update agents set
            name = ${config.name}, system_prompt = ${config.systemPrompt}, model = ${config.model},
            tools = ${config.tools}, memory_tiers = ${config.memoryTiers},
            max_context_tokens = ${config.maxContextTokens}, fallback_models = ${config.fallbackModels},
            metadata = ${json(config.metadata)},
            updated_at = greatest(date_trunc('milliseconds', clock_timestamp()), updated_at + interval '1 millisecond')
          where id = ${id}`,
    );
  }

  /** Notes that the agent works; within a second once is enough, so that its turns do not queue up for its row. */
  async touch(id: string): Promise<void> {
    await this.db.query(
      'agents.touch',
      sql`update agents set last_active_at = clock_timestamp()
          where id = ${id} and (last_active_at is null or last_active_at < clock_timestamp() - interval '1 second')`,
    );
  }

  async delete(id: string): Promise<void> {
    await this.db.query('agents.delete', sql`delete from agents where id = ${id}`);
  }

  private async one(name: string, id: string, lock: Sql): Promise<StoredAgent | null> {
    const row = await this.db.maybeOne<AgentRow>(name, sql`select ${COLUMNS} from agents where id = ${id} ${lock}`);
    return row && toAgent(row);
  }
}

function insertion(id: string, config: AgentConfig, owner: string | null, isCanonical: boolean, onConflict: Sql): Sql {
  return sql`
    insert into agents (
      id, is_canonical, name, system_prompt, model, tools, memory_tiers, max_context_tokens, fallback_models, metadata,
      owner
    ) values (
      ${id}, ${isCanonical}, ${config.name}, ${config.systemPrompt}, ${config.model}, ${config.tools},
      ${config.memoryTiers}, ${config.maxContextTokens}, ${config.fallbackModels}, ${json(config.metadata)}, ${owner}
    ) ${onConflict} returning ${COLUMNS}`;
}

function toAgent(row: AgentRow): StoredAgent {
  return {
    id: row.id,
    config: {
      name: row.name,
      systemPrompt: row.system_prompt,
      model: row.model,
      tools: row.tools,
      memoryTiers: row.memory_tiers,
      maxContextTokens: row.max_context_tokens,
      fallbackModels: row.fallback_models,
      metadata: row.metadata,
    },
    isCanonical: row.is_canonical,
    state: row.state,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastActiveAt: row.last_active_at,
  };
}

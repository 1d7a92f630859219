import { Injectable } from '@nestjs/common';
import { Database, json, sql, type AgentRow, type Sql } from '../../platform/database/index.js';
import type { AgentConfig, StoredAgent } from './agent.js';

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

  find(id: string): Promise<StoredAgent | null> {
    return this.one('agents.find', id, sql``);
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

  async insert(id: string, config: AgentConfig): Promise<StoredAgent> {
    const row = await this.db.one<AgentRow>('agents.insert', insertion(id, config, false, sql``));
    return toAgent(row);
  }

  /** Adds the canonical agent unless there is one; any number of processes may try at once. */
  async insertCanonical(id: string, config: AgentConfig): Promise<void> {
    await this.db.query(
      'agents.insertCanonical',
      insertion(id, config, true, sql`on conflict (is_canonical) where is_canonical do nothing`),
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

function insertion(id: string, config: AgentConfig, isCanonical: boolean, onConflict: Sql): Sql {
  return sql`
    insert into agents (
      id, is_canonical, name, system_prompt, model, tools, memory_tiers, max_context_tokens, fallback_models, metadata
    ) values (
      ${id}, ${isCanonical}, ${config.name}, ${config.systemPrompt}, ${config.model}, ${config.tools},
      ${config.memoryTiers}, ${config.maxContextTokens}, ${config.fallbackModels}, ${json(config.metadata)}
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

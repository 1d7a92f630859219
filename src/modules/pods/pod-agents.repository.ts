import { Injectable } from '@nestjs/common';
import { Database, json, sql, violates, type ColumnAs, type PodAgentRow } from '../../platform/database/index.js';
import { DomainError } from '../../platform/errors/index.js';
import type { PodAgent, PodAgentSettings } from './pod.js';

/** A row as the driver or `json_agg` gives it: the latter writes times as text. */
export type SelectedPodAgent = Omit<PodAgentRow, 'run_condition' | 'created_at' | 'updated_at'> & {
  run_condition: ColumnAs<PodAgentRow, 'run_condition', PodAgent['runCondition']>;
  created_at: PodAgentRow['created_at'] | string;
  updated_at: PodAgentRow['updated_at'] | string;
};

/** Of the row `a` of `pod_agents`. */
export const AGENT_COLUMNS = sql`
  a.id, a.pod_id, a.name, a.role, a.description, a.enabled, a.position, a.parallel_group, a.model, a.fallback_models,
  a.temperature, a.max_tokens, a.timeout_seconds, a.max_retries, a.system_prompt, a.allowed_tools, a.on_failure,
  a.run_condition, a.artifact_type, a.created_at, a.updated_at`;

@Injectable()
export class PodAgentsRepository {
  constructor(private readonly db: Database) {}

  /** @throws DomainError position_taken, role_taken. */
  async insert(id: string, podId: string, agent: PodAgentSettings): Promise<PodAgent> {
    return this.guarded(
      agent,
      this.db.one<SelectedPodAgent>(
        'podAgents.insert',
        sql`insert into pod_agents as a (
              id, pod_id, name, role, description, enabled, position, parallel_group, model, fallback_models,
              temperature, max_tokens, timeout_seconds, max_retries, system_prompt, allowed_tools, on_failure,
              run_condition, artifact_type
            ) values (
              ${id}, ${podId}, ${agent.name}, ${agent.role}, ${agent.description}, ${agent.enabled},
              ${agent.position}, ${agent.parallelGroup}, ${agent.model}, ${agent.fallbackModels},
              ${agent.temperature}, ${agent.maxTokens}, ${agent.timeoutSeconds}, ${agent.maxRetries},
              ${agent.systemPrompt}, ${agent.allowedTools}, ${agent.onFailure}, ${json(agent.runCondition)},
              ${agent.artifactType}
            ) returning ${AGENT_COLUMNS}`,
      ),
    );
  }

  /** Writes every setting. `updated_at` moves by at least the millisecond that callers can see. @throws DomainError position_taken, role_taken. */
  async update(id: string, agent: PodAgentSettings): Promise<PodAgent> {
    return this.guarded(
      agent,
      this.db.one<SelectedPodAgent>(
        'podAgents.update',
        sql`update pod_agents a set
              name = ${agent.name}, role = ${agent.role}, description = ${agent.description},
              enabled = ${agent.enabled}, position = ${agent.position}, parallel_group = ${agent.parallelGroup},
              model = ${agent.model}, fallback_models = ${agent.fallbackModels},
              temperature = ${agent.temperature}, max_tokens = ${agent.maxTokens},
              timeout_seconds = ${agent.timeoutSeconds}, max_retries = ${agent.maxRetries},
              system_prompt = ${agent.systemPrompt}, allowed_tools = ${agent.allowedTools},
              on_failure = ${agent.onFailure}, run_condition = ${json(agent.runCondition)},
              artifact_type = ${agent.artifactType},
              updated_at = greatest(clock_timestamp(), a.updated_at + interval '1 millisecond')
            where a.id = ${id}
            returning ${AGENT_COLUMNS}`,
      ),
    );
  }

  async delete(id: string): Promise<void> {
    await this.db.query('podAgents.delete', sql`delete from pod_agents where id = ${id}`);
  }

  private async guarded(agent: PodAgentSettings, statement: Promise<SelectedPodAgent>): Promise<PodAgent> {
    try {
      return toPodAgent(await statement);
    } catch (error) {
      if (violates(error, 'pod_agents_pod_id_position_idx')) {
        throw new DomainError('position_taken', `Position ${agent.position} of this pod is taken.`, { cause: error });
      }
      if (violates(error, 'pod_agents_pod_id_role_idx')) {
        throw new DomainError('role_taken', `This pod has a ${agent.role} agent already.`, { cause: error });
      }
      throw error;
    }
  }
}

/** The only mapping from a row to a pod agent. */
export function toPodAgent(row: SelectedPodAgent): PodAgent {
  return {
    id: row.id,
    podId: row.pod_id,
    name: row.name,
    role: row.role,
    description: row.description,
    enabled: row.enabled,
    position: row.position,
    parallelGroup: row.parallel_group,
    model: row.model,
    fallbackModels: row.fallback_models,
    temperature: row.temperature,
    maxTokens: row.max_tokens,
    timeoutSeconds: row.timeout_seconds,
    maxRetries: row.max_retries,
    systemPrompt: row.system_prompt,
    allowedTools: row.allowed_tools,
    onFailure: row.on_failure,
    runCondition: row.run_condition,
    artifactType: row.artifact_type,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

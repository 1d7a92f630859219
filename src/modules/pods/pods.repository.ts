import { Injectable } from '@nestjs/common';
import { Database, json, preparedSql, sql, violates, type PodRow, type Sql } from '../../platform/database/index.js';
import { DomainError } from '../../platform/errors/index.js';
import type { AgentSnapshot, Pod, PodAgent, PodDetail, PodSelector, PodSettings, PodSnapshot } from './pod.js';
import { AGENT_COLUMNS, toPodAgent, type SelectedPodAgent } from './pod-agents.repository.js';

type StoredPod = PodRow & Pick<PodRow, 'metadata'> & { metadata: Record<string, unknown>; active_agent_count: number };
type StoredPodDetail = StoredPod & { agents: SelectedPodAgent[] };

/** Of the row `p` of `pods`. */
const POD_COLUMNS = sql`
  p.id, p.name, p.description, p.enabled, p.default_model, p.max_cost_usd,
  p.max_execution_seconds, p.review_by, p.network, p.require_human_review, p.escalation_threshold, p.sandbox,
  p.routing_keywords, p.metadata, p.is_system_default, p.created_at, p.updated_at,
  (select count(*)::integer from pod_agents a where a.pod_id = p.id and a.enabled) as active_agent_count`;

/** The agents of the row `p` as JSON by position, read by the same statement and so of the same moment. */
function agentsOfPod(filter: Sql): Sql {
  return sql`(
    select coalesce(json_agg(agent order by agent.position), '[]')
    from (select ${AGENT_COLUMNS} from pod_agents a where a.pod_id = p.id ${filter}) agent
  ) as agents`;
}

@Injectable()
export class PodsRepository {
  constructor(private readonly db: Database) {}

  /** Pods by name, those after `afterName` only when it is given. */
  async list(limit: number, offset: number, afterName: string | null): Promise<Pod[]> {
    const rows = await this.db.query<StoredPod>(
      'pods.list',
      sql`select ${POD_COLUMNS} from pods p
          ${afterName === null ? sql`` : sql`where p.name > ${afterName}`}
          order by p.name limit ${limit} offset ${offset}`,
    );
    return rows.map(toPod);
  }

  async find(id: string): Promise<PodDetail | null> {
    const row = await this.db.maybeOne<StoredPodDetail>(
      'pods.find',
      sql`select ${POD_COLUMNS}, ${agentsOfPod(sql``)} from pods p where p.id = ${id}`,
    );
    return row && toPodDetail(row);
  }

  /** @throws DomainError name_taken. */
  async insert(id: string, pod: PodSettings): Promise<void> {
    await this.guarded(
      pod.name,
      this.db.query(
        'pods.insert',
        sql`insert into pods (
              id, name, description, enabled, default_model, max_cost_usd, max_execution_seconds, review_by, network,
              require_human_review, escalation_threshold, sandbox, routing_keywords, metadata
            ) values (
              ${id}, ${pod.name}, ${pod.description}, ${pod.enabled}, ${pod.defaultModel}, ${pod.maxCostUsd},
              ${pod.maxExecutionSeconds}, ${pod.reviewBy}, ${pod.network}, ${pod.requireHumanReview},
              ${pod.escalationThreshold}, ${pod.sandbox}, ${pod.routingKeywords}, ${json(pod.metadata)}
            )`,
      ),
    );
  }

  /** Writes every setting. `updated_at` moves by at least the millisecond that callers can see. @throws DomainError name_taken. */
  async update(id: string, pod: PodSettings): Promise<void> {
    await this.guarded(
      pod.name,
      this.db.query(
        'pods.update',
        sql`update pods set
              name = ${pod.name}, description = ${pod.description}, enabled = ${pod.enabled},
              default_model = ${pod.defaultModel}, max_cost_usd = ${pod.maxCostUsd},
              max_execution_seconds = ${pod.maxExecutionSeconds}, review_by = ${pod.reviewBy}, network = ${pod.network},
              require_human_review = ${pod.requireHumanReview}, escalation_threshold = ${pod.escalationThreshold},
              sandbox = ${pod.sandbox}, routing_keywords = ${pod.routingKeywords}, metadata = ${json(pod.metadata)},
              updated_at = greatest(clock_timestamp(), updated_at + interval '1 millisecond')
            where id = ${id}`,
      ),
    );
  }

  /**
   * Keeps other edits of the pod and of its agents waiting until the transaction ends; submissions go on. False when there
   * is no such pod. To be called before anything that an edit depends on is read.
   */
  async lockForEdit(id: string): Promise<boolean> {
    const rows = await this.db.query(
      'pods.lockForEdit',
      sql`select p.id from pods p where p.id = ${id} for no key update`,
    );
    return rows.length > 0;
  }

  /** As `lockForEdit`, and keeps submissions waiting too: the reference to the pod locks its row `for key share`. */
  async lockForDelete(id: string): Promise<{ isSystemDefault: boolean } | null> {
    const row = await this.db.maybeOne<Pick<PodRow, 'is_system_default'>>(
      'pods.lockForDelete',
      sql`select p.is_system_default from pods p where p.id = ${id} for update`,
    );
    return row && { isSystemDefault: row.is_system_default };
  }

  /** Deletes the pod and its agents; its tasks keep the pod's name. */
  async delete(id: string): Promise<void> {
    await this.db.query('pods.delete', sql`delete from pods where id = ${id}`);
  }

  /**
   * The pod and its enabled agents as of one moment. Without a selector it is the default pod. When id and name are both
   * given, the id decides.
   */
  async snapshot(selector: PodSelector): Promise<(PodSnapshot & { enabled: boolean }) | null> {
    const wanted =
      selector.id !== undefined
        ? sql`p.id = ${selector.id}`
        : selector.name !== undefined
          ? sql`p.name = ${selector.name}`
          : sql`p.is_system_default`;
    const row = await this.db.maybeOne<StoredPodDetail>(
      'pods.snapshot',
      preparedSql`select ${POD_COLUMNS}, ${agentsOfPod(sql`and a.enabled`)} from pods p where ${wanted}`,
    );
    return row && toSnapshot(toPodDetail(row));
  }

  private async guarded(name: string, statement: Promise<unknown>): Promise<void> {
    try {
      await statement;
    } catch (error) {
      if (!violates(error, 'pods_name_idx')) throw error;
      throw new DomainError('name_taken', `There is a pod named "${name}" already.`, { cause: error });
    }
  }
}

function toPod(row: StoredPod): Pod {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    enabled: row.enabled,
    defaultModel: row.default_model,
    maxCostUsd: row.max_cost_usd,
    maxExecutionSeconds: row.max_execution_seconds,
    reviewBy: row.review_by,
    network: row.network,
    requireHumanReview: row.require_human_review,
    escalationThreshold: row.escalation_threshold,
    sandbox: row.sandbox,
    routingKeywords: row.routing_keywords,
    metadata: row.metadata,
    isSystemDefault: row.is_system_default,
    activeAgentCount: row.active_agent_count,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function toPodDetail(row: StoredPodDetail): PodDetail {
  return { ...toPod(row), agents: row.agents.map(toPodAgent) };
}

function toSnapshot(pod: PodDetail): PodSnapshot & { enabled: boolean } {
  return {
    id: pod.id,
    name: pod.name,
    enabled: pod.enabled,
    defaultModel: pod.defaultModel,
    maxCostUsd: pod.maxCostUsd,
    maxExecutionSeconds: pod.maxExecutionSeconds,
    reviewBy: pod.reviewBy,
    network: pod.network,
    requireHumanReview: pod.requireHumanReview,
    escalationThreshold: pod.escalationThreshold,
    sandbox: pod.sandbox,
    agents: pod.agents.map(toAgentSnapshot),
  };
}

function toAgentSnapshot(agent: PodAgent): AgentSnapshot {
  return {
    id: agent.id,
    name: agent.name,
    role: agent.role,
    position: agent.position,
    parallelGroup: agent.parallelGroup,
    model: agent.model,
    fallbackModels: agent.fallbackModels,
    temperature: agent.temperature,
    maxTokens: agent.maxTokens,
    timeoutSeconds: agent.timeoutSeconds,
    maxRetries: agent.maxRetries,
    systemPrompt: agent.systemPrompt,
    allowedTools: agent.allowedTools,
    onFailure: agent.onFailure,
    runCondition: agent.runCondition,
    artifactType: agent.artifactType,
  };
}

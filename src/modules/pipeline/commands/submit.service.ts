import { Injectable } from '@nestjs/common';
import { AppConfig, isWithin, narrower, SANDBOX_TIERS, type SandboxTier } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { Database, KeyedTransactions } from '../../../platform/database/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { TaskBell } from '../../../platform/redis/index.js';
import { isKeyOwner, ownerOf, type Principal } from '../../auth/index.js';
import { isAllowedModel, LlmService, noModel } from '../../llm/index.js';
import { PodsService, type PodSnapshot } from '../../pods/index.js';
import { IdempotencyRepository } from '../../../platform/idempotency/index.js';
import { StorageRoom } from '../../../platform/storage/index.js';
import { stageModels } from '../rules/stage-models.js';
import { askedTier } from '../rules/task-sandbox.js';
import { ToolRegistry, type AllowedTools } from '../../tools/index.js';
import { firstStatus } from '../rules/next.js';
import { enter } from '../rules/plan.js';
import { situationOf } from '../rules/situation.js';
import { initialControl } from '../rules/task-control.js';
import { requestBytes, TaskQueueRepository, type HeldTasks, type NewTask } from '../store/task-queue.repository.js';
import { TaskAdminRepository } from '../store/task-admin.repository.js';

const ROUTE = 'POST /api/v1/pipeline/tasks';

/** Statements that run at once: no more than a database has connections. */
const MOST_AT_ONCE = 100;

export interface Submission {
  userInput: string;
  podId?: string;
  podName?: string;
  metadata: Record<string, unknown>;
  maxRetries: number;
  priority: number;
  /** Of the `Idempotency-Key` header; the hash covers the whole body. */
  idempotency?: { key: string; bodyHash: string };
  /** What a task that a tool starts may have at the most. */
  inherited?: Inherited;
}

/** The rights of the work that starts a task. */
export interface Inherited {
  /** Of the new task; one that a person submits has 0. */
  depth: number;
  /** The tasks and turns that led to it, outermost first. */
  ancestors: readonly string[];
  tier: SandboxTier;
  network: boolean;
  allowed: AllowedTools;
  /** USD; null is no limit. */
  costUsd: number | null;
}

export interface Submitted {
  taskId: string;
  podName: string;
  queuedAt: Date;
  /** True when an Idempotency-Key named a task that exists already. */
  replayed: boolean;
}

/** Takes tasks in: checks what may be asked for, and stores the task, with its key in one transaction. */
@Injectable()
export class SubmitService {
  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly database: Database,
    private readonly inTurn: KeyedTransactions,
    private readonly pods: PodsService,
    private readonly llm: LlmService,
    private readonly tools: ToolRegistry,
    private readonly queue: TaskQueueRepository,
    private readonly admin: TaskAdminRepository,
    private readonly idempotency: IdempotencyRepository,
    private readonly bell: TaskBell,
    private readonly room: StorageRoom,
  ) {}

  /**
   * Stores a task and rings the bell; it is durable when this resolves.
   * @throws DomainError not_found, pod_disabled, validation_failed, idempotency_key_reused, forbidden, model_not_allowed,
   *   sandbox_not_allowed, price_unknown, no_model, quota_exceeded, storage_full.
   */
  async submit(principal: Principal, submission: Submission): Promise<Submitted> {
    const defaultModel = await this.llm.defaultModel();
    const owner = ownerOf(principal);
    const store = (most: HeldTasks | null): Promise<Submitted> => this.store(principal, submission, defaultModel, most);
    // Without a key a single statement writes.
    const storeAtOnce = (most: HeldTasks | null): Promise<Submitted> =>
      submission.idempotency ? this.database.transaction('tasks.submit', () => store(most)) : store(most);
    const submitted = await (isKeyOwner(owner)
      ? storeAtOnce(this.farFromBounds(requestBytes(submission))).catch((error: unknown) => {
          if (!(error instanceof NearBoundsError)) throw error;
          return this.inTurn.run('tasks.submit', tasksOf(owner), () => store(this.config.bounds));
        })
      : storeAtOnce(null));
    if (!submitted.replayed) await this.bell.ring([submitted.taskId]);
    return submitted;
  }

  /** Stores the task; where `most` is given, only if its key then holds no more than that. @throws NearBoundsError */
  private async store(
    principal: Principal,
    submission: Submission,
    defaultModel: string | null,
    most: HeldTasks | null,
  ): Promise<Submitted> {
    const owner = ownerOf(principal);
    const id = this.clock.newId();
    if (submission.idempotency) {
      const { resourceId, bound } = await this.idempotency.bind({ owner, route: ROUTE, ...submission.idempotency }, id);
      if (!bound) return this.replay(resourceId);
    }
    this.room.assertRoom();
    const asked = await this.pods.snapshotForTask({
      ...(submission.podId === undefined ? {} : { id: submission.podId }),
      ...(submission.podName === undefined ? {} : { name: submission.podName }),
    });
    const pod = submission.inherited === undefined ? asked : this.narrowed(asked, submission.inherited);
    this.assertAllowed(principal, submission, pod);
    this.assertModels(submission, pod, defaultModel);
    const control = initialControl(pod.maxCostUsd);
    if (submission.inherited !== undefined) control.depth = submission.inherited.depth;
    const first = enter(situationOf({ pod, control, maxRetries: submission.maxRetries, stages: [], findings: [] }));
    const task: NewTask = {
      id,
      owner,
      pod,
      userInput: submission.userInput,
      metadata: submission.metadata,
      maxRetries: submission.maxRetries,
      priority: submission.priority,
      nextStatus: firstStatus(pod, first),
      control,
      ancestors: submission.inherited?.ancestors ?? [],
    };
    const queuedAt = most === null ? await this.queue.insert(task) : await this.insertWithin(task, most);
    return { taskId: id, podName: pod.name, queuedAt, replayed: false };
  }

  /** What a key may hold where submissions need not take turns: as many at once as there can be do not reach its bounds. */
  private farFromBounds(bytes: number): HeldTasks {
    const { bounds } = this.config;
    const spare = bounds.bytes / 10;
    return bytes > spare / MOST_AT_ONCE
      ? { tasks: 0, bytes: 0 }
      : { tasks: bounds.tasks - MOST_AT_ONCE, bytes: bounds.bytes - spare };
  }

  private async insertWithin(task: NewTask, most: HeldTasks): Promise<Date> {
    const { queuedAt, tasks, bytes } = await this.queue.insertWithin(task, most, tasksOf(task.owner));
    if (queuedAt !== null) return queuedAt;
    const { bounds } = this.config;
    if (tasks >= bounds.tasks) {
      throw new DomainError('quota_exceeded', `This key may have ${bounds.tasks} unfinished tasks.`);
    }
    if (bytes + requestBytes(task) > bounds.bytes) {
      throw new DomainError('quota_exceeded', `The unfinished tasks of this key may take ${bounds.bytes} bytes.`);
    }
    throw new NearBoundsError();
  }

  /** The pod without whatever the work that starts the task does not have itself. */
  private narrowed(pod: PodSnapshot, { tier, network, allowed, costUsd }: Inherited): PodSnapshot {
    const limits = [pod.maxCostUsd, costUsd].filter((limit) => limit !== null);
    return {
      ...pod,
      sandbox: narrower(pod.sandbox, tier),
      network: network ? pod.network : 'off',
      maxCostUsd: limits.length === 0 ? null : Math.min(...limits),
      agents: pod.agents.map((agent) => ({ ...agent, allowedTools: this.tools.both(agent.allowedTools, allowed) })),
    };
  }

  private async replay(taskId: string): Promise<Submitted> {
    const known = await this.admin.findSubmitted(taskId);
    if (known === null) throw DomainError.notFound('task', taskId);
    return { taskId, podName: known.podName, queuedAt: known.queuedAt, replayed: true };
  }

  private assertAllowed(principal: Principal, { metadata }: Submission, pod: PodSnapshot): void {
    const asked = askedTier({ metadata });
    if (metadata.sandbox_override !== undefined && asked === undefined) {
      throw DomainError.invalid('#/metadata/sandbox_override', `must be one of ${SANDBOX_TIERS.join(', ')}`);
    }
    if (asked !== undefined && !isWithin(asked, pod.sandbox)) {
      throw new DomainError('sandbox_not_allowed', `The pod allows at most the sandbox tier ${pod.sandbox}.`);
    }
    const tier = asked ?? pod.sandbox;
    if (tier === 'host' && this.config.sandbox !== 'host') {
      throw new DomainError('sandbox_not_allowed', 'The host tier is not enabled on this service.');
    }
    if (tier === 'host' && principal.kind !== 'admin') {
      throw new DomainError('forbidden', 'Tasks of a pod with the host tier need the admin credential.');
    }
    const model = metadata.model_override;
    if (typeof model === 'string' && !isAllowedModel(this.config.models, model)) {
      throw new DomainError('model_not_allowed', 'The model of metadata.model_override is not among the allowed ones.');
    }
  }

  private assertModels({ metadata }: Submission, pod: PodSnapshot, defaultModel: string | null): void {
    for (const agent of pod.agents) {
      const chain = stageModels(agent, pod, metadata, defaultModel);
      const usable = chain.filter((model) => this.llm.isConfigured(model));
      if (usable.length === 0) throw noModel(`the ${agent.role} stage`, chain);
      if (pod.maxCostUsd === null) continue;
      const request = { prompt: [], ...(agent.maxTokens !== null && { maxOutputTokens: agent.maxTokens }) };
      const unknown = usable.find((model) => this.llm.worstCaseCostUsd(model, request) === null);
      if (unknown === undefined) continue;
      const missing = this.llm.isPriced(unknown) ? 'the longest answer' : 'the price';
      throw new DomainError(
        'price_unknown',
        `The pod has a cost limit and ${missing} of the model ${unknown} is not known.`,
      );
    }
  }
}

/** The key has so little room that its submissions take turns. */
class NearBoundsError extends Error {
  override readonly name = 'NearBoundsError';
}

function tasksOf(owner: string): string {
  return `tasks of ${owner}`;
}

import { Injectable } from '@nestjs/common';
import { AppConfig, type SandboxTier } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { Database } from '../../platform/database/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { ToolRegistry } from '../tools/index.js';
import { PodAgentsRepository } from './pod-agents.repository.js';
import { faultsOf, nextPosition, type HoldsWriting, type TeamMember } from './pod-rules.js';
import type {
  NewPodAgent,
  Pod,
  PodAgent,
  PodAgentSettings,
  PodDetail,
  PodSelector,
  PodSettings,
  PodSnapshot,
} from './pod.js';
import { PodTasks } from './pod-tasks.js';
import { PodsRepository } from './pods.repository.js';

/** Tasks that one statement takes their deleted pod off. */
const DETACH_BATCH = 5_000;

/**
 * Reads and edits pods, and gives tasks their snapshot of one. Edits of one pod and its agents wait for each other on the
 * pod's row, so that what an edit is checked against is what it is added to.
 */
@Injectable()
export class PodsService {
  private readonly holdsWriting: HoldsWriting = (allowed) => this.tools.holdsWriting(allowed);

  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly db: Database,
    private readonly pods: PodsRepository,
    private readonly agents: PodAgentsRepository,
    private readonly tools: ToolRegistry,
    private readonly tasks: PodTasks,
  ) {}

  /**
   * The pod that a submission means, with its enabled agents. It may be deleted the moment after: the insert of the task, whose
   * `pod_id` refers to it, says so then.
   * @throws DomainError not_found (unknown pod), pod_disabled, validation_failed (id and name differ), conflict (the pod
   *   has no enabled agent).
   */
  async snapshotForTask(selector: PodSelector): Promise<PodSnapshot> {
    const found = await this.pods.snapshot(selector);
    if (found === null) throw new DomainError('not_found', unknownPod(selector));
    const { enabled, ...snapshot } = found;
    if (selector.name !== undefined && selector.name !== snapshot.name) {
      throw DomainError.invalid('#/pod_name', 'The pod_id and the pod_name are of different pods.');
    }
    if (!enabled) throw new DomainError('pod_disabled', `The pod "${snapshot.name}" is disabled.`);
    if (snapshot.agents.length === 0) {
      throw new DomainError('conflict', `The pod "${snapshot.name}" has no enabled agent.`);
    }
    return snapshot;
  }

  /** Pods by name, those after `afterName` only when it is given. */
  list(page: { limit: number; offset: number; afterName: string | null }): Promise<Pod[]> {
    return this.pods.list(page.limit, page.offset, page.afterName);
  }

  /** @throws DomainError not_found. */
  async get(id: string): Promise<PodDetail> {
    const pod = await this.pods.find(id);
    if (pod === null) throw DomainError.notFound('pod', id);
    return pod;
  }

  /** @throws DomainError name_taken, sandbox_not_allowed. */
  async create(settings: PodSettings): Promise<PodDetail> {
    this.checkSandbox(settings.sandbox);
    const id = this.clock.newId();
    return this.db.transaction('pods.create', async () => {
      await this.pods.insert(id, settings);
      return this.get(id);
    });
  }

  /** Changes what `patch` holds and nothing else. @throws DomainError not_found, name_taken, sandbox_not_allowed. */
  async update(id: string, patch: Partial<PodSettings>): Promise<PodDetail> {
    return this.db.transaction('pods.update', async () => {
      const pod = await this.lockedForEdit(id);
      const settings = merged<PodSettings>(pod, patch);
      if (settings.sandbox !== pod.sandbox) this.checkSandbox(settings.sandbox);
      await this.pods.update(id, settings);
      return this.get(id);
    });
  }

  /**
   * Deletes a pod and its agents; its ended tasks stay. Waits for submissions under way, so that none can lose its pod.
   * @throws DomainError not_found, system_pod, pod_in_use.
   */
  async delete(id: string): Promise<void> {
    await this.db.transaction('pods.checkDelete', () => this.lockDeletable(id));
    // One statement over a million tasks would outlast its time limit: they are let go in batches first.
    while ((await this.tasks.detachEnded(id, DETACH_BATCH)) === DETACH_BATCH);
    await this.db.transaction('pods.delete', async () => {
      await this.lockDeletable(id);
      await this.pods.delete(id);
    });
  }

  /**
   * Adds an agent; without a position it gets the next free one.
   * @throws DomainError not_found, position_taken, role_taken, validation_failed.
   */
  async addAgent(podId: string, settings: NewPodAgent): Promise<PodAgent> {
    const id = this.clock.newId();
    return this.db.transaction('pods.addAgent', async () => {
      const { agents } = await this.lockedForEdit(podId);
      const position = settings.position ?? nextPosition(agents.map((agent) => agent.position));
      const agent = { ...settings, position };
      this.checkTeam(agents, [...agents, { ...agent, id }], id);
      return this.agents.insert(id, podId, agent);
    });
  }

  /**
   * Changes what `patch` holds and nothing else; the result is what is checked.
   * @throws DomainError not_found, position_taken, role_taken, validation_failed.
   */
  async updateAgent(podId: string, id: string, patch: Partial<PodAgentSettings>): Promise<PodAgent> {
    return this.db.transaction('pods.updateAgent', async () => {
      const { agents } = await this.lockedForEdit(podId);
      const result = merged<PodAgentSettings>(agentOf(agents, id), patch);
      this.checkTeam(agents, [...agents.filter((agent) => agent.id !== id), { ...result, id }], id);
      return this.agents.update(id, result);
    });
  }

  /** @throws DomainError not_found, conflict (the agents left would run together and may not). */
  async deleteAgent(podId: string, id: string): Promise<void> {
    await this.db.transaction('pods.deleteAgent', async () => {
      const { agents } = await this.lockedForEdit(podId);
      agentOf(agents, id);
      const left = agents.filter((agent) => agent.id !== id);
      const [fault] = faultsOf(agents, left, null, this.holdsWriting);
      if (fault !== undefined) throw new DomainError('conflict', fault.detail);
      await this.agents.delete(id);
    });
  }

  private async lockDeletable(id: string): Promise<void> {
    const pod = await this.pods.lockForDelete(id);
    if (pod === null) throw DomainError.notFound('pod', id);
    if (pod.isSystemDefault) throw new DomainError('system_pod', 'The default pod cannot be deleted.');
    if (await this.tasks.hasUnfinished(id)) {
      throw new DomainError('pod_in_use', 'The pod has tasks that have not ended; cancel them or let them end first.');
    }
  }

  private async lockedForEdit(id: string): Promise<PodDetail> {
    if (!(await this.pods.lockForEdit(id))) throw DomainError.notFound('pod', id);
    return this.get(id);
  }

  private checkSandbox(tier: SandboxTier): void {
    if (tier !== 'host' || this.config.sandbox === 'host') return;
    const detail = 'The sandbox "host" needs a service that was started with SHELL_SANDBOX=host.';
    throw new DomainError('sandbox_not_allowed', detail, { errors: [{ pointer: '#/sandbox', detail }] });
  }

  private checkTeam(before: readonly TeamMember[], after: readonly TeamMember[], editedId: string): void {
    const faults = faultsOf(before, after, editedId, this.holdsWriting);
    if (faults[0] !== undefined) throw new DomainError('validation_failed', faults[0].detail, { errors: faults });
  }
}

function agentOf(agents: readonly PodAgent[], id: string): PodAgent {
  const agent = agents.find((candidate) => candidate.id === id);
  if (agent === undefined) throw DomainError.notFound('agent of this pod', id);
  return agent;
}

/** `current` with the defined fields of `patch`; null is a value. */
function merged<Settings extends object>(current: Settings, patch: Partial<Settings>): Settings {
  const given = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined));
  return { ...current, ...given };
}

function unknownPod(selector: PodSelector): string {
  if (selector.id !== undefined) return `There is no pod with the id ${selector.id}.`;
  if (selector.name !== undefined) return `There is no pod named "${selector.name}".`;
  return 'There is no default pod.';
}

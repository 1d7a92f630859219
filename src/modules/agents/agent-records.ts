import { Injectable } from '@nestjs/common';
import { Database } from '../../platform/database/index.js';
import { AgentStore } from '../../platform/redis/index.js';
import { StartStep } from '../../platform/startup/index.js';
import { agentOfRecord } from './agent-record.js';
import type { StoredAgent } from './agent.js';
import { AgentsRepository } from './agents.repository.js';

/** Looks at PostgreSQL that a copy of everything is worth while others keep changing it. */
const REBUILD_ATTEMPTS = 3;

/**
 * The agents as the shared state holds them, filled again from PostgreSQL whenever it has lost them. Writers publish what
 * they changed after their commit; each publication reads the row anew under its lock, so the last one is the newest.
 */
@Injectable()
export class AgentRecords {
  constructor(
    private readonly db: Database,
    private readonly agents: AgentsRepository,
    private readonly store: AgentStore,
  ) {}

  /** Fills the shared state at the start, whatever it holds. */
  @StartStep('recover-agents')
  async restore(): Promise<void> {
    await this.rebuild();
  }

  async find(id: string): Promise<StoredAgent | null> {
    return agentOfRecord(id, await this.store.get(id)) ?? this.publish(id);
  }

  /** Copies the agent's row, or that there is none, into the shared state. */
  async publish(id: string): Promise<StoredAgent | null> {
    const agent = await this.db.transaction('agents.publish', async () => {
      const found = await this.agents.lockForEdit(id);
      if (found !== null) await this.store.put(id, found);
      return found;
    });
    if (agent === null) await this.store.remove(id);
    return agent;
  }

  /**
   * Copies every agent and drops records of agents that do not exist. What changes meanwhile is copied again: an agent
   * deleted before the last look is removed here, one deleted after it by who deleted it.
   */
  async rebuild(): Promise<StoredAgent[]> {
    const known = await this.store.all();
    let agents = await this.agents.findAll();
    let copied = new Map<string, number>();
    for (let attempt = 0; attempt < REBUILD_ATTEMPTS; attempt += 1) {
      await Promise.all(
        agents
          .filter((agent) => copied.get(agent.id) !== agent.updatedAt.getTime())
          .map((agent) => this.store.put(agent.id, agent)),
      );
      const before = new Map([...copied, ...agents.map((agent) => [agent.id, agent.updatedAt.getTime()] as const)]);
      agents = await this.agents.findAll();
      copied = new Map(agents.map((agent) => [agent.id, agent.updatedAt.getTime()]));
      const gone = [...before.keys(), ...(known?.keys() ?? [])].filter((id) => !copied.has(id));
      await Promise.all(gone.map((id) => this.store.remove(id)));
      if (agents.every((agent) => before.get(agent.id) === agent.updatedAt.getTime())) {
        await this.store.markComplete(copied.keys());
        break;
      }
      copied = before;
    }
    return agents;
  }
}

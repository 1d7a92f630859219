import { Injectable } from '@nestjs/common';
import { AgentRecords } from './agent-records.js';
import { AgentsService } from './agents.service.js';

/** What the start of the process does for agents. Both steps need the database and may be repeated. */
@Injectable()
export class AgentsBackground {
  constructor(
    private readonly agents: AgentsService,
    private readonly records: AgentRecords,
  ) {}

  /** Puts every agent into the shared state and drops records of agents that do not exist. */
  async restore(): Promise<void> {
    await this.records.rebuild();
  }

  /** Makes sure that there is exactly one canonical agent. */
  ensureCanonical(): Promise<void> {
    return this.agents.ensureCanonical();
  }
}

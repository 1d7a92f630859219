import { Injectable } from '@nestjs/common';

/** How the module that stores the work of agents answers for it. */
export interface AgentWorkSource {
  /** Which of `ids`, or of all agents when it is null, have work whose process lives. */
  findRunningAgents(ids: readonly string[] | null): Promise<Set<string>>;
  /** Ends the agent's running work as cancelled, in the surrounding transaction. */
  cancelOfAgent(agentId: string, error: { code: string; message: string }): Promise<void>;
}

/** The work of agents as agents see it: turns are stored by a module above this one, which names itself here. */
@Injectable()
export class AgentWork {
  private source: AgentWorkSource | null = null;

  /** Called once, when the module of the source is made. */
  serve(source: AgentWorkSource): void {
    this.source = source;
  }

  findRunning(ids: readonly string[] | null): Promise<Set<string>> {
    return this.answering().findRunningAgents(ids);
  }

  cancelOf(agentId: string, error: { code: string; message: string }): Promise<void> {
    return this.answering().cancelOfAgent(agentId, error);
  }

  private answering(): AgentWorkSource {
    if (this.source === null) throw new Error('No module answers for the work of agents.');
    return this.source;
  }
}

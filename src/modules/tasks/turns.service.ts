import { addAbortListener } from 'node:events';
import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { Database, KeyedTransactions } from '../../platform/database/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { Lifecycle } from '../../platform/health/index.js';
import { IdempotencyRepository } from '../../platform/idempotency/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { StorageRoom } from '../../platform/storage/index.js';
import { isKeyOwner, visibleOwners, type Principal } from '../auth/index.js';
import { AgentsService, type StoredAgent } from '../agents/index.js';
import { isAllowedModel, LlmService, modelChain, noModel } from '../llm/index.js';
import type { RunningTurn } from './running-turn.js';
import { TURN_CANCELLED_CHANNEL, TurnRunner } from './turn-runner.js';
import type { Turn, TurnHead, TurnRequest } from './turn.js';
import { TurnsRepository } from './turns.repository.js';

const ROUTE = 'POST /api/v1/tasks';
/** Turns that one process runs at a time: each holds a conversation in memory. */
const MOST_RUNNING = 1_000;

/** A turn that a known Idempotency-Key names. */
interface Replayed {
  replayedId: string;
}

interface Stored {
  agent: StoredAgent;
  chain: string[];
}

/** Asks agents, and shows and cancels what they were asked. */
@Injectable()
export class TurnsService {
  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly database: Database,
    private readonly inTurn: KeyedTransactions,
    private readonly lifecycle: Lifecycle,
    private readonly agents: AgentsService,
    private readonly llm: LlmService,
    private readonly turns: TurnsRepository,
    private readonly runner: TurnRunner,
    private readonly idempotency: IdempotencyRepository,
    private readonly bus: EventBus,
    private readonly room: StorageRoom,
  ) {}

  /**
   * Asks the agent; the turn is durable and runs in this process when this resolves. A known Idempotency-Key names its turn
   * instead, which is not run again.
   * @throws DomainError not_found, agent_stopped, no_model, model_not_allowed, session_busy, idempotency_key_reused,
   *   draining, rate_limited, quota_exceeded, storage_full.
   */
  async start(agentId: string, request: TurnRequest): Promise<{ turn: RunningTurn } | Replayed> {
    if (this.lifecycle.draining) {
      throw new DomainError('draining', 'The service is shutting down; ask again in a moment.');
    }
    if (this.runner.count >= MOST_RUNNING) {
      throw new DomainError('rate_limited', 'This process runs as many turns as it may; try again later.', {
        retryAfterSeconds: 5,
      });
    }
    if (!request.idempotency) await this.assertRoom(request.owner);
    const defaultModel = await this.llm.defaultModel();
    const id = this.clock.newId();
    if (request.origin === 'chat' && request.sessionId !== null) await this.turns.interruptSession(request.sessionId);
    const store = async (): Promise<Stored | Replayed> => {
      if (request.idempotency) {
        const claim = { owner: request.owner, route: ROUTE, ...request.idempotency };
        const { resourceId, bound } = await this.idempotency.bind(claim, id);
        if (!bound) return { replayedId: resourceId };
      }
      await this.assertRoom(request.owner);
      const agent = await this.agents.lockForUse(agentId);
      const chain = this.chainOf(agent, request, defaultModel);
      const lease = { leaseOwner: this.runner.id, leaseSeconds: this.runner.leaseSeconds };
      const inserted = await this.turns.insert({ id, agentId, model: chain[0] ?? null, ...lease }, request);
      if (!inserted) throw new DomainError('session_busy', 'The session is answering already; wait for its end.');
      return { agent, chain };
    };
    const stored = await (isKeyOwner(request.owner)
      ? this.inTurn.run('turns.start', `turns of ${request.owner}`, store)
      : this.database.transaction('turns.start', store));
    if ('replayedId' in stored) return stored;
    return { turn: this.runner.begin(id, stored.agent, stored.chain, request) };
  }

  /** Asks the agent and waits for the end; `signal` cancels the turn. @throws as `start` does. */
  async run(agentId: string, request: TurnRequest, signal: AbortSignal): Promise<Turn> {
    const started = await this.start(agentId, request);
    if (!('turn' in started)) throw new Error('A turn without a key was replayed.');
    const { turn } = started;
    const stop = (): void =>
      turn.stop('cancelled', { code: 'cancelled', message: 'The work that asked for the turn was stopped.' });
    const listening = addAbortListener(signal, stop);
    await turn.done;
    listening[Symbol.dispose]();
    const stored = await this.turns.find(turn.id);
    if (stored === null) throw DomainError.notFound('turn', turn.id);
    return stored;
  }

  /** @throws DomainError not_found, also for turns that `principal` may not see. */
  async get(principal: Principal, id: string): Promise<Turn> {
    return this.visible(principal, id, await this.turns.find(id));
  }

  /** `get` without the turn's texts. @throws as `get` does. */
  async getHead(principal: Principal, id: string): Promise<TurnHead> {
    return this.visible(principal, id, await this.turns.findHead(id));
  }

  /** Cancels a running turn, whichever process runs it; returns it. @throws DomainError not_found, turn_ended. */
  async cancel(principal: Principal, id: string): Promise<Turn> {
    const { status } = await this.get(principal, id);
    const error = { code: 'cancelled', message: 'The turn was cancelled.' };
    if (status !== 'running' || !(await this.turns.cancel(id, error))) {
      throw new DomainError('turn_ended', `The turn has ended already.`);
    }
    const running = this.runner.find(id);
    running?.stop('cancelled', error);
    await this.bus.publish(TURN_CANCELLED_CHANNEL, { turn_id: id });
    await running?.done;
    return this.get(principal, id);
  }

  private async assertRoom(owner: string): Promise<void> {
    this.room.assertRoom();
    const { turns: most } = this.config.bounds;
    if (!isKeyOwner(owner) || (await this.turns.countRunningOf(owner)) < most) return;
    throw new DomainError('quota_exceeded', `This key may have ${most} running turns.`, { retryAfterSeconds: 5 });
  }

  private visible<T extends { owner: string }>(principal: Principal, id: string, turn: T | null): T {
    const owners = visibleOwners(principal, this.config.auth.required);
    if (turn === null || (owners !== null && !owners.includes(turn.owner))) throw DomainError.notFound('turn', id);
    return turn;
  }

  private chainOf(agent: StoredAgent, request: TurnRequest, defaultModel: string | null): string[] {
    if (request.model !== undefined && !isAllowedModel(this.config.models, request.model)) {
      throw new DomainError('model_not_allowed', 'The model is not among the allowed ones.');
    }
    const chain = modelChain([request.model, agent.config.model, defaultModel], agent.config.fallbackModels);
    const usable = chain.filter((model) => this.llm.isConfigured(model));
    if (usable.length === 0) throw noModel('this agent', chain);
    return usable;
  }
}

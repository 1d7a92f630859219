import { Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { Clock } from '../../platform/clock/index.js';
import { isAway } from '../../platform/database/index.js';
import { Lifecycle } from '../../platform/health/index.js';
import { withLogContext, withoutLogContext } from '../../platform/logging/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { AGENT_DELETED_CHANNEL, AgentsService, type StoredAgent } from '../agents/index.js';
import { runAgentLoop } from '../loop/index.js';
import { LlmService, ModelCallError } from '../llm/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { ToolRegistry, TreeUnavailableError, WorkTreeFencedError, WorkTrees } from '../tools/index.js';
import { AnswerTooLongError, RunningTurn, SpendingRefusedError } from './running-turn.js';
import { hasOwnTree, turnRights } from './turn-rights.js';
import { TurnTree } from './turn-tree.js';
import { INTERRUPTED, TurnStoppedError, type TurnError, type TurnOutcome, type TurnRequest } from './turn.js';
import { TurnsRepository } from './turns.repository.js';

/** Tells the process that runs a turn that it was cancelled: `{ turn_id }`. */
export const TURN_CANCELLED_CHANNEL = 'turns:cancelled';

const ROUND_LIMIT = 5;
/** Longest lease: what readers of a turn whose process died wait at the most before they are told. */
const MOST_LEASE_SECONDS = 60;
const MOST_BEAT_MS = 5_000;
/** Share of the lease after which a turn that could not be renewed is stopped: before anyone else may end it. */
const FENCE_SHARE = 0.8;
/** Share of the grace left for tools to wind down and results to be stored. */
const WIND_DOWN_MS = 3_000;
/** How long the events of ended turns are kept for readers to come back to. */
export const KEPT_MS = 600_000;
/** And how much of them in all. */
const MOST_KEPT_CHARACTERS = 67_108_864;
const RETRY_MS = 500;

/** How a turn ended. */
type End = Pick<TurnOutcome, 'status' | 'error'>;

/** Runs turns in this process: one loop each, leases for all of them, results that are stored once. */
@Injectable()
export class TurnRunner implements BeforeApplicationShutdown {
  /** Who leases are made out to. */
  readonly id: string;
  readonly leaseSeconds: number;
  private readonly logger = new Logger('Turns');
  private readonly running = new Map<string, RunningTurn>();
  private readonly ended = new Map<string, { turn: RunningTurn; untilMs: number }>();
  private readonly stopping = new AbortController();
  private beating: Promise<void> | null = null;
  private readonly checkpoints = new Map<string, Promise<boolean>>();
  private readonly unsubscribe: (() => void)[];

  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly lifecycle: Lifecycle,
    private readonly llm: LlmService,
    private readonly tools: ToolRegistry,
    private readonly agents: AgentsService,
    private readonly turns: TurnsRepository,
    private readonly trees: WorkTrees,
    bus: EventBus,
  ) {
    this.id = clock.newId();
    this.leaseSeconds = Math.min(config.pipeline.staleSeconds, MOST_LEASE_SECONDS);
    this.unsubscribe = [
      bus.subscribe(TURN_CANCELLED_CHANNEL, (message) => {
        const { turn_id: id } = (message ?? {}) as { turn_id?: unknown };
        if (typeof id === 'string') void this.checkLeases([id]);
      }),
      bus.subscribe(AGENT_DELETED_CHANNEL, (message) => {
        const { agent_id: id } = (message ?? {}) as { agent_id?: unknown };
        void this.checkLeases([...this.running.values()].flatMap((turn) => (turn.agentId === id ? [turn.id] : [])));
      }),
    ];
    lifecycle.drainSignal.addEventListener('abort', () => void this.stopWithinGrace(), { once: true });
    lifecycle.hasteSignal.addEventListener('abort', () => this.stopAll(), { once: true });
  }

  /** How many turns this process runs now. */
  get count(): number {
    return this.running.size;
  }

  /** A turn that this process runs, or whose events it still has. */
  find(id: string): RunningTurn | null {
    return this.running.get(id) ?? this.ended.get(id)?.turn ?? null;
  }

  /** Runs a turn that was just stored with a lease of this process. */
  begin(id: string, agent: StoredAgent, chain: readonly string[], request: TurnRequest): RunningTurn {
    const turn = new RunningTurn(
      id,
      agent.id,
      0,
      chain[0] ?? null,
      request.needsReaders,
      request.inherited?.spending,
      (name) => this.tools.find(name) !== null,
    );
    turn.leasedAtMs = this.clock.monotonicMs();
    this.running.set(id, turn);
    this.beating ??= withoutLogContext(() => this.beat());
    turn.done = withLogContext({ turn_id: id, agent_id: agent.id }, () => this.run(turn, agent, chain, request));
    void this.agents.noteActivity(agent.id).catch(() => undefined);
    return turn;
  }

  /** Stores what the turn has said so far; false when it could not. Those who want it at the same time share the write. */
  checkpoint(id: string): Promise<boolean> {
    const begun = this.checkpoints.get(id) ?? this.checkLeases([id]).finally(() => this.checkpoints.delete(id));
    this.checkpoints.set(id, begun);
    return begun;
  }

  /** Turns end by themselves within the grace period, or are stopped. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([...this.running.values()].map((turn) => turn.done));
    this.stopping.abort();
    for (const unsubscribe of this.unsubscribe) unsubscribe();
    await this.beating;
  }

  /** Never rejects. */
  private async run(
    turn: RunningTurn,
    agent: StoredAgent,
    chain: readonly string[],
    request: TurnRequest,
  ): Promise<void> {
    let end: End;
    const rights = turnRights(this.config, this.tools, agent, request, turn);
    const tree = hasOwnTree(this.tools, request, rights)
      ? new TurnTree(this.trees, turn.id, this.config.workspace, turn.signal)
      : null;
    try {
      await runAgentLoop({
        llm: this.llm,
        chain,
        prompt: [
          ...(agent.config.systemPrompt === ''
            ? []
            : [{ role: 'system' as const, content: agent.config.systemPrompt }]),
          ...request.prompt,
        ],
        roundLimit: ROUND_LIMIT,
        maxContextTokens: agent.config.maxContextTokens,
        maxOutputTokens: request.inherited?.spending?.maxOutputTokens,
        signal: turn.signal,
        hooks: turn.hooks,
        tools: {
          registry: this.tools,
          allowed: rights.allowed,
          context: { ...rights.context, ...(tree !== null && { tree }) },
        },
      });
      const note = (await tree?.publish()) ?? null;
      if (note !== null) turn.note(note);
      end = { status: 'completed', error: null };
    } catch (error) {
      end = this.endOf(turn.signal.aborted ? turn.signal.reason : error);
    }
    turn.settle();
    const stored = await this.store(turn, end);
    // Readers who are told of the end find the workspace as the turn leaves it. A tree whose turn may have ended in any way is swept.
    if (stored !== null) await tree?.end(stored.status === 'completed');
    this.running.delete(turn.id);
    this.keep(turn);
    turn.log.end((stored ?? { error: INTERRUPTED }).error?.message ?? null);
    void this.agents.noteActivity(agent.id).catch(() => undefined);
  }

  private endOf(error: unknown): End {
    if (error instanceof TurnStoppedError) return error;
    const failed = (code: string, message: string): { status: 'failed'; error: TurnError } => ({
      status: 'failed',
      error: { code, message },
    });
    if (error instanceof ModelCallError) return failed(`model_${error.kind}`, error.message);
    if (error instanceof AnswerTooLongError) return failed('answer_too_long', error.message);
    if (error instanceof SpendingRefusedError) return failed('cost_limit', error.message);
    if (error instanceof WorkTreeFencedError) return { status: 'failed', error: INTERRUPTED };
    const fault = error instanceof TreeUnavailableError ? error.cause : error;
    if (fault instanceof DomainError && fault.code.startsWith('workspace_')) return failed(fault.code, fault.detail);
    this.logger.error({ message: 'A turn failed on a fault of this service', error });
    return failed('internal_error', 'The turn failed on a fault of this service.');
  }

  /** Stores how the turn ended, unless somebody else has ended it; returns how it really ended, null where that is not known. */
  private async store(turn: RunningTurn, end: End): Promise<End | null> {
    const outcome = turn.outcome(end.status, end.error);
    for (;;) {
      try {
        if (await this.turns.finish(turn.id, turn.epoch, outcome)) return end;
        const stored = await this.turns.find(turn.id);
        // The answer to an earlier try was lost on its way.
        if (stored?.epoch === turn.epoch) return end;
        if (stored?.status !== 'cancelled') return { status: 'failed', error: stored?.error ?? INTERRUPTED };
        await this.turns.complete(turn.id, turn.epoch, turn.outcome('cancelled', stored.error));
        return { status: 'cancelled', error: stored.error };
      } catch (fault) {
        if (!isAway(fault) || this.clock.monotonicMs() - turn.leasedAtMs > this.leaseSeconds * 1_000) {
          this.logger.error({ message: 'The result of a turn could not be stored', error: fault });
          return null;
        }
        await this.clock.sleep(RETRY_MS, this.lifecycle.hasteSignal);
      }
    }
  }

  /** Keeps the events of an ended turn for a while, the newest turns' rather than the oldest's. */
  private keep(turn: RunningTurn): void {
    const nowMs = this.clock.monotonicMs();
    this.ended.set(turn.id, { turn, untilMs: nowMs + KEPT_MS });
    let size = 0;
    for (const { turn: each } of this.ended.values()) size += each.log.size;
    for (const [id, { turn: each, untilMs }] of this.ended) {
      if (untilMs > nowMs && size <= MOST_KEPT_CHARACTERS) break;
      this.ended.delete(id);
      size -= each.log.size;
    }
  }

  private async beat(): Promise<void> {
    const { heartbeatSeconds } = this.config.pipeline;
    const intervalMs = Math.min(heartbeatSeconds * 1_000, (this.leaseSeconds * 1_000) / 4, MOST_BEAT_MS);
    while (!this.stopping.signal.aborted) {
      await this.clock.sleep(intervalMs, this.stopping.signal);
      await this.checkLeases([...this.running.keys()]);
      const fencedMs = this.clock.monotonicMs() - this.leaseSeconds * 1_000 * FENCE_SHARE;
      for (const turn of this.running.values()) if (turn.leasedAtMs < fencedMs) turn.stop('failed', INTERRUPTED);
    }
  }

  /** Renews leases, notes what was said since, and stops the turns that somebody else has ended; false without database. */
  private async checkLeases(ids: readonly string[]): Promise<boolean> {
    const turns = ids.flatMap((id) => this.running.get(id) ?? []);
    if (turns.length === 0) return true;
    const startedMs = this.clock.monotonicMs();
    try {
      const progress = turns.map((turn) => ({ id: turn.id, epoch: turn.epoch, ...turn.progress() }));
      const held = await this.turns.renew(this.id, this.leaseSeconds, progress);
      turns.forEach((turn, index) => {
        if (!held.has(turn.id)) return turn.stop('failed', INTERRUPTED);
        turn.leasedAtMs = Math.max(turn.leasedAtMs, startedMs);
        if (progress[index] !== undefined) turn.confirm(progress[index].end);
      });
      return true;
    } catch (error) {
      this.logger.warn(`Leases could not be renewed: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  private async stopWithinGrace(): Promise<void> {
    await this.clock.sleep(this.config.pipeline.graceSeconds * 1_000 - WIND_DOWN_MS, this.stopping.signal);
    this.stopAll();
  }

  private stopAll(): void {
    const error = { code: INTERRUPTED.code, message: 'The service was shut down before the turn ended.' };
    for (const turn of this.running.values()) turn.stop('failed', error);
  }
}

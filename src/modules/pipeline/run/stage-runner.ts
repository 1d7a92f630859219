import { Injectable, Logger } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { withLogContext } from '../../../platform/logging/index.js';
import { UnknownToolOutcomeError, type LoopHooks, type LoopJournal } from '../../loop/index.js';
import { LlmService, ModelCallError } from '../../llm/index.js';
import { roleKind, STAGE_CONTEXT_TOKENS, stageTools, type AgentSnapshot } from '../../pods/index.js';
import { LeftOutToolsDto, ToolRegistry, TreeUnavailableError, WorkTreeFencedError } from '../../tools/index.js';
import { DataMarkKeyRepository } from '../store/data-mark-key.repository.js';
import { JournalRepository, type StageEntry } from '../store/journal.repository.js';
import { LeaseLostError } from '../store/lease.js';
import { stageModels } from '../rules/stage-models.js';
import { retryUnavailable } from '../store/retry-unavailable.js';
import { QUOTED_ANSWER } from '../rules/plan.js';
import type { StageRecord } from '../rules/situation.js';
import { CostLimitReachedError, PriceUnknownError, StageBudget } from './stage-budget.js';
import { StageDeadline } from './stage-deadline.js';
import { stageInput } from './stage-input.js';
import { usage, type StageOutcome } from './stage-outcome.js';
import { runStage, ScanFailedError, UnreadableAnswerError, type StageDiff } from '../stages/index.js';
import { effectiveTier } from '../rules/task-sandbox.js';
import type { TaskExecution } from './task-execution.js';
import { TaskSpendsRepository } from '../store/task-spends.repository.js';
import { TaskTrees } from './task-trees.js';
import type { Role } from '../rules/task-status.js';

/** Runs one stage's turn: its agent, tools, journal and limits. */
@Injectable()
export class StageRunner {
  private readonly logger = new Logger('Stage');

  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly llm: LlmService,
    private readonly tools: ToolRegistry,
    private readonly journals: JournalRepository,
    private readonly spends: TaskSpendsRepository,
    private readonly trees: TaskTrees,
    private readonly markKeys: DataMarkKeyRepository,
  ) {}

  /**
   * Runs the stage of `role` that the execution has begun, from where its journal ends.
   * @throws LeaseLostError, DrainingError, or `dependency_unavailable` when nothing may or can be stored any more.
   */
  async run(execution: TaskExecution, role: Role): Promise<StageOutcome> {
    const agent = execution.task.pod.agents.find((candidate) => candidate.role === role);
    const stage = execution.situation.newest[role];
    if (agent === undefined || stage?.status !== 'running') throw new Error(`The stage ${role} has not begun.`);
    return withLogContext({ stage: role, attempt: stage.attempt }, () => this.runLogged(execution, agent, stage));
  }

  private async runLogged(execution: TaskExecution, agent: AgentSnapshot, stage: StageRecord): Promise<StageOutcome> {
    const { role } = agent;
    const recorded = execution.task.journals.get(stage.id) ?? (await this.carried(execution, stage));
    const budget = new StageBudget(execution, this.llm, recorded, {
      promise: (usd) =>
        retryUnavailable(this.clock, execution.lease.signal, () => this.spends.promise(execution.lease, usd)),
      grant: (usd) => this.spends.grant(execution.lease, usd),
    });
    const deadline = new StageDeadline(execution, agent.timeoutSeconds);
    const startedMs = this.clock.monotonicMs();
    let leftOut: StageOutcome['leftOut'] = null;
    const used = (): StageOutcome['used'] => ({
      ...budget.used,
      durationMs: Math.round(this.clock.monotonicMs() - startedMs),
    });
    const hooks: LoopHooks = {
      beforeCall: (model, call) => budget.beforeCall(model, call),
      afterCall: (spend, call) => budget.afterCall(spend, call),
      endCall: (call) => budget.endCall(call),
      onTools: (shelf) => (leftOut = LeftOutToolsDto.from(shelf) ?? null),
    };
    try {
      const { output } = await this.turn(execution, agent, stage, recorded, budget, hooks, deadline.signal);
      return { kind: 'complete', stageId: stage.id, role, output, used: used(), leftOut };
    } catch (error) {
      // Whatever a call threw because of an abort, the abort's own reason says what happened.
      const cause: unknown = deadline.signal.aborted ? deadline.signal.reason : error;
      if (cause instanceof TreeUnavailableError) {
        execution.abandoned.push({ id: stage.id, ...usage(used()) });
        throw cause.cause;
      }
      // Known to the whole execution, so that what runs beside this stage stops spending too.
      if (cause instanceof WorkTreeFencedError || cause instanceof LeaseLostError) {
        execution.lease.lose(cause.message);
        execution.abandoned.push({ id: stage.id, ...usage(used()) });
        throw new LeaseLostError(cause.message);
      }
      return { ...this.outcomeOf(cause), stageId: stage.id, role, used: used(), leftOut };
    } finally {
      deadline.clear();
    }
  }

  private async turn(
    execution: TaskExecution,
    agent: AgentSnapshot,
    stage: StageRecord,
    recorded: readonly StageEntry[],
    budget: StageBudget,
    hooks: LoopHooks,
    signal: AbortSignal,
  ): Promise<{ output: unknown }> {
    const { task } = execution;
    const defaultModel = await this.llm.defaultModel();
    const chain = stageModels(agent, task.pod, task.metadata, defaultModel).filter((model) =>
      this.llm.isConfigured(model),
    );
    const input = stageInput(execution, agent, recorded[0]?.diff);
    return runStage(agent.role, input, {
      llm: this.llm,
      chain,
      temperature: agent.temperature ?? undefined,
      maxOutputTokens: agent.maxTokens ?? undefined,
      maxContextTokens: STAGE_CONTEXT_TOKENS,
      markKey: await this.markKeys.find(),
      signal,
      journal: this.journal(execution, stage, recorded, roleKind(agent.role) === 'works' ? input.diff : null),
      hooks,
      changedFiles: () => this.trees.changedPaths(execution),
      readChanged: (path) => this.trees.readChanged(execution, path),
      tools: {
        registry: this.tools,
        allowed: stageTools(agent, task.pod.agents, effectiveTier(task), this.tools),
        context: {
          root: this.config.workspace,
          ...this.trees.forCalls(execution, signal),
          tier: effectiveTier(task),
          network: task.pod.network === 'on',
          owner: task.owner,
          signal,
          work: { kind: 'task', id: task.id },
          depth: task.control.depth ?? 0,
          ancestors: task.ancestors,
          spending: {
            maxOutputTokens: agent.maxTokens ?? undefined,
            beforeCall: (model, call) => budget.beforeCall(model, call),
            afterCall: async (spend, call) => budget.afterCall(spend, call),
            endCall: (call) => budget.endCall(call),
            grantUsd: () => budget.grantUsd(),
          },
        },
      },
    });
  }

  /**
   * What another attempt has of the one before: a retry goes on where the failed attempt's tools were, as a resume does, so
   * that none of them runs twice.
   */
  private async carried(execution: TaskExecution, stage: StageRecord): Promise<StageEntry[]> {
    const { task, lease } = execution;
    const before = attemptBefore(execution, stage);
    if (before === undefined) return [];
    return retryUnavailable(this.clock, lease.signal, () =>
      this.journals.carry(lease, before.id, stage.id, task.control.life ?? 0),
    );
  }

  /** `diff` is what the prompt shows of files that the stage may change, also where it is empty. */
  private journal(
    execution: TaskExecution,
    stage: StageRecord,
    recorded: readonly StageEntry[],
    diff: StageDiff | null,
  ): LoopJournal {
    const store = async (entry: StageEntry): Promise<void> => {
      const spent = execution.takeSpent();
      try {
        await retryUnavailable(this.clock, execution.lease.signal, () =>
          this.journals.append(execution.lease, stage.id, entry, spent),
        );
      } catch (error) {
        execution.giveBack(spent);
        throw error;
      }
    };
    // Approving the gate lets the calls run again that it was opened for, and none that a crash of this attempt leaves open.
    const isApproved = attemptBefore(execution, stage)?.errorCode === 'tool_effect';
    const carried = recorded.flatMap((entry) =>
      isApproved && entry.carried && entry.kind === 'answer' ? entry.answer.toolCalls : [],
    );
    const mayRepeat = new Set(carried.map(({ id }) => id));
    const recordAnswer = (entry: StageEntry): Promise<void> =>
      store(entry.seq === 0 && diff !== null ? { ...entry, diff } : entry);
    return { recorded, mayRepeat, recordAnswer, recordResult: store, recordRepeat: store };
  }

  /** @throws what ends the whole run instead of the stage. */
  private outcomeOf(
    error: unknown,
  ):
    | { kind: 'failed' | 'fatal'; code: string; message: string }
    | { kind: 'snooze'; until: number; provider: string }
    | { kind: 'gate'; gate: 'cost' | 'tool_effect'; reason: string; details: Record<string, unknown> } {
    if (error instanceof CostLimitReachedError) {
      return { kind: 'gate', gate: 'cost', reason: error.message, details: error.details };
    }
    if (error instanceof PriceUnknownError) return { kind: 'fatal', code: 'price_unknown', message: error.message };
    if (error instanceof UnknownToolOutcomeError) {
      return {
        kind: 'gate',
        gate: 'tool_effect',
        reason: error.message,
        details: { tools: error.calls.map(({ name }) => name) },
      };
    }
    if (error instanceof ModelCallError) {
      const { retryAt, provider, sent } = error.details;
      if (retryAt !== undefined) return { kind: 'snooze', until: retryAt, provider };
      const quoted = sent === undefined ? '' : QUOTED_ANSWER + sent;
      return { kind: 'failed', code: `model_${error.kind}`, message: error.message + quoted };
    }
    if (error instanceof UnreadableAnswerError) {
      return { kind: 'failed', code: 'unreadable_answer', message: error.message + QUOTED_ANSWER + error.sent };
    }
    if (error instanceof ScanFailedError) return { kind: 'failed', code: 'scan_failed', message: error.message };
    if (StageDeadline.isStageTimeout(error)) return { kind: 'failed', code: 'stage_timeout', message: error.message };
    if (StageDeadline.isExecutionLimit(error)) {
      return { kind: 'fatal', code: 'execution_time_exceeded', message: error.message };
    }
    if (error instanceof LeaseLostError || error instanceof DomainError || isDraining(error)) throw error;
    this.logger.error({ message: 'A stage failed on a fault of this service', error });
    return { kind: 'failed', code: 'internal_error', message: 'The stage failed on a fault of this service.' };
  }
}

function attemptBefore({ task }: TaskExecution, stage: StageRecord): StageRecord | undefined {
  return task.stages.find(
    ({ role, iteration, attempt }) =>
      role === stage.role && iteration === stage.iteration && attempt === stage.attempt - 1,
  );
}

function isDraining(error: unknown): boolean {
  return error instanceof Error && error.name === 'DrainingError';
}

import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import {
  converse,
  cutMiddle,
  ModelSession,
  withoutToolParts,
  type LoopTools,
  type ModelSessionOptions,
  type ToolCallRecord,
} from '../../loop/index.js';
import { storableText } from '../../../platform/database/index.js';
import { ModelCallError, type ModelUsage } from '../../llm/index.js';
import { isJudge } from '../../pods/index.js';
import { maskSecrets } from '../guardrail/secret-mask.js';
import { ScanBudget } from '../guardrail/text-scan.js';
import { scanWork } from '../guardrail/work-scan.js';
import type { Finding } from '../guardrail/finding.js';
import type { Role } from '../rules/task-status.js';
import { codeReviewStage } from './code-review.js';
import { contextStage } from './context.js';
import { decisionStage } from './decision.js';
import { guardrailStage, withDeterministic } from './guardrail.js';
import { STAGE_SCHEMAS, type StageOutputs } from './outputs.js';
import type { DataBlock, StageDefinition, StageInput } from './stage-input.js';
import { stagePrompts } from './stage-prompt.js';
import {
  readAnswer,
  responseSchema,
  settledAnswer,
  UnreadableAnswerError,
  type AnswerForm,
} from './structured-answer.js';
import { taskStage, withFacts } from './task.js';
import { strictest, unseenWork } from './unseen-work.js';

export const STAGES: Readonly<Record<Role, StageDefinition>> = {
  context: contextStage,
  task: taskStage,
  guardrail: guardrailStage,
  code_review: codeReviewStage,
  decision: decisionStage,
};

export interface StageDeps extends ModelSessionOptions {
  maxContextTokens: number;
  /** Of the data marks: random, and the same on every replica. */
  markKey: Uint8Array;
  /** Absent or empty: one call and nothing else. */
  tools?: LoopTools | undefined;
  /** Paths that differ from the base once the task agent is done; null when there is no work tree. */
  changedFiles?: (() => Promise<readonly string[] | null>) | undefined;
  /** The whole new content of a changed file that the diff does not show; null when it cannot be had. */
  readChanged?: ((path: string) => Promise<Buffer | null>) | undefined;
}

export interface StageResult<R extends Role = Role> {
  output: StageOutputs[R];
  usage: ModelUsage;
  /** USD; null when a price was not known. */
  costUsd: number | null;
  model: string | null;
  toolCalls: ToolCallRecord[];
}

/** Model answers of a stage that may ask for tools. */
const ROUND_LIMIT = 10;
const MASKING_SECONDS = 60;
/** Characters of an answer that cannot be read, for the task's record. */
const KEPT_ANSWER = 600;

/**
 * Runs one stage's turn: its tools, where it has any, until the model gives its final answer, which is the stage's result when
 * it can be read. With the same input and journal it asks the models the same.
 * @throws UnreadableAnswerError, ScanFailedError, ModelCallError, UnknownToolOutcomeError, what hooks and journal throw,
 *   `signal.reason`. No output exists then, so nothing counts as passed.
 */
export async function runStage<R extends Role>(role: R, input: StageInput, deps: StageDeps): Promise<StageResult<R>> {
  const definition = STAGES[role];
  const tools = usableTools(deps.tools);
  const deterministic = role === 'guardrail' ? await scan(input, deps) : [];
  const budget = new ScanBudget(MASKING_SECONDS, deps.signal);
  const blocks = await maskedBlocks(definition, input, deterministic, budget);
  const form: AnswerForm = STAGE_SCHEMAS[role];
  const { maxContextTokens, markKey } = deps;
  const { prompts, rest } = stagePrompts(definition, input, blocks, {
    form,
    markKey,
    maxContextTokens,
    withTools: tools !== undefined,
  });
  const session = new ModelSession(deps);
  const toolCalls: ToolCallRecord[] = [];
  const answers: Record<string, unknown>[] = [];
  for (const prompt of prompts) {
    const isLast = answers.length === prompts.length - 1;
    const answered = await answerTo(prompt, session, { tools, form, maxContextTokens, isLast }).catch(
      maskingFailure(input.taskId, deps.signal),
    );
    toolCalls.push(...answered.toolCalls);
    answers.push(answered.value);
  }
  const unseen = isJudge(role) ? unseenWork(input.diff, rest) : undefined;
  const answer = { ...strictest(answers), ...(unseen && { unseen }) };
  const output = await finished(role, answer, input, { deps, deterministic, toolCalls, hadTools: tools !== undefined });
  const { usage, costUsd, model } = session;
  return { output: output as StageOutputs[R], usage, costUsd, model, toolCalls };
}

/** Talks to the model until it has answered one prompt in the form that is demanded. */
async function answerTo(
  prompt: LanguageModelV3Prompt,
  session: ModelSession,
  settings: { tools: StageDeps['tools']; form: AnswerForm; maxContextTokens: number; isLast: boolean },
): Promise<{ value: Record<string, unknown>; toolCalls: ToolCallRecord[] }> {
  const { tools, form, maxContextTokens, isLast } = settings;
  const talk = await converse(session, {
    prompt,
    tools,
    roundLimit: ROUND_LIMIT,
    maxContextTokens,
    responseSchema: responseSchema(form),
    recordFinal: (answer) => !isLast || !readAnswer(answer, form).valid,
  });
  const said = talk.messages.at(-1)?.role === 'assistant' ? talk.messages.slice(0, -1) : talk.messages;
  const value = await settledAnswer(session, {
    conversation: withoutToolParts(said),
    final: { text: talk.text, finishReason: talk.finishReason, toolCalls: [] },
    form,
    maxContextTokens,
    isLast,
  });
  return { value, toolCalls: talk.toolCalls };
}

/** Throws what it is given; of what a model sent in vain it masks the secrets and cuts what is left. */
function maskingFailure(taskId: string, signal: AbortSignal): (error: unknown) => Promise<never> {
  return async (error) => {
    const budget = new ScanBudget(MASKING_SECONDS, signal);
    const masked = (text: string): Promise<string> => maskSecrets(text, taskId, budget);
    if (error instanceof UnreadableAnswerError) {
      const faults: string[] = [];
      for (const fault of error.faults) faults.push(await masked(fault));
      throw new UnreadableAnswerError(error.schemaName, faults, cutMiddle(await masked(error.sent), KEPT_ANSWER));
    }
    if (!(error instanceof ModelCallError) || error.details.sent === undefined) throw error;
    // Its end may be half a secret, since it is no longer whole.
    const sent = storableText((await masked(error.details.sent)).slice(0, KEPT_ANSWER));
    throw new ModelCallError(error.kind, error.message, { ...error.details, sent }, { cause: error });
  };
}

/** Undefined where there are none, so that the stage makes one call. */
function usableTools(tools: StageDeps['tools']): StageDeps['tools'] {
  return tools && tools.registry.offered(tools.allowed, tools.context.tier).length > 0 ? tools : undefined;
}

function scan(input: StageInput, deps: StageDeps): Promise<Finding[]> {
  const task = input.earlier.task;
  const diff = input.diff;
  const deleted = new Set(diff?.files.flatMap(({ path, change }) => (change === 'deleted' ? [path] : [])));
  return scanWork({
    taskId: input.taskId,
    request: input.request,
    texts:
      task === undefined
        ? []
        : [
            { name: 'output', text: task.output },
            { name: 'explanation', text: task.explanation },
            { name: 'commands', text: task.commands_run.join('\n') },
            { name: 'files', text: task.files_changed.join('\n') },
          ],
    diff: diff?.text ?? null,
    hidden: (diff?.notShown ?? [])
      .filter(({ path }) => !deleted.has(path))
      .map(({ path, reason }) => ({ path, reason, read: async () => (await deps.readChanged?.(path)) ?? null })),
    traps: diff?.traps ?? null,
    signal: deps.signal,
  });
}

async function maskedBlocks(
  definition: StageDefinition,
  input: StageInput,
  deterministic: readonly Finding[],
  budget: ScanBudget,
): Promise<DataBlock[]> {
  const blocks: DataBlock[] = [];
  for (const block of definition.data(input)) {
    blocks.push(block.verbatim ? block : { ...block, text: await maskSecrets(block.text, input.taskId, budget) });
  }
  if (deterministic.length > 0) {
    const text = deterministic.map(
      ({ type, severity, description, evidence }) => `- ${type} (${severity}): ${description} ${evidence}`,
    );
    blocks.push({ name: 'found_by_rules', text: text.join('\n') });
  }
  return blocks;
}

async function finished(
  role: Role,
  answer: unknown,
  input: StageInput,
  facts: {
    deps: StageDeps;
    deterministic: readonly Finding[];
    toolCalls: readonly ToolCallRecord[];
    hadTools: boolean;
  },
): Promise<unknown> {
  if (role === 'task') {
    const changedFiles = (await facts.deps.changedFiles?.()) ?? null;
    return withFacts(answer as StageOutputs['task'], { ...facts, changedFiles });
  }
  const masked = await maskedJson(answer, input.taskId, new ScanBudget(MASKING_SECONDS, facts.deps.signal));
  return role === 'guardrail' ? withDeterministic(masked as StageOutputs['guardrail'], facts.deterministic) : masked;
}

/** What an agent says of others' work, with secrets that it quotes masked. */
async function maskedJson(value: unknown, taskId: string, budget: ScanBudget): Promise<unknown> {
  if (typeof value === 'string') return maskSecrets(value, taskId, budget);
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value) items.push(await maskedJson(item, taskId, budget));
    return items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries: [string, unknown][] = [];
  for (const [key, inner] of Object.entries(value)) entries.push([key, await maskedJson(inner, taskId, budget)]);
  return Object.fromEntries(entries);
}

import type { ToolCallRecord } from '../../loop/index.js';
import type { TaskStageOutput } from './outputs.js';
import { contextData, diffData, feedbackData, outputData, requestToServe } from './shown.js';
import type { StageDefinition } from './stage-input.js';

/** Does the work, and does it again with all feedback when a verdict asks for that. */
export const taskStage: StageDefinition = {
  role: 'task',
  systemPrompt: [
    'You are the task agent of a team: you do the work that the person asked for.',
    'Use your tools where they help, keep changes as small as the request allows, keep the conventions of the code you change, and check your work before you finish.',
    'Your output is read by the person and by agents that review it. Be honest about what you did and did not do. Never put credentials or personal data into files or answers; read them from the environment instead.',
  ].join('\n'),
  instruction: (input) =>
    input.feedback.length === 0
      ? 'Do what the request asks.'
      : `This is iteration ${input.iteration}. Your earlier work stands as the data "output" and "diff" show. Repair everything that the data "feedback" lists, of every iteration, without undoing what was right.`,
  data: (input) => [
    requestToServe(input),
    ...contextData(input),
    ...feedbackData('feedback', input.feedback),
    ...(input.feedback.length === 0 ? [] : [...outputData(input), ...diffData(input.diff)]),
  ],
};

/** What really happened, as far as it is known. */
export interface TaskFacts {
  toolCalls: readonly ToolCallRecord[];
  /** Paths that differ from the base; null when the task has no work tree. */
  changedFiles: readonly string[] | null;
  /** Whether the agent had tools at all. */
  hadTools: boolean;
}

/** How the result of a command begins that ran: its end, and the boundary behind which it ran. Refused commands have none. */
const RAN = /^<tool_output [^>]*>\n\[[^\]\n]*; (?:sandbox |UNCONFINED)/;

/** Characters and number of the paths, and of the commands, that an output names. */
const MOST_NAMED = { items: 5_000, characters: 512 * 1024 };

/** As many of `texts` as an output may name. */
function bounded(texts: readonly string[]): string[] {
  let left = MOST_NAMED.characters;
  const cut = texts.slice(0, MOST_NAMED.items).findIndex((text) => (left -= text.length) < 0);
  return texts.slice(0, cut === -1 ? MOST_NAMED.items : cut);
}

/**
 * The output with facts in the place of claims: the files that differ, and the commands that were run. What a task really did may
 * be more than one row should hold, so both are cut.
 */
export function withFacts(output: TaskStageOutput, facts: TaskFacts): TaskStageOutput {
  if (!facts.hadTools) return { ...output, files_changed: bounded(facts.changedFiles ?? []), commands_run: [] };
  const commands = facts.toolCalls.flatMap(({ name, arguments: args, result }) => {
    const command = (args as { command?: unknown } | null)?.command;
    return name === 'run_shell' && typeof command === 'string' && RAN.test(result) ? [command] : [];
  });
  return {
    ...output,
    files_changed: bounded(facts.changedFiles ?? output.files_changed),
    commands_run: bounded(commands),
  };
}

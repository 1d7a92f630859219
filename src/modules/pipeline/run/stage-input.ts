import { isJudge, roleKind, type AgentSnapshot, type JudgeRole } from '../../pods/index.js';
import { iterationOf } from '../rules/situation.js';
import { STAGES, type StageDiff, type StageFeedback, type StageInput, type StageOutputs } from '../stages/index.js';
import type { TaskExecution } from './task-execution.js';

/**
 * What `agent`'s stage reads, from everything that the task's stages have said so far. `shown` is the diff that the stage was
 * shown when it began, if it has begun: the tree has its own unfinished work by now.
 */
export function stageInput(execution: TaskExecution, agent: AgentSnapshot, shown?: StageDiff): StageInput {
  const { task } = execution;
  const iteration = iterationOf(task.pod, task.control, agent.role);
  const { newest } = execution.situation;
  const earlier: Partial<StageOutputs> = {};
  for (const definition of Object.values(STAGES)) {
    const record = newest[definition.role];
    if (record?.status === 'complete') Object.assign(earlier, { [definition.role]: record.output });
  }
  return {
    taskId: task.id,
    request: task.userInput,
    iteration,
    systemPrompt: agent.systemPrompt,
    earlier,
    feedback: feedback(execution, roleKind(agent.role) === 'decides' ? iteration : iteration - 1),
    diff: execution.tree === null && !execution.mayMakeTree ? null : (shown ?? diffOf(execution)),
    flags: task.control.flags,
  };
}

function diffOf({ diff }: TaskExecution): StageDiff {
  return {
    text: diff?.text ?? '',
    files: diff?.files ?? [],
    notShown: diff?.notShown ?? [],
    traps: diff?.traps ?? null,
  };
}

type Asked = Omit<StageFeedback, 'iteration' | 'source'>;

/** What a judge's answer asks for; null for nothing. */
const ASKED: { readonly [Judge in JudgeRole]: (output: StageOutputs[Judge]) => Asked | null } = {
  guardrail: ({ blocked, findings, summary }) =>
    blocked || findings.length > 0 ? { summary, findings, issues: [] } : null,
  code_review: ({ verdict, issues, summary }) =>
    verdict !== 'pass' || issues.length > 0 ? { summary, findings: [], issues } : null,
};

function askedBy<Judge extends JudgeRole>(judge: Judge, output: unknown): Asked | null {
  return ASKED[judge](output as StageOutputs[Judge]);
}

/** Every verdict of the iterations up to `last` that asked for something, oldest first. */
function feedback(execution: TaskExecution, last: number): StageFeedback[] {
  return execution.task.stages.flatMap(({ role, status, iteration, output }) => {
    if (!isJudge(role) || status !== 'complete' || iteration > last) return [];
    const asked = askedBy(role, output);
    return asked === null ? [] : [{ iteration, source: role, ...asked }];
  });
}

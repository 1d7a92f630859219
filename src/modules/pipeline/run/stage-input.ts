import type { AgentSnapshot } from '../../pods/index.js';
import { iterationOf } from '../rules/plan.js';
import {
  STAGES,
  type CodeReviewOutput,
  type GuardrailOutput,
  type StageDiff,
  type StageFeedback,
  type StageInput,
  type StageOutputs,
} from '../stages/index.js';
import type { TaskExecution } from './task-execution.js';

/**
 * What `agent`'s stage reads, from everything that the task's stages have said so far. `shown` is the diff that the stage was
 * shown when it began, if it has begun: the tree has its own unfinished work by now.
 */
export function stageInput(execution: TaskExecution, agent: AgentSnapshot, shown?: StageDiff): StageInput {
  const { run } = execution;
  const iteration = iterationOf(run.pod, run.control, agent.role);
  const { newest } = execution.situation;
  const earlier: Partial<StageOutputs> = {};
  for (const definition of Object.values(STAGES)) {
    const record = newest[definition.role];
    if (record?.status === 'complete') Object.assign(earlier, { [definition.role]: record.output });
  }
  return {
    taskId: run.id,
    request: run.userInput,
    iteration,
    systemPrompt: agent.systemPrompt,
    earlier,
    feedback: feedback(execution, agent.role === 'decision' ? iteration : iteration - 1),
    diff: execution.tree === null && !execution.mayMakeTree ? null : (shown ?? diffOf(execution)),
    flags: run.control.flags,
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

/** Every verdict of the iterations up to `last` that asked for something, oldest first. */
function feedback(execution: TaskExecution, last: number): StageFeedback[] {
  const asked: StageFeedback[] = [];
  for (const stage of execution.run.stages) {
    if (stage.status !== 'complete' || stage.iteration > last) continue;
    const { iteration } = stage;
    if (stage.role === 'guardrail') {
      const { blocked, findings, summary } = stage.output as GuardrailOutput;
      if (blocked || findings.length > 0) asked.push({ iteration, source: 'guardrail', summary, findings, issues: [] });
    }
    if (stage.role === 'code_review') {
      const { verdict, issues, summary } = stage.output as CodeReviewOutput;
      if (verdict !== 'pass' || issues.length > 0) {
        asked.push({ iteration, source: 'code_review', summary, findings: [], issues });
      }
    }
  }
  return asked;
}

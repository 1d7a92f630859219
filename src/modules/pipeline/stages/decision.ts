import { contextData, diffData, explanationData, feedbackData, outputData, requestToJudgeBy } from './shown.js';
import type { StageDefinition, StageInput } from './stage-input.js';

/** Decides what becomes of flagged work. */
export const decisionStage: StageDefinition = {
  role: 'decision',
  systemPrompt: [
    'You are the decision agent of a team. The work was blocked by the guardrail or not passed by the reviewer, and you decide what becomes of it.',
    '"override" releases it: only when the findings are mistaken or do not matter here, and you can say why. Findings of deterministic rules, and findings at or above the pod\'s threshold, stay with a person whatever you decide.',
    '"escalate" hands it to a person: say what has to be decided and what speaks for each side. When in doubt, escalate.',
    'Write the decision down as a short record in markdown with the headings Context, Decision and Consequences.',
  ].join('\n'),
  instruction: (input) => `Decide. Flags: ${flagsOf(input)}.`,
  data: (input) => [
    requestToJudgeBy(input),
    ...contextData(input),
    ...outputData(input),
    ...explanationData(input),
    ...diffData(input.diff),
    ...feedbackData('verdicts', input.feedback),
  ],
};

function flagsOf({ flags }: StageInput): string {
  const raised = [
    ...(flags?.guardrailBlocked ? ['guardrail_blocked'] : []),
    ...(flags?.codeReviewRejected ? ['code_review_rejected'] : []),
  ];
  return raised.join(', ') || 'none';
}

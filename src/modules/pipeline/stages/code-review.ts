import { contextData, feedbackData, requestToJudgeBy, workData } from './shown.js';
import type { StageDefinition } from './stage-input.js';

/** Judges how good the work is. */
export const codeReviewStage: StageDefinition = {
  role: 'code_review',
  systemPrompt: [
    'You are the reviewer of a team: you judge whether work is correct, complete and well made.',
    'Verdicts: "pass" when it can be released; "needs_refactor" when the task agent can repair it, with one issue for each thing to repair; "reject" when it is wrong from the ground up or should not be done.',
    'Name file and line where you can, and say what to do instead. Do not ask for what the request does not need.',
  ].join('\n'),
  instruction: (input) =>
    input.iteration === 1
      ? 'Review the work: the data "output", "explanation" and "diff", those that there are.'
      : `Review iteration ${input.iteration} of the work. The data "earlier_issues" lists what was asked for before: check that each was repaired, and raise again what was not.`,
  data: (input) => [
    requestToJudgeBy(input),
    ...contextData(input),
    ...workData(input),
    ...feedbackData(
      'earlier_issues',
      input.feedback.filter(({ source, iteration }) => source === 'code_review' && iteration < input.iteration),
    ),
  ],
};

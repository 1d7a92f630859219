/**
 * Every transition that a task may make, written by hand and apart from the code's own table, for the tests that replay event
 * logs.
 */
const STAGES = ['context_running', 'task_running', 'guardrail_running', 'code_review_running', 'decision_running'];

export const LEGAL_TRANSITIONS: ReadonlySet<string> = new Set([
  'queued > context_running',
  'queued > task_running',
  'queued > guardrail_running',
  'queued > code_review_running',
  'queued > decision_running',
  'queued > completing',
  'queued > cancelled',
  'completing > complete',
  'completing > queued',
  'completing > pending_human_review',
  'completing > failed',
  'completing > cancelled',
  'pending_human_review > queued',
  'pending_human_review > cancelled',
  'failed > queued',
  ...STAGES.flatMap((stage) => [
    `${stage} > queued`,
    `${stage} > completing`,
    `${stage} > complete`,
    `${stage} > pending_human_review`,
    `${stage} > failed`,
    `${stage} > cancelled`,
    ...STAGES.filter((other) => other !== stage).map((other) => `${stage} > ${other}`),
  ]),
]);

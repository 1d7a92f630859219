import type { ShownFinding, Review, Task } from './api.js';

/** What the demo saw. */
export interface Account {
  scripted: boolean;
  /** Whether the machine can confine commands. */
  sandboxed: boolean;
  before: { green: boolean; failed: number };
  after: { green: boolean };
  task: Task;
  findings: readonly ShownFinding[];
  reviews: readonly Review[];
  diff: string;
}

/** The parts of the story that did not happen; none when the system produced all of it. */
export function missing(account: Account): string[] {
  const { before, after, task, findings, reviews, diff, scripted, sandboxed } = account;
  const leak = findings.find((finding) => finding.deterministic && finding.finding_type === 'credential_leak');
  const parts: [boolean, string][] = [
    [!before.green && before.failed > 0, 'the repository’s own tests were red before'],
    [
      task.status === 'complete',
      `the task completed (it is ${task.status}: ${task.error ?? task.review?.reason ?? 'no reason given'})`,
    ],
    [diff !== '', 'files were changed'],
    [after.green, 'the repository’s own tests are green after'],
  ];
  // What a real model does on its way is its own; the script's way is known.
  if (scripted) {
    if (sandboxed)
      parts.push([(task.result?.commands_run ?? []).length > 0, 'the task stage ran the tests in the sandbox']);
    parts.push(
      [leak !== undefined, 'the guardrail’s rules blocked a leaked key'],
      [leak?.status === 'resolved', 'the leak was repaired'],
      [reviews.some(({ verdict }) => verdict === 'needs_refactor'), 'a review asked for a refactor'],
      [reviews.at(-1)?.verdict === 'pass', 'the last review passed'],
    );
  }
  return parts.filter(([happened]) => !happened).map(([, part]) => part);
}

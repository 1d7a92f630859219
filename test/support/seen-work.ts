import { expect } from '@jest/globals';
import type { Answer } from './openapi.js';
import type { PipelineClient } from './pipeline-client.js';

/** Gates that list unseen work and release it, by hand from the specification. */
const RELEASING = ['escalation', 'finding', 'final', 'unseen'];
/** The lines that stand in a diff for content that it does not show, with the hashes of both versions. */
const HIDDEN =
  /^(?:Binary files differ|Too large to show): (?:nothing|\d+ bytes, sha256 (\w+)) -> (?:nothing|\d+ bytes, sha256 (\w+))$/gm;

/**
 * Every changed file of a task that judges have judged was shown to them whole, or is listed at a gate, or is one of what is
 * not unseen: a deletion, or content that the base held.
 */
export async function expectSeenOrListed(client: PipelineClient, task: Answer['body']): Promise<void> {
  const stages = await client.list(task.id, 'stages');
  const judges = stages.filter(({ role, status }) => /^(guardrail|code_review)$/.test(role) && status === 'complete');
  if (judges.length === 0) return;
  const approved = (await client.events(task.id)).some(
    ({ type, data }) =>
      type === 'gate.decided' && data.decision === 'approve' && RELEASING.includes(data.kind as string),
  );
  if (approved) return;
  if (task.status === 'pending_human_review' && RELEASING.includes(task.review?.kind)) await expectListed(client, task);
  if (task.status !== 'complete') return;
  const artifacts = await client.list(task.id, 'artifacts');
  const diff = artifacts.find(({ artifact_type }) => artifact_type === 'diff')?.content as string | undefined;
  const hidden = [...(diff ?? '').matchAll(HIDDEN)].map(([line, before, after]) => ({ line, before, after }));
  const atBase = new Set(hidden.map(({ before }) => before));
  const unseen = hidden.filter(({ after }) => after !== undefined && !atBase.has(after));
  expect({ task: task.id, unseen }).toEqual({ task: task.id, unseen: [] });
}

async function expectListed(client: PipelineClient, task: Answer['body']): Promise<void> {
  const path = `/api/v1/pipeline/tasks/${task.id}/changes?limit=200`;
  const { status, body: changes } = await client.api.call('GET', path, { as: 'admin' });
  // Somebody has decided meanwhile, or the tree is another machine's.
  if (status === 410 || status === 503) return;
  expect(status).toBe(200);
  const listed = new Set((task.review.details?.unseen?.files ?? []).map((file: { path: string }) => file.path));
  const atBase = new Set(changes.map((change: Answer['body']) => change.before?.sha256));
  for (const change of changes) {
    const shown = Object.values(change.shown_whole).filter((whole) => whole !== null);
    const isSeen = shown.every(Boolean) || change.change === 'deleted' || atBase.has(change.after.sha256);
    expect({ path: change.path, accountedFor: isSeen || listed.has(change.path) }).toEqual({
      path: change.path,
      accountedFor: true,
    });
  }
}

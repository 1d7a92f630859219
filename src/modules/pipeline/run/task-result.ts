import type { ArtifactWrite, TaskOutput, TaskSummary } from '../store/transition.js';
import { artifact } from './stage-records.js';
import { newestStages } from '../rules/situation.js';
import type { LoadedTask } from '../store/loaded-tasks.repository.js';
import type { ForeseenTask } from './task-execution.js';

const HEADLINE_LENGTH = 120;

/** The result of a task whose last stage has ended. */
export function resultOf(task: LoadedTask): { output: TaskOutput | null; summary: TaskSummary } {
  const newest = newestStages(task.stages);
  const output = newest.task?.status === 'complete' ? (newest.task.output as TaskOutput) : null;
  const review = newest.code_review?.status === 'complete' ? newest.code_review.output : null;
  const summary: TaskSummary = {
    headline: headline(output?.explanation || output?.output || task.userInput),
    files_modified: output?.files_changed ?? [],
    commands_run: output?.commands_run ?? [],
    findings_count: task.findings.length,
    review_verdict: (review as { verdict?: TaskSummary['review_verdict'] } | null)?.verdict ?? null,
    cost_usd: task.costUsd,
    duration_s: Math.round(task.executionMs / 100) / 10,
  };
  return { output, summary };
}

/** Code and diff of a task that changed files, and the outputs that its agents want kept. */
export function artifactsOf(foreseen: ForeseenTask, newId: () => string): ArtifactWrite[] {
  const { task, diff } = foreseen;
  const newest = newestStages(task.stages);
  const artifacts: ArtifactWrite[] = [];
  if (diff !== null && diff.files.length > 0) {
    const stageId = newest.task?.id ?? null;
    artifacts.push(artifact(newId(), stageId, 'diff', 'changes.diff', diff.text, { files: diff.files.length }));
    for (const [path, content] of foreseen.changedFiles) {
      const change = diff.files.find((file) => file.path === path);
      artifacts.push(artifact(newId(), stageId, 'code', path, content, { change: change?.change }, path));
    }
  }
  for (const agent of task.pod.agents) {
    const stage = newest[agent.role];
    if (agent.artifactType === null || stage?.status !== 'complete') continue;
    const content = JSON.stringify(stage.output, null, 2);
    artifacts.push(artifact(newId(), stage.id, agent.artifactType, `${agent.role}.json`, content));
  }
  return artifacts;
}

/** What a reviewer is shown while the task waits: its text and its diff, as one artifact that only reviewers may read. */
export function pendingOutput(foreseen: ForeseenTask, newId: () => string): ArtifactWrite[] {
  const { newest } = foreseen.situation;
  if (newest.task?.status !== 'complete') return [];
  const output = newest.task.output as TaskOutput;
  const content = [
    output.output,
    ...(output.explanation ? ['', '## Explanation', '', output.explanation] : []),
    ...(foreseen.diff?.text ? ['', '## Changes', '', foreseen.diff.text] : []),
  ].join('\n');
  return [artifact(newId(), newest.task.id, 'pending_output', `pending-output-${newest.task.iteration}.md`, content)];
}

function headline(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length > HEADLINE_LENGTH ? `${line.slice(0, HEADLINE_LENGTH - 1)}…` : line;
}

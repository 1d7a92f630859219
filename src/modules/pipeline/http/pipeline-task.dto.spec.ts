import { describe, expect, it } from '@jest/globals';
import type { TaskView } from '../views/task-view.js';
import { ListedPipelineTaskDto, WaitingForDto } from './pipeline-task.dto.js';

const task = (parts: Partial<TaskView>): TaskView => ({
  id: 'id',
  status: 'complete',
  podId: null,
  podName: 'Quartet',
  userInput: 'short',
  output: null,
  error: null,
  errorContext: null,
  currentStage: null,
  attempt: 1,
  retryCount: 0,
  maxRetries: 2,
  priority: 5,
  review: null,
  createdAt: new Date(0),
  queuedAt: new Date(0),
  startedAt: null,
  completedAt: null,
  updatedAt: new Date(0),
  lastHeartbeatAt: null,
  metadata: {},
  summary: null,
  totalInputTokens: 0,
  totalCachedInputTokens: 0,
  totalOutputTokens: 0,
  totalCostUsd: 0,
  ...parts,
});

describe('a listed task', () => {
  it('is whole when its texts are short', () => {
    const output = { output: 'o', explanation: 'e', files_changed: [], commands_run: [] };
    expect(ListedPipelineTaskDto.from(task({ output }))).toMatchObject({
      user_input: 'short',
      output: 'o\n\n## Explanation\n\ne',
      result: output,
      truncated: [],
    });
    expect(ListedPipelineTaskDto.from(task({}))).toMatchObject({ output: null, result: null, truncated: [] });
  });

  it('has its long texts cut and their fields named', () => {
    const long = 'x'.repeat(2_001);
    const output = { output: long, explanation: 'e', files_changed: ['f'], commands_run: [] };
    const listed = ListedPipelineTaskDto.from(task({ userInput: long, error: long, output }));
    expect(listed.truncated).toEqual(['user_input', 'output', 'error', 'result']);
    for (const text of [listed.user_input, listed.error, listed.output]) expect(text).toHaveLength(2_000);
    expect(listed.result).toEqual({ ...output, output: long.slice(0, 2_000) });
  });

  it('names both where many short texts are too long together', () => {
    const commands = Array.from({ length: 100 }, (_, index) => `run ${index} ${'x'.repeat(90)}`);
    const output = { output: 'o', explanation: '', files_changed: [], commands_run: commands };
    const listed = ListedPipelineTaskDto.from(task({ output }));
    expect(listed.truncated).toEqual(['output', 'result']);
    expect(listed.result?.commands_run.join('')).toHaveLength(2_000);
    expect(listed.result?.commands_run[0]).toBe(commands[0]);
  });
});

describe('what a task waits for', () => {
  it('says only what belongs to its reason', () => {
    const until = new Date(0);
    expect(WaitingForDto.from({ reason: 'position', position: '>1000' })).toEqual({
      reason: 'position',
      position: '>1000',
    });
    expect(WaitingForDto.from({ reason: 'provider', until, provider: null })).toEqual({ reason: 'provider', until });
    expect(WaitingForDto.from({ reason: 'review', gateId: 'g' })).toEqual({ reason: 'review', gate_id: 'g' });
  });
});

import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { storableJson } from '../../../platform/database/index.js';
import { artifact, outcomeParts } from './stage-records.js';
import { reviewedContentHash } from '../rules/situation.js';
import type { TaskExecution } from './task-execution.js';

describe('what a stage hands over', () => {
  it('has the same hash when it is read back, also with text that PostgreSQL refuses', () => {
    const stage = { id: 's', role: 'task', position: 1, iteration: 1, attempt: 1, status: 'running', output: null };
    const execution = { stage: () => stage } as unknown as TaskExecution;
    const used = {
      model: null,
      inputTokens: 9,
      cachedInputTokens: 7,
      outputTokens: 0,
      costUsd: 0,
      estimated: false,
      durationMs: 1,
    };
    const output = { output: 'done', commands_run: ['echo \ud800', 'echo \u0000'] };
    const parts = outcomeParts(execution, { kind: 'complete', stageId: 's', role: 'task', output, used }, () => 'id');
    const written = parts.stages?.[0]?.output;
    const shown = reviewedContentHash({ task: { ...stage, status: 'complete', output: written } as never }, null);
    const readBack = {
      ...stage,
      status: 'complete',
      output: JSON.parse(JSON.stringify(storableJson(written))) as unknown,
    };
    expect(reviewedContentHash({ task: readBack as never }, null)).toBe(shown);
  });

  it('hashes an artifact as it is stored', () => {
    const { content, content_hash } = artifact('id', null, 'code', 'a', 'x\u0000\ud800');
    expect(content).toBe('x\ufffd\ufffd');
    expect(content_hash).toBe(createHash('sha256').update(content).digest('hex'));
  });
});

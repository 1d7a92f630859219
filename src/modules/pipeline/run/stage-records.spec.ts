import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { storableJson } from '../../../platform/database/index.js';
import { artifact, outcomeParts } from './stage-records.js';
import { reviewedContentHash } from '../rules/situation.js';
import { executionOf, loadedTask, runningStage } from '../../../../test/support/tasks.js';

describe('what a stage hands over', () => {
  it('has the same hash when it is read back, also with text that PostgreSQL refuses', () => {
    const stage = runningStage('task', { id: 's' });
    const execution = executionOf(loadedTask({ stages: [stage] }));
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
    const parts = outcomeParts(
      execution,
      { kind: 'complete', stageId: 's', role: 'task', output, used, leftOut: null },
      () => 'id',
    );
    const written = parts.stages?.[0]?.output;
    const shown = reviewedContentHash({ task: { ...stage, status: 'complete', output: written } }, null);
    const readBack = JSON.parse(JSON.stringify(storableJson(written))) as unknown;
    expect(reviewedContentHash({ task: { ...stage, status: 'complete', output: readBack } }, null)).toBe(shown);
  });

  it('hashes an artifact as it is stored', () => {
    const { content, content_hash } = artifact('id', null, 'code', 'a', 'x\u0000\ud800');
    expect(content).toBe('x\ufffd\ufffd');
    expect(content_hash).toBe(createHash('sha256').update(content).digest('hex'));
  });
});

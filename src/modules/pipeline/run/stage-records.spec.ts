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

  it('has the hash that gates of earlier releases were opened with', () => {
    const done = { ...runningStage('task', { id: 's' }), status: 'complete' as const, iteration: 2 };
    const newest = {
      task: { ...done, output: { output: 'done', explanation: '', commands_run: [], files_changed: ['a'] } },
      guardrail: { ...done, role: 'guardrail' as const, output: { summary: 'clean', blocked: false, findings: [] } },
      code_review: { ...done, role: 'code_review' as const, status: 'failed' as const },
    };
    expect(reviewedContentHash(newest, 'd'.repeat(64))).toBe(
      '5ecfde76b6d6719a66cfb1a9c7068699f2d4eab9bf9d0f7e0a60a91d83d2f2d4',
    );
  });

  it('hashes an artifact as it is stored', () => {
    const { content, content_hash } = artifact('id', null, 'code', 'a', 'x\u0000\ud800');
    expect(content).toBe('x\ufffd\ufffd');
    expect(content_hash).toBe(createHash('sha256').update(content).digest('hex'));
  });
});

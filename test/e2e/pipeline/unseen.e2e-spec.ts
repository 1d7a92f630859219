import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';
import { PASSING, StageModels, type StageScript } from '../../support/stage-models.js';

let models: StageModels;
let service: Service;
let pipeline: PipelineClient;

beforeAll(async () => {
  models = await StageModels.start();
  service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'none' });
  pipeline = await PipelineClient.of(service);
});
afterAll(async () => {
  await service?.stop();
  await models?.stop();
});

/** A task whose agent writes one file with a shell-free tool, and what its judges were shown. */
async function writing(path: string, content: string, script: StageScript = {}, pod: Record<string, unknown> = {}) {
  const call = { name: 'write_file', arguments: { path, content } };
  const model = models.model({ task: [{ tool_calls: [call] }, PASSING.task], ...script });
  const task = await pipeline.run(model, { agents: { task: { allowed_tools: ['write_file'] } }, pod });
  const shown = (['guardrail', 'code_review'] as const).map((role) => models.prompts(model, role).join('\n'));
  return { task, model, shown };
}

describe('work that no judge was shown', () => {
  it('waits for a person who is told of it, and is published once that person approves', async () => {
    const { task } = await writing('picture.bin', 'a\u0000b');
    expect(task).toMatchObject({
      status: 'pending_human_review',
      output: null,
      review: {
        kind: 'unseen',
        reason: 'No judge was shown all of the work: picture.bin (binary).',
        details: { unseen: { files: [{ path: 'picture.bin', reason: 'binary' }], more: 0 } },
      },
    });
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(200);
    expect(await pipeline.settled(task.id, 1)).toMatchObject({ status: 'complete' });
    expect(await readFile(join(service.workspace, 'picture.bin'), 'utf8')).toBe('a\u0000b');
  });

  it('is asked about once, at the gate that opens anyway', async () => {
    const { task } = await writing('final.bin', 'a\u0000b', {}, { require_human_review: 'always' });
    expect(task.review).toMatchObject({ kind: 'final', details: { unseen: { files: [{ path: 'final.bin' }] } } });
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(200);
    expect(await pipeline.settled(task.id, 1)).toMatchObject({ status: 'complete' });
  });

  it('fails a task whose pod wants no person, and is cancelled by a rejection', async () => {
    const { task } = await writing('never.bin', 'a\u0000b', {}, { require_human_review: 'never' });
    expect(task).toMatchObject({ status: 'failed', error_context: { code: 'gate_unseen' } });
    const { task: waiting } = await writing('rejected.bin', 'a\u0000b');
    expect((await pipeline.review(waiting.id, { decision: 'reject' })).body).toMatchObject({ status: 'cancelled' });
  });

  it('is read by the rules in the encoding that it has', async () => {
    const { task } = await writing('customers.txt', `card 4111 1111 1111 1111\n\u0000`);
    const findings = await pipeline.list(task.id, 'findings');
    expect(findings).toMatchObject([
      { finding_type: 'pii_exposure', deterministic: true },
      { finding_type: 'pii_exposure' },
    ]);
    expect(task.status).toBe('pending_human_review');
  });
});

describe('work that the owner’s git would obey', () => {
  const files = { 'vendor/x/HEAD': 'ref: refs/heads/main\n', 'vendor/x/objects/a': '', 'vendor/x/refs/a': '' };
  const calls = Object.entries(files).map(([path, content]) => ({ name: 'write_file', arguments: { path, content } }));
  const writes = { task: [{ tool_calls: calls }, PASSING.task] };
  const tools = { task: { allowed_tools: ['write_file'] } };
  const violation = { finding_type: 'policy_violation', severity: 'high', deterministic: true, evidence: 'vendor/x/' };

  it('is a finding of the rules, and is published only where a person lets it', async () => {
    const task = await pipeline.run(models.model(writes), { agents: tools });
    expect(task).toMatchObject({ status: 'pending_human_review', output: null });
    expect(await pipeline.list(task.id, 'findings')).toMatchObject([{ ...violation, status: 'open' }]);
    await expect(readFile(join(service.workspace, 'vendor/x/HEAD'))).rejects.toThrow('ENOENT');
    expect((await pipeline.review(task.id, { decision: 'reject' })).status).toBe(200);
    await expect(readFile(join(service.workspace, 'vendor/x/HEAD'))).rejects.toThrow('ENOENT');
  });

  it('opens a gate also in a pod that has no judge', async () => {
    const alone = { ...tools, context: null, guardrail: null, code_review: null, decision: null };
    const task = await pipeline.run(models.model(writes), { agents: alone });
    expect(task).toMatchObject({
      status: 'pending_human_review',
      review: {
        kind: 'finding',
        reason: "The owner's git would obey what the work holds: vendor/x/ (bare_repository).",
        details: { traps: { files: [{ path: 'vendor/x/', kind: 'bare_repository' }], more: 0 } },
      },
    });
    expect(await pipeline.list(task.id, 'findings')).toMatchObject([{ ...violation, status: 'open' }]);
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(200);
    expect(await pipeline.settled(task.id, 1)).toMatchObject({ status: 'complete' });
    expect(await pipeline.list(task.id, 'findings')).toMatchObject([{ ...violation, status: 'resolved' }]);
    expect(await readFile(join(service.workspace, 'vendor/x/HEAD'), 'utf8')).toContain('refs');
  });

  it('fails a task whose pod wants no person', async () => {
    const pod = { require_human_review: 'never' };
    const attributes = { name: 'write_file', arguments: { path: '.gitattributes', content: '* filter=evil\n' } };
    const script = { task: [{ tool_calls: [attributes] }, PASSING.task] };
    const task = await pipeline.run(models.model(script), { agents: { ...tools, guardrail: null }, pod });
    expect(task).toMatchObject({ status: 'failed', error_context: { code: 'gate_finding' } });
    await expect(readFile(join(service.workspace, '.gitattributes'))).rejects.toThrow('ENOENT');
  });
});

describe('ordinary work', () => {
  it('meets no gate: text, a lock file of 1 MB, and the account of it are shown whole', async () => {
    const lines = Array.from(
      { length: 16_000 },
      (_, n) => `    "node_modules/package-${n}": { "version": "1.${n}.0", "n": ${n} },`,
    );
    const lock = `{\n${lines.join('\n')}\n}\n`;
    expect(lock.length).toBeGreaterThan(1_000_000);
    const { task, shown } = await writing('package-lock.json', lock, {});
    expect(task.status).toBe('complete');
    for (const prompts of shown) {
      for (const n of [0, 7_000, 15_999]) expect(prompts).toContain(`node_modules/package-${n}\\`);
      expect(prompts).toContain('name=\\"explanation\\"');
    }
  });

  it('meets no gate for text of another file that is taken away', async () => {
    await writeFile(join(service.workspace, 'old.txt'), 'words\n');
    const { task } = await writing('old.txt', 'other words\n');
    expect(task.status).toBe('complete');
    await rm(join(service.workspace, 'old.txt'));
  });
});

import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
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

  it('is text that only some readers take for text, too', async () => {
    const wide = Array.from('words\n', (letter) => `${letter}\u0000`).join('');
    const files = {
      'late-nul.txt': `${'a line of text\n'.repeat(5_000)}\u0000`,
      'utf-16be.txt': `\u0000${wide.slice(0, -1)}`,
      'utf-16le.txt': wide,
      'utf-32.txt': wide.replaceAll('\u0000', '\u0000\u0000\u0000'),
    };
    const calls = Object.entries(files).map(([path, content]) => ({
      name: 'write_file',
      arguments: { path, content },
    }));
    const model = models.model({ task: [{ tool_calls: calls }, PASSING.task] });
    const task = await pipeline.run(model, { agents: { task: { allowed_tools: ['write_file'] } } });
    const unseen = Object.keys(files).map((path) => ({ path, reason: 'binary' }));
    expect(task.review).toMatchObject({ kind: 'unseen', details: { unseen: { files: unseen, more: 0 } } });
    expect((await pipeline.review(task.id, { decision: 'reject' })).status).toBe(200);
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

describe('the changes of a task', () => {
  const files: Record<string, string> = { 'changes/a.bin': 'a\u0000b', "changes/it's ü.txt": 'words\n' };
  const calls = Object.entries(files).map(([path, content]) => ({ name: 'write_file', arguments: { path, content } }));
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const pathOf = (id: string, rest: string): string => `/api/v1/pipeline/tasks/${id}/changes${rest}`;
  const read = async (path: string, headers: Record<string, string> = {}) => {
    const response = await pipeline.api.stream('GET', path, { as: 'admin', headers });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const code = async (path: string, as = 'admin') => {
    const { status, body } = await pipeline.api.call('GET', path, { as });
    return [status, body.code];
  };
  let waiting: Awaited<ReturnType<typeof pipeline.run>>;
  let list: Awaited<ReturnType<typeof pipeline.list>>;

  beforeAll(async () => {
    await mkdir(join(service.workspace, 'changes'), { recursive: true });
    await writeFile(join(service.workspace, 'changes/a.bin'), 'old\n');
    const model = models.model({ task: [{ tool_calls: calls }, PASSING.task] });
    waiting = await pipeline.run(model, {
      agents: { task: { allowed_tools: ['write_file'] } },
      pod: { review_by: 'admin' },
    });
    list = await pipeline.list(waiting.id, 'changes');
  });

  it('are listed with what they are and who was shown them', () => {
    expect(list).toMatchObject([
      {
        task_id: waiting.id,
        path: 'changes/a.bin',
        change: 'modified',
        before: { kind: 'file', mode: '100644', size: 4, sha256: sha256('old\n'), encoding: 'utf-8', binary: false },
        after: { size: 3, sha256: sha256('a\u0000b'), encoding: null, binary: true },
        shown_whole: { guardrail: false, code_review: false },
        unseen: true,
      },
      {
        path: "changes/it's ü.txt",
        change: 'added',
        before: null,
        after: { size: 6, encoding: 'utf-8', binary: false },
        shown_whole: { guardrail: true, code_review: true },
        unseen: false,
      },
    ]);
  });

  it('are paged like other lists', async () => {
    const first = await pipeline.api.call('GET', pathOf(waiting.id, '?limit=1'), { as: 'admin' });
    expect(first.body).toEqual([list[0]]);
    const next = /<([^>]+)>/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    const second = await pipeline.api.call('GET', next, { as: 'admin' });
    expect([second.body, second.headers.get('link')]).toEqual([[list[1]], null]);
    expect((await pipeline.api.call('GET', pathOf(waiting.id, '?offset=1'), { as: 'admin' })).body).toEqual([list[1]]);
    expect((await code(pathOf(waiting.id, '?cursor=eA')))[0]).toBe(422);
  });

  it('are sent whole, before and after, as what no browser shows or runs', async () => {
    const [modified, added] = list;
    const before = await read(pathOf(waiting.id, `/${modified.id}/before`));
    expect([before.status, before.text]).toEqual([200, 'old\n']);
    const after = await read(pathOf(waiting.id, `/${added.id}/after`));
    expect([after.status, after.text]).toEqual([200, 'words\n']);
    expect(Object.fromEntries(after.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="it_s__.txt"; filename*=UTF-8''it%27s%20%C3%BC.txt`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': 'sandbox',
      'accept-ranges': 'bytes',
      'content-length': '6',
      etag: `"${sha256('words\n')}"`,
    });
    expect(await code(pathOf(waiting.id, `/${added.id}/before`))).toEqual([404, 'not_found']);
    expect(await code(pathOf(waiting.id, `/${waiting.id}/after`))).toEqual([404, 'not_found']);
    const unknown = await service.admin(pathOf(waiting.id, `/${added.id}/During`));
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { code: 'not_found' }]);
  });

  it('are sent in ranges', async () => {
    const path = pathOf(waiting.id, `/${list[1].id}/after`);
    const part = await read(path, { range: 'bytes=1-3' });
    expect([part.status, part.text, part.headers.get('content-range')]).toEqual([206, 'ord', 'bytes 1-3/6']);
    expect((await read(path, { range: 'bytes=-2' })).text).toBe('s\n');
    expect((await read(path, { range: 'bytes=1-3', 'if-range': '"another"' })).text).toBe('words\n');
    const past = await read(path, { range: 'bytes=6-' });
    expect([past.status, past.headers.get('content-range')]).toEqual([416, 'bytes */6']);
  });

  it('are bound by a hash: that of the gate, or the file’s own', async () => {
    const path = pathOf(waiting.id, `/${list[1].id}/after`);
    for (const hash of [waiting.review.content_hash, list[1].after.sha256]) {
      expect((await read(`${path}?content_hash=${hash}`)).text).toBe('words\n');
    }
    expect(await code(`${path}?content_hash=${sha256('other')}`)).toEqual([409, 'content_changed']);
    expect((await code(`${path}?content_hash=other`))[0]).toBe(422);
    const moved = { decision: 'approve', content_hash: sha256('other') };
    expect((await pipeline.review(waiting.id, moved)).body.code).toBe('content_changed');
  });

  it('are shown only to those who may review', async () => {
    const { raw_key: key } = await service.createKey({ name: 'other' });
    for (const rest of ['', `/${list[1].id}/after`]) {
      expect(await code(pathOf(waiting.id, rest), key)).toEqual([404, 'not_found']);
    }
    const own = await pipeline.api.call('POST', '/api/v1/pipeline/tasks', {
      as: key,
      json: { user_input: 'x', pod_name: waiting.pod_name },
    });
    expect(await code(pathOf(own.body.task_id, ''), key)).toEqual([403, 'forbidden']);
  });

  it('are refused with the reason by a machine that has no tree of the task', async () => {
    const { task } = await writing('elsewhere.bin', 'a\u0000b');
    await rename(join(service.dataDir, 'trees', task.id), join(service.dataDir, task.id));
    const answer = await pipeline.api.call('GET', pathOf(task.id, ''), { as: 'admin' });
    expect([answer.status, answer.body.code, answer.headers.has('retry-after')]).toEqual([
      503,
      'tree_unavailable',
      true,
    ]);
    await rename(join(service.dataDir, task.id), join(service.dataDir, 'trees', task.id));
    expect(await pipeline.list(task.id, 'changes')).toMatchObject([{ path: 'elsewhere.bin', unseen: true }]);
    await pipeline.review(task.id, { decision: 'reject' });
  });

  it('are refused when they have changed since; once the task has ended their list stays, and their content is gone', async () => {
    const path = pathOf(waiting.id, `/${list[1].id}/after`);
    const home = join(service.dataDir, 'trees', waiting.id);
    await writeFile(
      join(
        home,
        (await readdir(home)).find((name) => name.startsWith('tree-'))!,
        list[1].path,
      ),
      'tampered',
    );
    expect(await code(path)).toEqual([409, 'content_changed']);
    expect((await pipeline.review(waiting.id, { decision: 'reject' })).status).toBe(200);
    expect(await code(path)).toEqual([410, 'gone']);
    expect(await pipeline.list(waiting.id, 'changes')).toEqual(list);
    const first = await pipeline.api.call('GET', pathOf(waiting.id, '?limit=1'), { as: 'admin' });
    expect(first.body).toEqual([list[0]]);
    const next = /<([^>]+)>/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    const second = await pipeline.api.call('GET', next, { as: 'admin' });
    expect([second.body, second.headers.get('link')]).toEqual([[list[1]], null]);
    expect((await pipeline.list(waiting.id, 'artifacts')).map(({ artifact_type: type }) => type)).toEqual([
      'pending_output',
    ]);
    const { raw_key: key } = await service.createKey({ name: 'another' });
    expect(await code(pathOf(waiting.id, ''), key)).toEqual([404, 'not_found']);
  });

  it('are listed of a task that completed, and are gone with one that ended before anybody was asked', async () => {
    const { task } = await writing('audited.txt', 'words\n');
    expect(task.status).toBe('complete');
    expect(await pipeline.list(task.id, 'changes')).toMatchObject([
      { path: 'audited.txt', change: 'added', after: { size: 6, encoding: 'utf-8' }, shown_whole: { guardrail: true } },
    ]);
    const { task: failed } = await writing('unasked.bin', 'a\u0000b', {}, { require_human_review: 'never' });
    expect(await code(pathOf(failed.id, ''))).toEqual([410, 'gone']);
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

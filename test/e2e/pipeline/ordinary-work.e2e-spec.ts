/** @needs bwrap */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';
import { PASSING, StageModels } from '../../support/stage-models.js';

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

it.each(['Quartet', 'Code Generation'])(
  'ordinary work stops in the seeded pod %s at no gate but for a new image',
  async (pod) => {
    const folder = pod.replace(' ', '-').toLowerCase();
    const picture = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').toString('base64');
    const lock = JSON.stringify(
      Array.from({ length: 30_000 }, (_, n) => ({ name: `package-${n}`, version: `1.${n}.0` })),
    );
    expect(lock.length).toBeGreaterThan(1_000_000);
    await mkdir(join(service.workspace, folder), { recursive: true });
    for (const name of ['edited.txt', 'old-name.txt']) {
      await writeFile(join(service.workspace, folder, name), 'one\ntwo\nthree\n');
    }
    const work: Record<string, { name: string; arguments: object }> = {
      edit: { name: 'edit_file', arguments: { path: `${folder}/edited.txt`, old: 'two', new: '2' } },
      lock: { name: 'write_file', arguments: { path: `${folder}/package-lock.json`, content: lock } },
      rename: { name: 'run_shell', arguments: { command: `mv ${folder}/old-name.txt ${folder}/new-name.txt` } },
      image: { name: 'run_shell', arguments: { command: `echo ${picture} | base64 -d > ${folder}/new.png` } },
    };
    const gates: Record<string, string[]> = {};
    for (const [name, call] of Object.entries(work)) {
      const model = models.model({ task: [{ tool_calls: [call] }, PASSING.task] });
      const id = await pipeline.submit(pod, { metadata: { model_override: model } });
      await pipeline.settled(id);
      const events = await pipeline.events(id);
      gates[name] = events.flatMap(({ type, data }) => (type === 'gate.opened' ? [String(data.kind)] : []));
      if (gates[name].length > 0) await pipeline.review(id, { decision: 'approve' });
      expect((await pipeline.settled(id, gates[name].length)).status).toBe('complete');
    }
    expect(gates).toEqual({ edit: [], lock: [], rename: [], image: ['unseen'] });
    expect((await readdir(join(service.workspace, folder))).sort()).toEqual([
      'edited.txt',
      'new-name.txt',
      'new.png',
      'package-lock.json',
    ]);
  },
);

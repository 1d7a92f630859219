import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cpSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import type { ModelCall } from '../../../src/modules/llm/index.js';
import { ToolRegistry, WorkTrees, type WorkTree } from '../../../src/modules/tools/index.js';
import { EditFileTool } from '../../../src/modules/tools/files/edit-file.tool.js';
import { ListDirTool } from '../../../src/modules/tools/files/list-dir.tool.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { ReadFileTool } from '../../../src/modules/tools/files/read-file.tool.js';
import { WriteFileTool } from '../../../src/modules/tools/files/write-file.tool.js';
import {
  runStage,
  type StageDeps,
  type StageFeedback,
  type StageInput,
  type StageOutputs,
} from '../../../src/modules/pipeline/stages/index.js';
import type { Role } from '../../../src/modules/pipeline/rules/task-status.js';
import { createLlm } from '../llm/llm-setup.js';
import { contextFor, scratch } from '../tools/sandbox-folder.js';

const SAMPLE = join(import.meta.dirname, '../../../src/demo/sample');

let folder: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: folder, remove } = await scratch());
});
afterEach(() => remove());

/** The stages with the scripted model, real file tools and a real work tree; `prompts` is what each role was shown. */
async function setup() {
  const workspace = join(folder, 'workspace');
  cpSync(SAMPLE, workspace, { recursive: true });
  const env = { NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data') };
  const trees = new WorkTrees(AppConfig.from(env));
  const registry = new ToolRegistry();
  const places = new Places(AppConfig.from(env));
  for (const FileTool of [ListDirTool, ReadFileTool, WriteFileTool, EditFileTool])
    registry.register(new FileTool(places));
  const { service } = createLlm(env);
  const tree: WorkTree = await trees.open('0196f2a4-7c1e-7000-8000-3b9d1f6a2c4e', 1);
  const prompts = new Map<Role, string[]>();
  const { signal } = new AbortController();
  const run = <R extends Role>(role: R, input: StageInput, allowed: readonly string[] | null) => {
    const deps: StageDeps = {
      llm: {
        call: (chain, call: ModelCall) => {
          prompts.set(role, [...(prompts.get(role) ?? []), JSON.stringify(call.prompt)]);
          return service.call(chain, call);
        },
      },
      chain: ['script/demo'],
      signal,
      maxContextTokens: 50_000,
      markKey: Buffer.alloc(32, 7),
      tools: { registry, allowed, context: contextFor(tree.root) },
      changedFiles: async () => (await trees.diff(tree)).files.map(({ path }) => path),
    };
    return runStage(role, input, deps);
  };
  const diff = async () => trees.diff(tree);
  const token = /ghp_\w+/.exec(await readFile(join(SAMPLE, 'config/provider.txt'), 'utf8'))?.[0] ?? '';
  return { run, diff, prompts, token };
}

describe('the five stages with the model in the box', () => {
  it('leak, are caught, repair, and pass; no judge is ever shown the secret', async () => {
    const { run, diff, prompts, token } = await setup();
    const reading = ['list_dir', 'read_file', 'search_codebase'];
    const earlier: Partial<StageOutputs> = {};
    const feedback: StageFeedback[] = [];
    const history: { blocked: boolean; verdict: string; files: string[] }[] = [];
    const request = 'Fix the discount of the shop: a percentage must be divided by 100.';
    const base = { taskId: 'task-1', request, systemPrompt: null };
    earlier.context = (await run('context', { ...base, iteration: 1, earlier, feedback, diff: null }, reading)).output;
    expect(earlier.context.relevant_files.length).toBeGreaterThan(0);

    for (let iteration = 1; iteration <= 5; iteration += 1) {
      const before = await diff();
      const input = { ...base, iteration, earlier: { ...earlier }, feedback: [...feedback] };
      earlier.task = (await run('task', { ...input, diff: before }, [...reading, 'write_file', 'edit_file'])).output;
      const judged = { ...input, earlier: { context: earlier.context, task: earlier.task }, diff: await diff() };
      const [guardrail, review] = await Promise.all([run('guardrail', judged, []), run('code_review', judged, [])]);
      history.push({
        blocked: guardrail.output.blocked,
        verdict: review.output.verdict,
        files: earlier.task.files_changed,
      });
      const { findings, summary } = guardrail.output;
      if (guardrail.output.blocked) feedback.push({ iteration, source: 'guardrail', summary, findings, issues: [] });
      if (review.output.verdict !== 'pass') {
        const { issues } = review.output;
        feedback.push({ iteration, source: 'code_review', summary: review.output.summary, findings: [], issues });
      }
      expect(JSON.stringify([guardrail.output, review.output])).not.toContain(token);
      if (!guardrail.output.blocked && review.output.verdict === 'pass') break;
    }
    expect(history[0]).toMatchObject({ blocked: true, verdict: 'needs_refactor', files: ['src/price.js'] });
    expect(history.at(-1)).toMatchObject({ blocked: false, verdict: 'pass', files: ['src/price.js'] });
    expect((await diff()).text).not.toContain(token);
    expect(prompts.get('guardrail')?.[0]).toContain('GitHub token');
    for (const role of ['guardrail', 'code_review'] as const)
      expect(prompts.get(role)?.join('\n')).not.toContain(token);

    const decision = await run(
      'decision',
      {
        ...base,
        iteration: history.length,
        earlier,
        feedback,
        diff: await diff(),
        flags: { guardrailBlocked: true, codeReviewRejected: false },
      },
      [],
    );
    expect(decision.output.action).toBe('escalate');
  });
});

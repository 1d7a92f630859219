import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import type { TaskExecution } from '../../../src/modules/pipeline/run/task-execution.js';
import { TaskTrees } from '../../../src/modules/pipeline/run/task-trees.js';
import type { StageEntry } from '../../../src/modules/pipeline/store/journal.repository.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { ReadFileTool } from '../../../src/modules/tools/files/read-file.tool.js';
import { ListDirTool } from '../../../src/modules/tools/files/list-dir.tool.js';
import { SearchCodebaseTool } from '../../../src/modules/tools/files/search-codebase.tool.js';
import { WriteFileTool } from '../../../src/modules/tools/files/write-file.tool.js';
import { ToolRegistry, WorkTrees, type ToolContext, type ToolResult } from '../../../src/modules/tools/index.js';
import { agentSnapshot, podSnapshot } from '../../support/pods.js';
import { executionOf, loadedTask, runningStage } from '../../support/tasks.js';
import { contextFor, scratch } from '../tools/sandbox-folder.js';

const ID = '0190a000-0000-7000-8000-000000000001';

let config: AppConfig;
let trees: WorkTrees;
let registry: ToolRegistry;
let taskTrees: TaskTrees;
let remove: () => Promise<void>;

beforeEach(async () => {
  const made = await scratch();
  remove = made.remove;
  config = AppConfig.from({ NOVA_WORKSPACE: join(made.path, 'workspace'), NOVA_DATA_DIR: join(made.path, 'data') });
  await mkdir(config.workspace);
  await writeFile(join(config.workspace, 'a.txt'), 'secret words\n');
  trees = new WorkTrees(config);
  registry = new ToolRegistry();
  for (const tool of [ReadFileTool, WriteFileTool, ListDirTool, SearchCodebaseTool]) {
    registry.register(new tool(new Places(config)));
  }
  taskTrees = new TaskTrees(trees, registry);
});
afterEach(() => remove());

/** One lease on a task whose agents hold `tools`; `recorded` is the journal of its unfinished task stage. */
function execution(epoch: number, tools: string[] | null, recorded: StageEntry[] = []): TaskExecution {
  const stage = runningStage('task');
  return executionOf(
    loadedTask({
      id: ID,
      epoch,
      pod: podSnapshot([agentSnapshot('task', 1, { allowedTools: tools })]),
      stages: [stage],
      journals: new Map(recorded.length === 0 ? [] : [[stage.id, recorded]]),
    }),
  );
}

function call(of: TaskExecution, name: string, args: object): Promise<ToolResult> {
  const signal = new AbortController().signal;
  const context: ToolContext = contextFor(config.workspace, { signal, ...taskTrees.forCalls(of, signal) });
  return registry.execute(name, JSON.stringify(args), null, context);
}

const made = (): Promise<string[]> => readdir(join(config.dataDir, 'trees')).catch(() => []);

describe('the work tree of a task', () => {
  it('is not made for reading, in the task or in a pod that cannot write', async () => {
    for (const tools of [null, ['read_file']]) {
      const task = execution(1, tools);
      expect(await taskTrees.open(task)).toBeNull();
      expect((await call(task, 'read_file', { path: 'a.txt' })).text).toContain('secret words');
      expect(await taskTrees.changedPaths(task)).toEqual(tools === null ? [] : null);
    }
    expect(await made()).toEqual([]);
  });

  it('is made by the first call that may write, once for calls at the same time', async () => {
    const task = execution(1, null);
    await taskTrees.open(task);
    await call(task, 'read_file', { path: 'a.txt' });
    const writes = ['b.txt', 'c.txt', 'd.txt'].map((path) => call(task, 'write_file', { path, content: 'x' }));
    for (const written of await Promise.all(writes)) expect(written).toMatchObject({ inTree: true });
    expect(await made()).toEqual([ID]);
    expect(await taskTrees.changedPaths(task)).toEqual(['b.txt', 'c.txt', 'd.txt']);
    expect((await call(task, 'read_file', { path: 'b.txt' })).text).toContain('x');
    expect(await readdir(config.workspace)).toEqual(['a.txt']);
  });

  it('is not replaced by reading what is ignored in the workspace', async () => {
    await writeFile(join(config.workspace, '.gitignore'), 'private/\n');
    await mkdir(join(config.workspace, 'private'));
    await writeFile(join(config.workspace, 'private/key'), 'secret words\n');
    execFileSync('git', ['init', '-q'], { cwd: config.workspace });
    const task = execution(1, null);
    await taskTrees.open(task);
    expect((await call(task, 'read_file', { path: 'private/key' })).isError).toBe(true);
    const found = (await call(task, 'search_codebase', { pattern: 'secret' })).text;
    expect([found.includes('a.txt:1'), found.includes('private')]).toEqual([true, false]);
    expect((await call(task, 'search_codebase', { pattern: 'secret', path: 'private' })).isError).toBe(true);
    expect((await call(task, 'list_dir', { path: '.', recursive: true })).text).not.toContain('private');
    expect(await made()).toEqual([]);
  });

  it('is found again by the next lease, with what it held', async () => {
    const task = execution(1, null);
    await taskTrees.open(task);
    await call(task, 'write_file', { path: 'b.txt', content: 'x' });
    const next = execution(2, null);
    expect(await taskTrees.open(next)).toBeNull();
    expect(next.tree?.epoch).toBe(2);
    expect((await call(task, 'write_file', { path: 'late.txt', content: 'x' })).isError).toBe(true);
    expect(await taskTrees.changedPaths(next)).toEqual(['b.txt']);
  });

  it('is not one that an earlier lease makes after it lost the task', async () => {
    const [frozen, next] = [execution(1, null), execution(2, null)];
    await taskTrees.open(frozen);
    await taskTrees.open(next);
    await call(frozen, 'write_file', { path: 'late.txt', content: 'x' });
    await call(next, 'write_file', { path: 'b.txt', content: 'x' });
    expect(await taskTrees.changedPaths(next)).toEqual(['b.txt']);
    await expect(call(execution(1, null), 'read_file', { path: 'a.txt' })).resolves.toMatchObject({});
    await expect(taskTrees.changedPaths(frozen)).rejects.toThrow('epoch');
    await expect(trees.openFresh(ID, 1)).rejects.toThrow('epoch');
  });

  it('is lost when it is gone with the effects of recorded calls, and not when nothing was done in it', async () => {
    const result = { kind: 'result', seq: 1, callId: 'c', text: '', isError: false, durationMs: 1 } as const;
    expect(await taskTrees.open(execution(2, null, [{ ...result, inTree: true }]))).toMatchObject({
      code: 'work_tree_lost',
    });
    expect(await taskTrees.open(execution(2, null, [result]))).toBeNull();
  });

  it('ends the task with the reason when it cannot be made', async () => {
    await rm(join(config.workspace, 'a.txt'));
    execFileSync('mkfifo', [join(config.workspace, '.gitignore')]);
    execFileSync('git', ['init', '-q'], { cwd: config.workspace });
    const task = execution(1, null);
    await taskTrees.open(task);
    for (const [name, args] of [
      ['read_file', { path: 'a.txt' }],
      ['write_file', { path: 'a.txt', content: 'x' }],
    ] as const) {
      await expect(call(task, name, args)).rejects.toMatchObject({
        name: 'TreeUnavailableError',
        cause: { code: 'workspace_unreadable' },
      });
    }
    expect(await made()).toEqual([]);
  });
});

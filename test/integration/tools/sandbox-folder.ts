import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ToolContext } from '../../../src/modules/tools/index.js';

/** A fresh folder for one test, and what removes it. */
export async function scratch(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'nova-tools-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The context of a call that may touch `root`. */
export function contextFor(root: string, more: Partial<ToolContext> = {}): ToolContext {
  return {
    root,
    tier: 'workspace',
    network: false,
    owner: 'admin',
    signal: new AbortController().signal,
    work: { kind: 'task', id: 'task' },
    ...more,
  };
}

import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { RecordedContent } from './recorded-content.js';
import { contentHash, describeChanges, type Difference } from './tree-diff.js';

const empty = { read: async () => Buffer.alloc(0) } as unknown as RecordedContent;
const added = (path: string): Difference =>
  ({ path, before: null, after: { type: 'file', size: 0, sha256: 'e3b0' } }) as unknown as Difference;

describe('the description of many changes', () => {
  it('is bounded in bytes, also of names, and lists what it does not name as not shown', async () => {
    const changes = Array.from({ length: 3_000 }, (_, index) => added(`${'long/'.repeat(740)}${index}`));
    const diff = await describeChanges(empty, empty, { changes, traps: null });
    expect(diff.text.length).toBeLessThan(2 * 2 ** 20);
    expect(diff.text).toMatch(/\n\d+ more changed files are not named here\.\n$/);
    expect(diff.files).toHaveLength(3_000);
    const named = new Set(diff.notShown.map(({ path }) => path));
    const unnamed = changes.filter(({ path }) => !diff.text.includes(` b/${path}\n`));
    expect(unnamed.length).toBeGreaterThan(2_000);
    expect(unnamed.every(({ path }) => named.has(path))).toBe(true);
  });

  it('has the hash that it always had', () => {
    const changes = ['a', 'b "quoted"', 'ä'].map(added);
    const stable = changes.map(({ path, after }) => [path, null, after && [after.type, after.sha256]]);
    for (const count of [0, 1, 3]) {
      const text = JSON.stringify(stable.slice(0, count));
      expect(contentHash(changes.slice(0, count))).toBe(createHash('sha256').update(text).digest('hex'));
    }
  });

  it('looks for a least difference beside the event loop, and stops with its caller', async () => {
    const [before, after] = [1, 2].map((step) => {
      const lines = Array.from({ length: 20_000 }, (_, line) =>
        line % 30 === 0 ? `${line * step} changed` : `${line}`,
      );
      return { read: async () => Buffer.from(lines.join('\n')) } as unknown as RecordedContent;
    });
    if (before === undefined || after === undefined) throw new Error('unreachable');
    const record = (sha256: string) => ({ type: 'file', size: 1, sha256 });
    const changes = [{ path: 'f', before: record('a'), after: record('b') }] as unknown as Difference[];
    const { lineHunks } = await import('./hunks.js');
    const text = async (content: RecordedContent): Promise<string> => String(await content.read('f', null as never));
    const expected = lineHunks({ before: await text(before), after: await text(after) });
    expect(expected.length).toBeGreaterThan(2_000);
    let turns = 0;
    const turning = setInterval(() => (turns += 1), 1);
    try {
      const diff = await describeChanges(before, after, { changes, traps: null });
      expect(diff.text.endsWith(`${expected.join('\n')}\n`)).toBe(true);
      expect(turns).toBeGreaterThan(3);
    } finally {
      clearInterval(turning);
    }
    const cancelled = AbortSignal.abort(new Error('cancelled'));
    await expect(describeChanges(before, after, { changes, traps: null }, cancelled)).rejects.toThrow('cancelled');
  });
});

import { describe, expect, it } from '@jest/globals';
import { estimateTokens, type OfferedTool } from '../llm/index.js';
import { OfferedTools, SEARCH_TOOLS } from './offered-tools.js';

const tool = (name: string, description = 'x'.repeat(400)): OfferedTool => ({
  name,
  description,
  inputSchema: { type: 'object', properties: {} },
});
const builtin = ['read_file', 'write_file', 'run_shell'].map((name) => tool(name, 'A tool of the service.'));
const many = (count: number, description?: string): OfferedTool[] =>
  Array.from({ length: count }, (_, i) => tool(`mcp__s${i % 3}__tool_${i}`, description));
const tokens = (tools: readonly OfferedTool[]): number => estimateTokens(JSON.stringify(tools));
const names = (tools: readonly OfferedTool[]): string[] => tools.map(({ name }) => name);
const search = (shelf: OfferedTools, query: unknown): string => shelf.search(JSON.stringify({ query })).text;

describe('tools that all fit', () => {
  it('are all offered, in their order, and nothing else', () => {
    const shelf = new OfferedTools([...builtin, ...many(5)], 100_000);
    expect(shelf.list).toEqual([...builtin, ...many(5)]);
    expect(shelf.leftOut).toEqual([]);
  });
});

describe('tools that do not all fit', () => {
  it.each([
    ['for their tokens', 60, 8_192, undefined],
    ['for their places', 150, 1_000_000, undefined],
    ['in a small context', 60, 1_024, undefined],
    ['for both', 5_000, 32_768, 'x'.repeat(2_000)],
  ])('leave a search tool and room, %s', (_what, count, context, description) => {
    const all = [...builtin, ...many(count, description)];
    const shelf = new OfferedTools(all, context);
    const first = shelf.list;
    expect(names(first)).toContain(SEARCH_TOOLS);
    expect(names(first)).toContain('read_file');
    expect(names(first).slice(0, -1)).toEqual(names(all).slice(0, first.length - 1));
    expect(shelf.leftOut).toEqual(names(all).slice(first.length - 1));
    for (const name of shelf.leftOut.slice(0, 300)) {
      search(shelf, name);
      if (tokens([tool('x', description)]) < context / 30) expect(names(shelf.list)).toContain(name);
      expect(shelf.list.length).toBeLessThanOrEqual(128);
      expect(tokens(shelf.list)).toBeLessThanOrEqual(context / 4);
      expect(shelf.list.slice(0, first.length)).toEqual(first);
    }
  });

  it('are found by words, by server and by name, the best first, and appended', () => {
    const all = [
      ...builtin,
      ...many(200),
      tool('mcp__git__create_issue', 'Opens an issue.'),
      tool('mcp__git__list', 'Lists issues.'),
    ];
    const shelf = new OfferedTools(all, 32_768);
    const before = names(shelf.list);
    expect(search(shelf, 'create an issue')).toMatch(
      /can be called[^]*- mcp__git__create_issue: Opens[^]*found[^]*mcp__git__list/,
    );
    expect(names(shelf.list).slice(0, before.length)).toEqual(before);
    expect(names(shelf.list)[before.length]).toBe('mcp__git__create_issue');
    const loaded = names(shelf.list);
    search(shelf, 'mcp__s1__tool_199, mcp__git__list');
    expect(names(shelf.list).slice(0, loaded.length)).toEqual(loaded);
    expect(search(shelf, 'zzzz')).toMatch(/No further tool matches\. There are .*of s0/);
    expect(shelf.search('{"query":" "}')).toMatchObject({ isError: true });
    expect(shelf.search('{')).toMatchObject({ isError: true });
  });

  it('makes room by what was loaded first, and says so', () => {
    const shelf = new OfferedTools([...builtin, ...many(60)], 8_192);
    const [first] = shelf.leftOut;
    search(shelf, first);
    let text = '';
    for (const name of shelf.leftOut.slice(1)) if (names(shelf.list).includes(first ?? '')) text = search(shelf, name);
    expect(text).toContain(`put away again: ${first}`);
  });
});

import { expect, it } from '@jest/globals';
import { SANDBOX_TIERS } from '../../config/index.js';
import { ToolRegistry } from '../tools/index.js';
import { hasOwnTree, turnRights } from './turn-rights.js';

const AGENT = { config: { tools: ['files', 'run_shell'] } } as Parameters<typeof turnRights>[2];
const TURN = { id: 'turn', signal: new AbortController().signal };
const registry = new ToolRegistry();
const rights = (
  sandbox: (typeof SANDBOX_TIERS)[number],
  request: Parameters<typeof turnRights>[3],
): ReturnType<typeof turnRights> => turnRights({ workspace: '/w', sandbox }, registry, AGENT, request, TURN);

it('a turn has its agent’s tools in the service’s tier', () => {
  expect(rights('nova', { owner: 'key:1' })).toEqual({
    allowed: ['files', 'run_shell'],
    context: {
      root: '/w',
      tier: 'nova',
      network: false,
      owner: 'key:1',
      signal: TURN.signal,
      work: { kind: 'turn', id: 'turn' },
      depth: 0,
      ancestors: [],
    },
  });
});

it('the host tier is the admin’s', () => {
  expect(rights('host', { owner: 'admin' }).context).toMatchObject({ tier: 'host', network: true });
  for (const owner of ['anonymous', 'key:1']) {
    expect(rights('host', { owner }).context).toMatchObject({ tier: 'workspace', network: false });
  }
});

it.each(SANDBOX_TIERS)('what a tool starts in the tier %s gets no more than its caller', (tier) => {
  for (const sandbox of SANDBOX_TIERS) {
    const tree = { root: null, open: async () => '/made', shows: async () => null };
    const inherited = { depth: 2, allowed: ['files'], root: '/tree', tree, tier };
    const { allowed, context } = rights(sandbox, { owner: 'admin', inherited });
    expect(allowed).toEqual(['files']);
    expect(context).toMatchObject({ depth: 2, root: '/tree' });
    expect(context.tree).toBe(tree);
    expect(SANDBOX_TIERS.indexOf(context.tier)).toBeLessThanOrEqual(SANDBOX_TIERS.indexOf(tier));
    expect(SANDBOX_TIERS.indexOf(context.tier)).toBeLessThanOrEqual(SANDBOX_TIERS.indexOf(sandbox));
  }
});

it('a turn that may write has a tree of its own, unless it was started by a tool or has no files', () => {
  const writing = { holdsWriting: (allowed: unknown) => allowed !== null && (allowed as string[]).includes('files') };
  const has = (sandbox: (typeof SANDBOX_TIERS)[number], request: Parameters<typeof turnRights>[3]): boolean =>
    hasOwnTree(writing, request, rights(sandbox, request));
  const owner = 'key:1';
  expect([has('workspace', { owner }), has('nova', { owner }), has('host', { owner })]).toEqual([true, true, true]);
  expect(has('isolated', { owner })).toBe(false);
  const inherited = { depth: 1, root: '/w', tier: 'workspace' } as const;
  expect(has('workspace', { owner, inherited: { ...inherited, allowed: ['files'] } })).toBe(false);
  expect(hasOwnTree(writing, {}, { ...rights('workspace', { owner }), allowed: ['run_shell'] })).toBe(false);
});

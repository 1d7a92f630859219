import { describe, expect, it } from '@jest/globals';
import type { Finding } from './finding.js';
import { mergeFindings } from './merge-findings.js';

const RULE: Finding = {
  type: 'credential_leak',
  severity: 'critical',
  description: 'The work holds a credential: GitHub token.',
  evidence: 'src/a.ts:12 [GitHub token "ghp_…" #4aa14332]',
  deterministic: true,
  fingerprint: 'f',
};
const leak = (evidence: string) => ({
  type: 'credential_leak' as const,
  severity: 'low' as const,
  description: 'A token.',
  evidence,
});

describe('merging findings', () => {
  it('drops what a rule found already, by its mask or its place', () => {
    const merged = mergeFindings(
      [RULE],
      [leak('see #4aa14332]'), leak('at src/a.ts:12'), leak('the same [GitHub token "ghp_…" #4aa14332]')],
    );
    expect(merged).toEqual([RULE]);
  });

  it('keeps what says something else, once', () => {
    const merged = mergeFindings(
      [RULE],
      [leak('src/b.ts:3'), leak('SRC/b.ts:3 '), leak('src/a.ts:120'), { ...leak('src/a.ts:12'), type: 'spec_drift' }],
    );
    expect(merged.map(({ type, evidence, deterministic }) => [type, evidence, deterministic])).toEqual([
      ['credential_leak', RULE.evidence, true],
      ['credential_leak', 'src/b.ts:3', false],
      ['credential_leak', 'src/a.ts:120', false],
      ['spec_drift', 'src/a.ts:12', false],
    ]);
  });
});

import { expect, it } from '@jest/globals';
import { toldConflicts, toldTraps } from './told-publication.js';

it('tells each cause with its paths, the first few by name', () => {
  const version = null;
  expect(toldConflicts([])).toBe('');
  expect(
    toldConflicts([
      { path: 'a', causes: ['changed'], version },
      { path: 'b', causes: ['link_leads_out', 'changed'], version },
    ]),
  ).toBe('The workspace changed meanwhile: a, b. A link leads out of the workspace or into .git: b.');
  const many = Array.from({ length: 22 }, (_, n) => ({ path: `f${n}`, causes: ['in_the_way' as const], version }));
  expect(toldConflicts(many)).toMatch(/^Something that no file replaces stands in the way: f0, .*, f19 and 2 more\.$/);
});

it('names nothing that ends a line, is not seen, or is too long', () => {
  expect(toldTraps([{ path: 'a\nb/.git', kind: 'git_entry' }], 1)).toBe('"a\\nb/.git" (a .git)');
  expect(toldTraps([{ path: 'x'.repeat(4_000), kind: 'submodule' }], 3)).toBe(
    `${'x'.repeat(300)}… (submodules) and 2 more`,
  );
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODULES = ['auth', 'llm', 'tools', 'mcp', 'loop', 'agents', 'tasks', 'chat', 'pods', 'pipeline'];

/** What each room of the pipeline may not import, written out: the config derives it. */
const HIDDEN: Record<string, string[]> = {
  rules: ['guardrail', 'stages', 'store', 'run', 'worker', 'views', 'commands', 'http'],
  guardrail: ['stages', 'store', 'run', 'worker', 'views', 'commands', 'http'],
  stages: ['store', 'run', 'worker', 'views', 'commands', 'http'],
  store: ['run', 'worker', 'views', 'commands', 'http'],
  run: ['worker', 'views', 'commands', 'http'],
  worker: ['views', 'commands', 'http'],
  views: ['run', 'worker', 'commands', 'http'],
  commands: ['worker', 'http'],
};

interface Planted {
  rule: string;
  from: string;
  to: string;
}

const PLANTED: Planted[] = [
  ...Object.entries(HIDDEN).flatMap(([room, hidden]) =>
    hidden.map((other) => ({
      rule: `pipeline-${room}-knows-only-rooms-below`,
      from: `src/modules/pipeline/${room}/knows-${other}.ts`,
      to: `src/modules/pipeline/${other}/thing.ts`,
    })),
  ),
  ...MODULES.slice(0, -1).map((name, index) => ({
    rule: `${name}-imports-only-lower-modules`,
    from: `src/modules/${name}/upward.ts`,
    to: `src/modules/${MODULES[index + 1]}/index.ts`,
  })),
  {
    rule: 'pipeline-module-assembles-its-rooms',
    from: 'src/modules/pipeline/rules/up.ts',
    to: 'src/modules/pipeline/pipeline.module.ts',
  },
  { rule: 'no-cycles', from: 'src/modules/auth/one.ts', to: 'src/modules/auth/two.ts' },
  { rule: 'modules-only-through-their-index', from: 'src/modules/chat/in.ts', to: 'src/modules/auth/inner.ts' },
  { rule: 'platform-only-through-its-index', from: 'src/modules/chat/deep.ts', to: 'src/platform/clock/clock.ts' },
  { rule: 'platform-and-config-know-no-module', from: 'src/platform/clock/up.ts', to: 'src/modules/auth/index.ts' },
  { rule: 'config-knows-nothing', from: 'src/config/up.ts', to: 'src/platform/clock/clock.ts' },
  { rule: 'the-demo-is-a-client', from: 'src/demo/in.ts', to: 'src/platform/clock/clock.ts' },
  { rule: 'sql-only-in-repositories', from: 'src/modules/auth/some.service.ts', to: 'src/platform/database/sql.ts' },
  {
    rule: 'repositories-know-nothing-of-http',
    from: 'src/modules/auth/keys.repository.ts',
    to: 'src/platform/http/index.ts',
  },
  {
    rule: 'repositories-know-nothing-of-http',
    from: 'src/modules/pipeline/views/shown.repository.ts',
    to: 'src/modules/pipeline/http/thing.ts',
  },
  {
    rule: 'paging-and-database-know-nothing-of-http',
    from: 'src/platform/paging/up.ts',
    to: 'src/platform/http/index.ts',
  },
  { rule: 'pg-only-in-the-database', from: 'src/modules/auth/pg.ts', to: 'node_modules/pg/index.ts' },
  { rule: 'ioredis-only-in-redis', from: 'src/modules/auth/redis.ts', to: 'node_modules/ioredis/index.ts' },
];

let folder: string;
let found: Set<string>;
let rules: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rooms-'));
  const files = new Map<string, string>();
  const specifier = (from: string, to: string): string => {
    const up = '../'.repeat(from.split('/').length - 1);
    return `${up}${to.replace(/\.ts$/, '.js')}`;
  };
  for (const { from, to } of PLANTED) {
    files.set(from, `import { thing } from '${specifier(from, to)}';\nexport const planted = thing;\n`);
    if (!files.has(to)) files.set(to, 'export const thing = 1;\n');
  }
  files.set('src/modules/auth/two.ts', "import { planted } from './one.js';\nexport const thing = planted;\n");
  files.set('tsconfig.json', '{ "compilerOptions": { "module": "nodenext", "target": "es2022" } }');
  files.set('package.json', '{ "type": "module" }');
  for (const [path, text] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const depcruise = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const config = join(ROOT, '.dependency-cruiser.mjs');
  const { stdout } = await execa(process.execPath, [depcruise, 'src', '--config', config, '--output-type', 'json'], {
    cwd: folder,
    reject: false,
  });
  const { summary } = JSON.parse(stdout) as {
    summary: {
      violations: { rule: { name: string }; from: string; to: string }[];
      ruleSetUsed: { forbidden: { name: string }[] };
    };
  };
  rules = summary.ruleSetUsed.forbidden.map(({ name }) => name);
  found = new Set(summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('an import against the order of the rooms', () => {
  it.each(PLANTED)('$rule finds $from', ({ rule, from, to }) => {
    expect([...found]).toContain(`${rule}: ${from} -> ${to}`);
  });

  it('is planted for every rule', () => {
    expect(rules.length).toBeGreaterThan(20);
    expect(rules.filter((name) => !PLANTED.some(({ rule }) => rule === name))).toEqual([]);
  });
});

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { temporaryFolder, type TemporaryFolder } from '../../../support/servers/index.js';
import { ROOT } from '../connection-setup.js';
import { examined, type ScenarioContext } from './client.js';

const execute = promisify(execFile);
const HERE = dirname(fileURLToPath(import.meta.url));
const SUITE = join(ROOT, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
const SCENARIO_MS = 75_000;

const SCENARIOS = [
  ['initialize', '2025-06-18'],
  ['initialize', '2025-11-25'],
  ['tools_call', '2025-06-18'],
  ['tools_call', '2025-11-25'],
  ['tools_call', '2026-07-28'],
  ['sse-retry', '2025-11-25'],
  ['request-metadata', '2026-07-28'],
  ['http-standard-headers', '2026-07-28'],
  ['http-custom-headers', '2026-07-28'],
  ['http-invalid-tool-headers', '2026-07-28'],
  ['json-schema-ref-no-deref', '2026-07-28'],
  ['json-schema-2020-12-preservation', '2025-11-25'],
  ['json-schema-2020-12-preservation', '2026-07-28'],
] as const;

const NO_INPUT = 'needs answers to questions of the server (elicitation), which nobody is there to give';
const NO_OAUTH = 'needs the OAuth authorization flow; a server is given its credential in `headers`';
const NO_SKILLS = 'needs the skills extension, which no tool of a server is';
/** Scenarios by the start of their names, and why they are not for this client. */
const OUTSIDE: Record<string, string> = {
  'elicitation-sep1034-client-defaults': NO_INPUT,
  'sep-2322-client-request-state': NO_INPUT,
  'auth/': NO_OAUTH,
  'sep-2640-': NO_SKILLS,
};

interface Check {
  id: string;
  status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  errorMessage?: string;
}

let folder: TemporaryFolder;
/** Where the process that the suite starts as the client has its work done. */
let client: Server;
beforeAll(async () => {
  folder = temporaryFolder();
  client = createServer((request, response) => {
    void (async () => {
      const { url, context } = JSON.parse(await text(request)) as { url: string; context: ScenarioContext };
      const { connected, said } = await examined(url, context);
      response.writeHead(connected ? 200 : 500).end(said);
    })().catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await once(client.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => {
  client.close();
  folder.remove();
});

async function suite(...args: string[]): Promise<string> {
  const command = ['--import', join(HERE, 'glob-sync.mjs'), SUITE, ...args];
  const { stdout } = await execute(process.execPath, command, { cwd: folder.path, timeout: 2 * SCENARIO_MS });
  return stdout;
}

/** The checks of one run, whether or not the suite counts it as passed, and what the client said. */
async function checksOf(scenario: string, version: string): Promise<{ checks: Check[]; said: string }> {
  const output = join(folder.path, `${scenario}-${version}`);
  const options = ['--scenario', scenario, '--spec-version', version, '--timeout', String(SCENARIO_MS)];
  const { port } = client.address() as AddressInfo;
  const command = `${process.execPath} ${join(HERE, 'relay.mjs')} http://127.0.0.1:${port}/`;
  await suite('client', '--command', command, ...options, '--output-dir', output).catch(() => undefined);
  const [run = ''] = readdirSync(output);
  const read = (name: string): string => readFileSync(join(output, run, name), 'utf8');
  return { checks: JSON.parse(read('checks.json')) as Check[], said: read('stdout.txt') + read('stderr.txt') };
}

describe('the conformance suite of the protocol', () => {
  it.each(SCENARIOS)('finds no fault: %s of %s', async (scenario, version) => {
    const { checks, said } = await checksOf(scenario, version);
    const faults = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
    expect({ faults, said: faults.length > 0 ? said : '' }).toEqual({ faults: [], said: '' });
    expect(checks.filter(({ status }) => status === 'SUCCESS').length).toBeGreaterThan(0);
  });

  it('has no other scenario for clients but those that are outside of what this one does', async () => {
    const names = [...(await suite('list', '--client')).matchAll(/^ {2}- (\S+)/gm)].map(([, name]) => name ?? '');
    expect(names.length).toBeGreaterThan(SCENARIOS.length);
    const run = new Set<string>(SCENARIOS.map(([name]) => name));
    const outside = (name: string): boolean => Object.keys(OUTSIDE).some((start) => name.startsWith(start));
    expect(names.filter((name) => !run.has(name) && !outside(name))).toEqual([]);
  });

  it('sees that a question of the server is answered with nothing and named as the reason', async () => {
    const { checks, said } = await checksOf('sep-2322-client-request-state', '2026-07-28');
    const passed = checks.filter(({ status }) => status === 'SUCCESS').map(({ id }) => id);
    expect(passed).toContain('sep-2322-client-parallel-isolation');
    expect(passed).toContain('sep-2322-default-result-type-complete');
    expect(said).toContain('it asked for input, which nobody here gives');
  });
});

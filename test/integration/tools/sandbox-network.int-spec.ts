/** @needs bwrap */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import { checkedLookup, urlFault } from '../../../src/platform/egress/index.js';
import { Egress } from '../../../src/modules/tools/sandbox/egress.js';
import { Sandbox, type BoxResult } from '../../../src/modules/tools/sandbox/sandbox.js';
import { scratch } from './sandbox-folder.js';

/** What names lead to in these tests; loopback stands for a public address where `Open` is used. */
const NAMES: Record<string, string[]> = {
  'public.test': ['127.0.0.1'],
  'private.test': ['10.0.0.1'],
  'mixed.test': ['93.184.216.34', '127.0.0.1'],
};
const resolve: Parameters<typeof checkedLookup>[1] = (name, _, callback) => {
  const addresses = NAMES[name];
  if (addresses === undefined) return callback(Object.assign(new Error('unknown'), { code: 'ENOTFOUND' }), []);
  callback(
    null,
    addresses.map((address) => ({ address, family: 4 })),
  );
};

/** As the real one, with names of ours. */
class NamedEgress extends Egress {
  protected override readonly lookup = checkedLookup(false, resolve);
}

/** Takes loopback for public, so that a connection can be seen to arrive. */
class OpenEgress extends Egress {
  protected override readonly lookup = checkedLookup(true, resolve);
  protected override fault(url: URL): string | null {
    return urlFault(url, true);
  }
}

let workspace: string;
let remove: () => Promise<void>;
let canary: Server;
let port: number;
let reached = 0;
const egresses: Egress[] = [];
const sandboxes: Record<string, Sandbox> = {};

beforeAll(async () => {
  const made = await scratch();
  remove = made.remove;
  workspace = join(made.path, 'workspace');
  mkdirSync(workspace);
  const config = AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(made.path, 'data') });
  egresses.push(new NamedEgress(config), new OpenEgress(config));
  sandboxes['real'] = new Sandbox(config, egresses[0]);
  sandboxes['open'] = new Sandbox(config, egresses[1]);
  canary = createServer((request, reply) => reply.end(`${request.method} ${request.url} ${request.headers.host}`));
  canary.on('connection', () => reached++);
  await new Promise<void>((listening) => canary.listen(0, listening));
  const address = canary.address();
  port = typeof address === 'object' && address ? address.port : 0;
});
afterAll(async () => {
  for (const egress of egresses) await egress.onApplicationShutdown();
  canary.closeAllConnections();
  await new Promise((closed) => canary.close(closed));
  await remove();
});

/** Runs a program of Node's in a box with the network. `ask(method, target)` speaks to the proxy. */
function run(sandbox: string, program: string): Promise<BoxResult> {
  const prelude = `
    const net = require('node:net');
    const ask = (first) => new Promise((done) => {
      const socket = net.connect(3128, '127.0.0.1', () => socket.write(first + '\\r\\n\\r\\n'));
      let text = '';
      socket.on('data', (chunk) => { text += chunk; });
      for (const event of ['end', 'error', 'close']) socket.on(event, () => done(text));
      setTimeout(() => done(text), 15_000).unref();
    });`;
  const box = sandboxes[sandbox];
  if (box === undefined) throw new Error(sandbox);
  return box.run(
    {
      tier: 'workspace',
      network: true,
      root: workspace,
      command: ['/run/nova/node', '-e', `${prelude}(async () => {${program}})()`],
    },
    { owner: 'test', timeoutMs: 120_000, signal: new AbortController().signal },
  );
}

describe('a box with the network', () => {
  it('reaches what is public, by request and by tunnel, through the proxy alone', async () => {
    const before = reached;
    const result = await run(
      'open',
      `console.log(await ask('GET http://public.test:${port}/a HTTP/1.1\\r\\nhost: public.test:${port}\\r\\nproxy-authorization: x\\r\\nconnection: close'));
       const tunnel = net.connect(3128, '127.0.0.1', () => tunnel.write('CONNECT public.test:${port} HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n'));
       tunnel.once('data', (first) => {
         console.log(String(first));
         tunnel.write('GET /b HTTP/1.1\\r\\nhost: inside\\r\\nconnection: close\\r\\n\\r\\n');
         tunnel.on('data', (chunk) => console.log(String(chunk)));
       });
       tunnel.on('close', () => process.exit(7));`,
    );
    expect(result.output).toContain(`GET /a public.test:${port}`);
    expect(result.output).toContain('200 Connection established');
    expect(result.output).toContain('GET /b inside');
    expect(result).toMatchObject({
      exitCode: 7,
      boundary: 'sandbox workspace, network through a proxy to public addresses',
    });
    expect(reached - before).toBe(2);
  });

  it('has no other way out', async () => {
    const before = reached;
    const result = await run(
      'open',
      `for (const host of ['127.0.0.1', '192.0.2.1']) {
         await new Promise((done) => {
           const socket = net.connect(${port}, host, () => { console.log('ESCAPED'); done(); });
           socket.on('error', done);
         });
       }
       console.log(require('node:fs').readFileSync('/proc/net/dev', 'utf8').match(/:/g).length === 1 ? 'only loopback' : 'ESCAPED');`,
    );
    expect(result.output).toBe('only loopback\n');
    expect(reached).toBe(before);
  });

  const TARGETS = [
    'localhost:PORT',
    '127.0.0.1:PORT',
    '127.1:PORT',
    '2130706433:PORT',
    '0x7f.1:PORT',
    '017700000001:PORT',
    '0.0.0.0:PORT',
    '[::1]:PORT',
    '[::ffff:127.0.0.1]:PORT',
    '[::ffff:7f00:1]:PORT',
    '[64:ff9b::7f00:1]:PORT',
    '[2002:7f00:1::]:PORT',
    '[::]:PORT',
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '10.0.0.1',
    '192.168.0.1',
    '172.16.0.1',
    '100.64.0.1',
    'private.test',
    'mixed.test:PORT',
    'public.test:PORT',
    'unknown.test',
    'user@127.0.0.1:PORT',
    'x:y@public.test:PORT',
    'LOCALHOST.:PORT',
  ];

  it.each(['real', 'open'])('is refused private addresses by the rules of the %s egress', async (kind) => {
    const before = reached;
    const targets = kind === 'real' ? TARGETS : ['169.254.169.254', '[64:ff9b::7f00:1]:PORT', 'user@127.0.0.1:PORT'];
    const list = JSON.stringify(targets.map((target) => target.replace('PORT', `${port}`)));
    const result = await run(
      kind,
      `for (const target of ${list}) {
         const [got] = (await ask('GET http://' + target + '/ HTTP/1.1\\r\\nhost: x\\r\\nconnection: close')).split('\\r\\n');
         const [tunnel] = (await ask('CONNECT ' + target + (/:\\d+$/.test(target) ? '' : ':80') + ' HTTP/1.1\\r\\nhost: x')).split('\\r\\n');
         console.log(target, '|', got.slice(0, 12), '|', tunnel.slice(0, 12));
       }`,
    );
    const lines = result.output.trim().split('\n');
    expect(lines).toHaveLength(targets.length);
    // What is no address at all is turned away before it is asked for anything.
    for (const line of lines) expect(line).toMatch(/\| (HTTP\/1\.1 40[03])? ?\| (HTTP\/1\.1 40[03])?$/);
    expect(reached).toBe(before);
  });

  it('is shown to be able to reach this machine where the rules allow it: the rig works', async () => {
    const before = reached;
    const result = await run(
      'open',
      `console.log(await ask('GET http://127.0.0.1:${port}/ HTTP/1.1\\r\\nhost: x\\r\\nconnection: close'))`,
    );
    expect(result.output).toContain('200 OK');
    expect(reached - before).toBe(1);
  });

  it('survives what is no request', async () => {
    const result = await run(
      'real',
      `for (const first of ['\\0\\xff', 'GET / HTTP/1.1', 'GET file:///etc/passwd HTTP/1.1', 'GET https://public.test/ HTTP/1.1', 'CONNECT / HTTP/1.1', 'CONNECT x HTTP/1.1', 'CONNECT public.test:99999 HTTP/1.1']) await ask(first + '\\r\\nhost: x\\r\\nconnection: close');
       console.log((await ask('GET http://10.0.0.1/ HTTP/1.1\\r\\nhost: x\\r\\nconnection: close')).split('\\r\\n')[0]);`,
    );
    expect(result.output).toBe('HTTP/1.1 403 Forbidden\n');
  });
});

describe('the proxy', () => {
  let folder: string;
  let egress: Egress;
  beforeEach(async () => {
    folder = (await scratch()).path;
  });
  afterEach(async () => {
    await egress.onApplicationShutdown();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One whose system keeps temporary files in the folder `name`. */
  function egressWith(name: string): Egress {
    class Placed extends Egress {
      protected override readonly temporary = join(folder, name);
    }
    egress = new Placed(AppConfig.from({ NOVA_DATA_DIR: join(folder, 'data') }));
    return egress;
  }

  /** The path of the socket that boxes get, which is connected to by its descriptor, as they do. */
  async function socket(): Promise<string> {
    const handle = await egress.open();
    try {
      expect(await connects(`/proc/self/fd/${handle.fd}`)).toBe(true);
      return readlinkSync(`/proc/self/fd/${handle.fd}`);
    } finally {
      await handle.close();
    }
  }
  const connects = (path: string): Promise<boolean> =>
    new Promise((resolve) => {
      const connection = createConnection(path, () => resolve(true)).once('error', () => resolve(false));
      connection.once('connect', () => connection.destroy());
    });

  it('is closed to other users of the machine, and gone with the service', async () => {
    egressWith('');
    const place = await socket();
    expect(statSync(join(place, '..')).mode & 0o077).toBe(0);
    await egress.onApplicationShutdown();
    expect(existsSync(join(place, '..'))).toBe(false);
    expect(await connects(place)).toBe(false);
  });

  it('has a folder for its socket without one for temporary files, and where the path to it is long', async () => {
    egressWith('missing');
    expect(dirname(dirname(await socket()))).toBe(join(folder, 'data', 'tmp'));
    await egress.onApplicationShutdown();
    const long = 'a'.repeat(100);
    egressWith(long);
    mkdirSync(join(folder, long));
    expect(dirname(dirname(await socket()))).toBe(join(folder, long));
  });

  it('is started again where it could not be, and where its socket was cleaned away', async () => {
    writeFileSync(join(folder, 'data'), 'no folder');
    await expect(egressWith('missing').open()).rejects.toMatchObject({ code: 'ENOTDIR' });
    rmSync(join(folder, 'data'));
    const first = await socket();
    rmSync(join(first, '..'), { recursive: true });
    expect(await socket()).not.toBe(first);
  });
});

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { tied } from '../../src/platform/embedded-postgres/server-process.js';
import { createTestDatabase, type TestDatabase } from './database.js';
import { temporaryFolder } from './servers/index.js';
import { eventually } from './eventually.js';

const ROOT = join(fileURLToPath(import.meta.url), '../../..');
const MAIN = join(ROOT, 'dist', 'main.js');
/** For a service that never gets there; nothing waits for so long otherwise. */
const DEADLINE_MS = 90_000;

/** One line of the service's log. */
export interface LogLine {
  level: string;
  message: string;
  [field: string]: unknown;
}

export interface ServiceOptions {
  /** Resolve as soon as the service listens instead of when it is ready. */
  listening?: boolean;
  /** Resolve when it was spawned, for a service that is to refuse its start. */
  spawned?: boolean;
  /** The program instead of `dist/main.js`, for a changed copy of it. */
  main?: string;
  /** Files of the folder that it is started in, by name. */
  files?: Readonly<Record<string, string>>;
}

/** Variables of its environment; undefined takes one away that it would have. */
export type Settings = Readonly<Record<string, string | undefined>>;

/** The built service as a process of its own. */
export interface Service {
  /** `http://127.0.0.1:<port>`; empty until it listens. */
  readonly url: string;
  readonly pid: number;
  readonly adminSecret: string;
  readonly dataDir: string;
  readonly workspace: string;
  /** The database made for this service; null when `DATABASE_URL` was given. */
  readonly database: TestDatabase | null;
  /** What it has logged so far. */
  readonly logs: readonly LogLine[];
  /** All it has written to its standard outputs. */
  output(): string;
  /** `fetch` of one of its paths; `json` is sent as the body. */
  fetch(path: string, init?: RequestInit & { json?: unknown }): Promise<Response>;
  /** `fetch` with the admin credential. */
  admin(path: string, init?: RequestInit & { json?: unknown }): Promise<Response>;
  /** Makes an API key and returns it. */
  createKey(body?: Record<string, unknown>): Promise<{ id: string; raw_key: string }>;
  /** The first log line, past or future, that `matches`. */
  untilLogged(matches: (line: LogLine) => boolean): Promise<LogLine>;
  /** Waits until `/health/ready` answers 200. */
  untilReady(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Resolves with the exit code, null after a fatal signal. */
  readonly exited: Promise<number | null>;
  /** SIGTERM, waits, removes what was made for it; returns the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, waits, removes what was made for it. */
  kill(): Promise<void>;
}

/** A process that is killed while it writes leaves half a line. */
function parsed(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: 'raw', message: line };
  }
}

/**
 * Starts `dist/main.js` on a free port with folders, an admin secret and a cloned database of its own. Nothing of the
 * surrounding environment but PATH and HOME reaches it. `DATABASE_URL: ''` or `undefined` makes it start its embedded PostgreSQL.
 */
export async function startService(env: Settings = {}, options: ServiceOptions = {}): Promise<Service> {
  const main = options.main ?? MAIN;
  if (!existsSync(main)) throw new Error(`${main} is missing: run \`node scripts/ensure-dist.mjs\` first`);
  const folder = temporaryFolder();
  // The account of an embedded PostgreSQL passes through; else its cluster would lie elsewhere, and stay.
  chmodSync(folder.path, 0o711);
  const database = 'DATABASE_URL' in env ? null : await createTestDatabase();
  const adminSecret = env['ADMIN_SECRET'] ?? randomBytes(24).toString('base64url');
  const settings: Record<string, string | undefined> = {
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'DEBUG',
    ADMIN_SECRET: adminSecret,
    NOVA_DATA_DIR: join(folder.path, 'data'),
    NOVA_WORKSPACE: join(folder.path, 'workspace'),
    // Small, so that a nearly full disk of the machine that tests run on, and the reserve, cost nothing.
    DISK_MIN_FREE: '1MiB',
    DEFAULT_CHAT_MODEL: 'script/demo',
    // Nothing listens there, so that no model of this machine is found.
    OLLAMA_BASE_URL: 'http://127.0.0.1:9',
    ...(database === null ? {} : { DATABASE_URL: database.url }),
    ...env,
  };
  for (const [name, content] of Object.entries(options.files ?? {})) writeFileSync(join(folder.path, name), content);
  const [program = '', ...args] = await tied('KILL', [process.execPath, '--enable-source-maps', main]);
  const child = spawn(program, args, {
    cwd: folder.path,
    env: { PATH: process.env['PATH'], HOME: folder.path, ...settings } as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  const logs: LogLine[] = [];
  const listeners = new Set<() => void>();
  const wake = (): void => listeners.forEach((check) => check());
  let output = '';
  let ended = false;
  void exited.then(() => {
    ended = true;
    wake();
  });
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    output += `${line}\n`;
    logs.push(parsed(line));
    wake();
  });

  const untilLogged = (matches: (line: LogLine) => boolean): Promise<LogLine> =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(deadline);
        listeners.delete(check);
        act();
      };
      const check = (): void => {
        const found = logs.find(matches);
        if (found !== undefined) settle(() => resolve(found));
        else if (ended) settle(() => reject(new Error(`the service ended first:\n${output}`)));
      };
      const deadline = setTimeout(() => settle(() => reject(new Error(`never logged:\n${output}`))), DEADLINE_MS);
      listeners.add(check);
      check();
    });

  let url = '';
  const request = (
    path: string,
    init: RequestInit & { json?: unknown } = {},
    credentials: Record<string, string> = {},
  ): Promise<Response> => {
    const { json, ...rest } = init;
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(credentials)) headers.set(name, value);
    if (json === undefined) return fetch(`${url}${path}`, { ...rest, headers });
    headers.set('content-type', 'application/json');
    return fetch(`${url}${path}`, { ...rest, headers, body: JSON.stringify(json) });
  };
  const admin: Service['admin'] = (path, init) => request(path, init, { 'x-admin-secret': adminSecret });

  const remove = async (): Promise<void> => {
    await database?.drop();
    folder.remove();
  };
  const service: Service = {
    get url() {
      return url;
    },
    pid: child.pid ?? 0,
    adminSecret,
    dataDir: settings['NOVA_DATA_DIR'] ?? '',
    workspace: settings['NOVA_WORKSPACE'] ?? '',
    database,
    logs,
    output: () => output,
    fetch: (path, init) => request(path, init),
    admin,
    createKey: async (body = {}) => {
      const answer = await admin('/api/v1/keys', {
        method: 'POST',
        json: { name: 'a test', rate_limit_rpm: null, ...body },
      });
      if (answer.status !== 201) throw new Error(`no key was made: ${await answer.text()}`);
      return (await answer.json()) as { id: string; raw_key: string };
    },
    untilLogged,
    untilReady: async () => {
      const isReady = async (): Promise<boolean> => {
        if (ended) throw new Error(`the service ended before it was ready:\n${output}`);
        return (await request('/health/ready').catch(() => null))?.status === 200;
      };
      await eventually(() => `the service is ready:\n${output}`, isReady, DEADLINE_MS);
    },
    signal: (name) => void child.kill(name),
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      const code = await exited;
      await remove();
      return code;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
      await remove();
    },
  };
  if (options.spawned) return service;
  try {
    url = String((await untilLogged((line) => typeof line['url'] === 'string'))['url']);
    if (!options.listening) await service.untilReady();
    return service;
  } catch (error) {
    await service.kill();
    throw error;
  }
}

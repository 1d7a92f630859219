import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { PIECE_CHARACTERS, readPiece } from './pieces.js';

export interface StreamRequest {
  method: 'GET' | 'POST';
  path: string;
  headers?: Record<string, string>;
  json?: unknown;
}

/** What a healthy reader got. */
export interface Healthy {
  /** Resolves at the end of the stream, whatever it was. */
  readonly ended: Promise<void>;
  readonly taskId: Promise<string>;
  pieces: number;
  /** Pieces that were not the next one to the character, ids that were not the next one, resets, errors. */
  faults: string[];
  done: boolean;
  latenciesMs: number[];
}

/** Reads a steady answer as fast as it comes and checks every byte of it. */
export function readHealthy(url: string, { method, path, headers = {}, json }: StreamRequest): Healthy {
  let head: (taskId: string) => void = () => undefined;
  let end: () => void = () => undefined;
  const healthy: Healthy = {
    ended: new Promise((resolve) => (end = resolve)),
    taskId: new Promise((resolve) => (head = resolve)),
    pieces: 0,
    faults: [],
    done: false,
    latenciesMs: [],
  };
  let words = '';
  let lastId = 0;
  const take = (frame: string): void => {
    if (frame.startsWith(':')) return;
    const [, id, data = ''] = /^(?:id: (\d+)\n)?data: (.*)$/s.exec(frame) ?? [];
    if (id !== undefined && Number(id) !== lastId + 1) healthy.faults.push(`id ${id} after ${lastId}`);
    lastId = Number(id ?? 0);
    if (data === '[DONE]') {
      healthy.done = true;
      return;
    }
    const payload = JSON.parse(data) as { t?: string; status?: object };
    if (payload.t === undefined && payload.status === undefined) healthy.faults.push(data.slice(0, 200));
    words += payload.t ?? '';
    for (; words.length >= PIECE_CHARACTERS; words = words.slice(PIECE_CHARACTERS)) {
      const { isWhole, timeMs } = readPiece(words.slice(0, PIECE_CHARACTERS), healthy.pieces);
      if (!isWhole) healthy.faults.push(`piece ${healthy.pieces}: ${words.slice(0, 40)}`);
      healthy.latenciesMs.push(Date.now() - timeMs);
      healthy.pieces += 1;
    }
  };
  const asked = request(`${url}${path}`, {
    method,
    agent: false,
    headers: { ...headers, ...(json === undefined ? {} : { 'content-type': 'application/json' }) },
  });
  asked.on('response', (response) => {
    if (response.statusCode !== 200) healthy.faults.push(`status ${response.statusCode}`);
    head(String(response.headers['x-task-id']));
    let rest = '';
    response.setEncoding('utf8').on('data', (data: string) => {
      const frames = (rest + data).split('\n\n');
      rest = frames.pop() ?? '';
      frames.forEach(take);
    });
    response.on('close', end);
  });
  asked.on('error', (error) => {
    healthy.faults.push(error.message);
    end();
  });
  asked.end(json === undefined ? undefined : JSON.stringify(json));
  return healthy;
}

/** A client that reads the head of the answer and then nothing more. */
export interface Stalled {
  readonly socket: Socket;
  /** Of the answer's head. */
  readonly taskId: string;
  readonly status: number;
  readonly sinceMs: number;
}

/** Sends the request, waits for the first bytes of the answer, and reads no more. */
export async function stall(url: string, { method, path, headers = {}, json }: StreamRequest): Promise<Stalled> {
  const body = json === undefined ? '' : JSON.stringify(json);
  const all = {
    host: '127.0.0.1',
    ...headers,
    ...(json === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) }),
  };
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  const head = first.toString('latin1');
  return {
    socket,
    taskId: /^x-task-id: (.*)\r$/im.exec(head)?.[1] ?? '',
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    sinceMs: performance.now(),
  };
}

/** The local ports of the clients whose connection the service at `url` has open, as the kernel sees it. */
export async function openConnections(url: string): Promise<Set<number>> {
  const service = Number(new URL(url).port);
  const rows = (await readFile('/proc/net/tcp', 'utf8')).split('\n').slice(1);
  const open = new Set<number>();
  for (const row of rows) {
    const [, local = '', remote = '', state] = row.trim().split(/\s+/);
    const portOf = (address: string): number => Number.parseInt(address.split(':')[1] ?? '', 16);
    if (state === '01' && portOf(local) === service) open.add(portOf(remote));
  }
  return open;
}

/** Bytes of memory that the process holds. */
export async function residentBytes(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
}

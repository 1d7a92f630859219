import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parseJSONRPCMessage, type JSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import { LineReader, type CutLine } from './line-reader.js';
import { killGroup, type McpProcess } from './server-process.js';

/** Of one message on standard output. */
const MAX_LINE_BYTES = 4 * 1024 * 1024 + 64 * 1024;
const MAX_STDERR_LINE_BYTES = 8 * 1024;
/** What may wait for a server that does not read. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;
/** Lines that are no messages, in a row, after which a server does not speak the protocol. */
const MAX_GARBAGE_LINES = 1_000;
/** A server has this long to end by itself once its input is closed, and again once it was told to. */
const END_MS = 1_500;
const TERM_MS = 500;

/**
 * MCP over the standard streams of a child process. Messages that are too large are answered in the server's place with an
 * error, so that one call fails and not the connection. Whatever ends, the child and its descendants end with it.
 */
export class StdioTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** The client takes a transport with these two properties for one over standard streams. */
  readonly stderr = null;
  private process: McpProcess | null = null;
  private ended: Promise<void> | null = null;
  private closed = false;
  private garbage = 0;
  private lastWords = '';
  private exit = '';

  constructor(
    private readonly launch: () => Promise<McpProcess>,
    private readonly onStderr: (line: string) => void,
  ) {}

  get pid(): number | null {
    return this.process?.child.pid ?? null;
  }

  /** How the process ended and the line it said last, secrets included; empty while it runs. */
  get farewell(): string {
    if (this.exit === '') return '';
    return this.lastWords === '' ? this.exit : `${this.exit}: ${this.lastWords}`;
  }

  async start(): Promise<void> {
    const process = await this.launch();
    this.process = process;
    const { child } = process;
    // After its exit, what it left behind would hold the pipes open: the exit is the end.
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.exit = code === null ? `it was ended by ${signal ?? 'a signal'}` : `it ended with exit code ${code}`;
        process.kill();
        void Promise.race([once(child, 'close'), delay(250)]).then(() => {
          for (const stream of child.stdio) stream?.destroy();
          resolve();
          this.finish();
        });
      });
    });
    child.on('error', (error) => this.onerror?.(error));
    child.stdin?.on('error', (error) => this.onerror?.(error));
    this.read(child);
    if (this.closed) await this.close();
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const stdin = this.process?.child.stdin;
    if (!stdin?.writable) throw new Error('the server has ended');
    if (stdin.writableLength > MAX_UNREAD_BYTES) throw new Error('the server does not read what it is sent');
    stdin.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    this.closed = true;
    const { process, ended } = this;
    if (process === null || ended === null) return this.finish();
    process.child.stdin?.end();
    if (!(await within(END_MS, ended))) {
      killGroup(process.child, 'SIGTERM');
      if (!(await within(TERM_MS, ended))) process.kill();
    }
    await ended;
  }

  /** Ends it at once. */
  kill(): void {
    this.closed = true;
    this.process?.kill();
  }

  private read(child: ChildProcess): void {
    const messages = new LineReader(
      MAX_LINE_BYTES,
      (line) => this.receive(line),
      (cut) => this.refuse(cut),
    );
    child.stdout?.on('data', (chunk: Buffer) => messages.push(chunk)).on('error', () => undefined);
    const log = (line: string): void => {
      if (line.trim() !== '') this.lastWords = line.trim();
      this.onStderr(line);
    };
    const words = new LineReader(MAX_STDERR_LINE_BYTES, log, (cut) => log(`${cut.head}… (${cut.bytes} bytes)`));
    child.stderr?.on('data', (chunk: Buffer) => words.push(chunk)).on('error', () => undefined);
  }

  private receive(line: string): void {
    if (line.trim() === '') return;
    let message: JSONRPCMessage;
    try {
      message = parseJSONRPCMessage(JSON.parse(line));
    } catch {
      this.garbage += 1;
      if (this.garbage === MAX_GARBAGE_LINES) {
        this.lastWords = 'it writes what is not MCP to its standard output';
        this.kill();
      }
      return;
    }
    this.garbage = 0;
    this.onmessage?.(message);
  }

  /** Fails the call that a message too large to read belongs to, or everything if that cannot be known or it never ends. */
  private refuse(cut: CutLine): void {
    const id =
      cut.ended &&
      (/"id"\s*:\s*(\d{1,15})\s*\}\s*$/.exec(cut.tail) ??
        /^\s*\{(?:\s*"jsonrpc"\s*:\s*"2\.0"\s*,)?\s*"id"\s*:\s*(\d{1,15})\s*,/.exec(cut.head));
    if (!id) {
      this.lastWords = 'it sent a message of more than 4 MiB';
      this.kill();
      return;
    }
    const error = { code: -32_000, message: `The answer was larger than 4 MiB (${cut.bytes} bytes).` };
    this.onmessage?.({ jsonrpc: '2.0', id: Number(id[1]), error });
  }

  private finish(): void {
    const { onclose } = this;
    this.onclose = undefined;
    onclose?.();
  }
}

async function within(ms: number, event: Promise<void>): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(ms, false, { signal: timer.signal, ref: false }).catch(() => false);
  const inTime = await Promise.race([event.then(() => true), late]);
  timer.abort();
  return inTime;
}

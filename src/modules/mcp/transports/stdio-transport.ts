import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import { killGroup, type ChildProcess } from '../../../platform/processes/index.js';
import { LastWords } from './last-words.js';
import { LineReader, type CutLine } from './line-reader.js';
import { repairedMessages } from './message-repair.js';
import { jsonIn } from './message-text.js';
import type { McpProcess } from './server-process.js';
import type { ServerTransport } from './server-transport.js';
import { SpreadMessage } from './spread-message.js';
import { FLOODED, UnaskedMessages } from './unasked-messages.js';

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
/** Notifications that nobody here listens to end where they arrive. */
const UNHEARD = /^notifications\/(?:message$|resources\/|prompts\/|tasks\/)/;

/**
 * MCP over the standard streams of a child process. Messages that are too large are answered in the server's place with an
 * error, so that one call fails and not the connection. Whatever ends, the child and its descendants end with it.
 */
export class StdioTransport implements ServerTransport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** The client takes a transport with these two properties for one over standard streams. */
  readonly stderr = null;
  private process: McpProcess | null = null;
  private ended: Promise<void> | null = null;
  private closed = false;
  private garbage = 0;
  private readonly said = new LastWords();
  /** Why it was ended from here, when it gave a reason to. */
  private verdict = '';
  /** How it ended when it did so by itself. */
  private exit = '';
  /** Ids of the requests that wait for an answer. */
  private readonly waiting = new Set<string | number>();
  private readonly unasked = new UnaskedMessages();
  private readonly spread = new SpreadMessage(MAX_LINE_BYTES);

  constructor(
    private readonly launch: () => Promise<McpProcess>,
    private readonly onStderr: (line: string) => void,
  ) {}

  get pid(): number | null {
    return this.process?.child.pid ?? null;
  }

  /**
   * Why the process ended and what it said of that, secrets included; empty while it runs, and where it ended only because
   * its connection was closed.
   */
  get farewell(): string {
    if (this.verdict !== '') return this.verdict;
    const said = this.said.text;
    return this.exit === '' || said === '' ? this.exit : `${this.exit}: ${said}`;
  }

  async start(): Promise<void> {
    const process = await this.launch();
    this.process = process;
    const { child } = process;
    // After its exit, what it left behind would hold the pipes open: the exit is the end.
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const exit = code === null ? `it was ended by ${signal ?? 'a signal'}` : `it ended with exit code ${code}`;
        process.kill();
        void Promise.race([once(child, 'close'), delay(250)]).then(async () => {
          const why = (await process.why?.()) ?? null;
          // Only now its last words have been read.
          if (!this.closed) this.exit = why === null ? exit : `it was ended: ${why}`;
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
    this.expect(message);
    stdin.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    const { process, ended } = this;
    // What can no longer be written to has ended by itself, which tells more than that it was closed.
    this.closed ||= process === null || isRunning(process.child);
    if (process === null || ended === null) return this.finish();
    process.child.stdin?.end();
    if (!(await within(END_MS, ended))) {
      killGroup(process.child, 'SIGTERM');
      if (!(await within(TERM_MS, ended))) process.kill();
    }
    await ended;
  }

  /** Ends it at once, for a reason that it gave. */
  private end(verdict: string): void {
    this.verdict ||= verdict;
    this.closed = true;
    this.process?.kill();
  }

  private expect(message: JSONRPCMessage): void {
    if ('method' in message && 'id' in message) this.waiting.add(message.id);
    if ('method' in message && message.method === 'notifications/cancelled') {
      this.waiting.delete(message.params?.['requestId'] as string | number);
    }
  }

  private read(child: ChildProcess): void {
    const messages = new LineReader(
      MAX_LINE_BYTES,
      (line) => this.receive(line),
      (cut) => this.refuse(cut),
    );
    child.stdout?.on('data', (chunk: Buffer) => messages.push(chunk)).on('error', () => undefined);
    const log = (line: string): void => {
      this.said.add(line);
      this.onStderr(line);
    };
    const words = new LineReader(MAX_STDERR_LINE_BYTES, log, (cut) => log(`${cut.head}… (${cut.bytes} bytes)`));
    child.stderr?.on('data', (chunk: Buffer) => words.push(chunk)).on('error', () => undefined);
  }

  private receive(line: string): void {
    if (this.verdict !== '' || line.trim() === '') return;
    let messages = messagesIn(line);
    if (messages.length === 0) messages = messagesIn(this.spread.add(line));
    if (messages.length === 0) {
      this.garbage += 1;
      if (this.garbage === MAX_GARBAGE_LINES) this.end('it writes what is not MCP to its standard output');
      return;
    }
    this.garbage = 0;
    for (const message of messages) this.deliver(message, line.length / messages.length);
  }

  private deliver(message: JSONRPCMessage, bytes: number): void {
    if (!('method' in message)) {
      // An error that does not say whose it is belongs to the only request there is.
      const [only, ...others] = this.waiting;
      const id = message.id ?? (others.length === 0 ? only : undefined);
      if (id !== undefined && this.waiting.delete(id)) return this.onmessage?.({ ...message, id });
    }
    if (!this.unasked.take(bytes)) return this.end(FLOODED);
    if ('method' in message && !UNHEARD.test(message.method)) this.onmessage?.(message);
  }

  /** Fails the call that a message too large to read belongs to, or everything if that cannot be known or it never ends. */
  private refuse(cut: CutLine): void {
    const id =
      cut.ended &&
      (/"id"\s*:\s*(\d{1,15})\s*\}\s*$/.exec(cut.tail) ??
        /^\s*\{(?:\s*"jsonrpc"\s*:\s*"2\.0"\s*,)?\s*"id"\s*:\s*(\d{1,15})\s*,/.exec(cut.head));
    if (!id) return this.end('it sent a message of more than 4 MiB');
    if (!this.waiting.delete(Number(id[1]))) {
      if (!this.unasked.take(cut.bytes)) this.end(FLOODED);
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

function messagesIn(text: string | null): JSONRPCMessage[] {
  if (text === null) return [];
  try {
    return repairedMessages(jsonIn(text));
  } catch {
    return [];
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null && child.stdin?.writable === true;
}

async function within(ms: number, event: Promise<void>): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(ms, false, { signal: timer.signal, ref: false }).catch(() => false);
  const inTime = await Promise.race([event.then(() => true), late]);
  timer.abort();
  return inTime;
}

import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { chunk, END, type Answer } from '../../test/support/model-server.js';
import { PASSING, roleIn, streamed, type StageAnswer, type StageRole } from '../../test/support/stage-models.js';
import { fileOf, turnWords } from './work.js';

/** One question for a stage's result, or one of its tool rounds or corrections. */
export interface Question {
  tag: number;
  /** The place of the worker that asks; null is none of them. */
  place: number | null;
  role: StageRole;
  iteration: number;
  kind: 'result' | 'correction' | 'tools';
  /** Epoch milliseconds. */
  at: number;
  /** Whether it was sent a whole answer. */
  answered: boolean;
}

export type ModelFault = '429' | '500' | 'hang' | 'truncate';

/** Between two pieces of a turn's answer. */
const PIECE_MS = 60;

const HALF_A_RESULT = '{"output":"half of a result that nobody may sto';

type Words = Exclude<StageAnswer, Answer>;

const REFACTOR = {
  verdict: 'needs_refactor',
  issues: [{ severity: 'low', description: 'tidy up', file: null, line: null, suggestion: null }],
  summary: 'untidy',
};
const LEAK = {
  blocked: true,
  findings: [{ type: 'credential_leak', severity: 'high', description: 'a key', evidence: 'in the output' }],
  summary: 'a key',
};

/** A model that answers by the question alone, however often it is asked, and keeps a log of all questions. */
export class StageEndpoint {
  readonly questions: Question[] = [];
  private readonly failing: ModelFault[] = [];

  /**
   * @param delaysMs that an answer takes at the least and at the most
   * @param beforeResult told of each question for the result of a task stage whose tools are through
   */
  constructor(
    private readonly delaysMs: readonly [number, number],
    private readonly beforeResult: (tag: number) => Promise<void> = async () => undefined,
  ) {}

  private readonly server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (part: Buffer) => chunks.push(part));
    request.on('end', () => void this.hear(request.url ?? '', Buffer.concat(chunks).toString(), response));
    request.on('error', () => undefined);
  });

  async start(): Promise<void> {
    // A connection that is kept for a paused worker must not be closed under its next question.
    this.server.keepAliveTimeout = 3_600_000;
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Lets the next `count` answers fail in this way. */
  willFail(how: ModelFault, count: number): void {
    for (let index = 0; index < count; index += 1) this.failing.push(how);
  }

  /** From here on no answer fails. */
  willNotFail(): void {
    this.failing.length = 0;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  /** Streams the words of a turn, slowly enough to be cut off in the middle. */
  private async tell(tag: number, response: ServerResponse): Promise<void> {
    const fault = this.failing.shift();
    if (fault !== undefined) return fail(fault, response, turnWords(tag)[0]);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const content of turnWords(tag)) {
      response.write(chunk({ content }));
      await delay(PIECE_MS);
    }
    response.end(END.join(''));
  }

  private async hear(path: string, text: string, response: ServerResponse): Promise<void> {
    const turn = /turn-(\d+)/.exec(text)?.[1];
    if (turn !== undefined) return this.tell(Number(turn), response);
    const tag = Number(/tag-(\d+)/.exec(text)?.[1]);
    if (!path.endsWith('/chat/completions') || Number.isNaN(tag)) return void response.writeHead(404).end();
    const body = JSON.parse(text) as Record<string, unknown> & { messages: { role: string }[] };
    const role = roleIn(text) ?? 'task';
    const iteration = Number(/(?:This is|work of|Review) iteration (\d+)/.exec(text)?.[1] ?? 1);
    const corrects = text.includes('This answer is not a valid');
    const hasToolResult = body.messages.some((message) => message.role === 'tool');
    const asksForTool = body.tools !== undefined && !hasToolResult;
    const kind = asksForTool ? 'tools' : corrects ? 'correction' : 'result';
    const place = /\/worker-(\d+)\//.exec(path)?.[1];
    const question: Question = {
      tag,
      place: place === undefined ? null : Number(place),
      role,
      iteration,
      kind,
      at: Date.now(),
      answered: false,
    };
    this.questions.push(question);
    const fault = this.failing.shift();
    if (fault !== undefined) return fail(fault, response, HALF_A_RESULT);
    if (hasToolResult) await this.beforeResult(tag);
    const [fastest, slowest] = this.delaysMs;
    const delayMs = fastest + Math.random() * (slowest - fastest);
    response.on('finish', () => (question.answered = true));
    const answer = asksForTool ? toolRound(tag) : result(tag, role, iteration, corrects);
    const asked = { path, headers: {}, body, closed: new Promise<never>(() => undefined) };
    setTimeout(() => void streamed(answer)(response, asked), delayMs);
  }
}

/** @param words that come before a stream ends in the middle */
function fail(fault: ModelFault, response: ServerResponse, words = ''): void {
  switch (fault) {
    case '429':
      return void response.writeHead(429, { 'retry-after': '1' }).end('{"error":{"message":"too many"}}');
    case '500':
      return void response.writeHead(500).end('{"error":{"message":"a fault"}}');
    case 'truncate':
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      return void response.end(chunk({ content: words }));
    case 'hang':
      // Until the caller gives up.
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
  }
}

function toolRound(tag: number): Words {
  return { tool_calls: [{ name: 'write_file', arguments: fileOf(tag) }] };
}

function result(tag: number, role: StageRole, iteration: number, corrects: boolean): Words {
  // Some answers have to be asked for twice.
  if (role === 'context' && tag % 20 === 9 && !corrects) return 'no JSON at all';
  if (role === 'code_review' && tag % 10 === 3 && iteration === 1) return REFACTOR;
  if (role === 'guardrail' && tag % 10 === 7 && iteration === 1) return LEAK;
  return PASSING[role];
}

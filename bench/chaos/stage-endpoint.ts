import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Answer } from '../../test/support/model-server.js';
import { PASSING, roleIn, streamed, type StageAnswer, type StageRole } from '../../test/support/stage-models.js';

/** One question for a stage's result, or one of its tool rounds or corrections. */
export interface Question {
  tag: number;
  role: StageRole;
  iteration: number;
  kind: 'result' | 'correction' | 'tools';
  /** Epoch milliseconds. */
  at: number;
}

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

/** Iterations that the task of `tag` takes. */
export function iterationsOf(tag: number): number {
  return tag % 10 === 3 || tag % 10 === 7 ? 2 : 1;
}

/** Whether the task of `tag` writes a file, and so has a work tree, a journal and something to publish. */
export function writes(tag: number): boolean {
  return tag % 5 === 0;
}

/** The path and content of that file. */
export function fileOf(tag: number): { path: string; content: string } {
  return { path: `made/${tag}.txt`, content: `made by the task with the tag ${tag}` };
}

/** The request that carries `tag` through all prompts. */
export function requestOf(tag: number): string {
  return `Do the work with the tag-${tag}.`;
}

/** A model that answers by the question alone, however often it is asked, and keeps a log of all questions. */
export class StageEndpoint {
  readonly questions: Question[] = [];

  /** Milliseconds that an answer takes at the least and at the most. */
  constructor(private readonly delaysMs: readonly [number, number]) {}

  private readonly server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (part: Buffer) => chunks.push(part));
    request.on('end', () => this.hear(request.url ?? '', Buffer.concat(chunks).toString(), response));
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

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private hear(path: string, text: string, response: ServerResponse): void {
    const tag = Number(/tag-(\d+)/.exec(text)?.[1]);
    if (!path.endsWith('/chat/completions') || Number.isNaN(tag)) return void response.writeHead(404).end();
    const body = JSON.parse(text) as Record<string, unknown> & { messages: { role: string }[] };
    const role = roleIn(text) ?? 'task';
    const iteration = Number(/(?:This is|work of|Review) iteration (\d+)/.exec(text)?.[1] ?? 1);
    const corrects = text.includes('This answer is not a valid');
    const asksForTool = body.tools !== undefined && !body.messages.some((message) => message.role === 'tool');
    const kind = asksForTool ? 'tools' : corrects ? 'correction' : 'result';
    this.questions.push({ tag, role, iteration, kind, at: Date.now() });
    const answer = asksForTool ? toolRound(tag) : result(tag, role, iteration, corrects);
    const asked = { path, headers: {}, body, closed: new Promise<never>(() => undefined) };
    const [fastest, slowest] = this.delaysMs;
    const delayMs = fastest + Math.random() * (slowest - fastest);
    setTimeout(() => void streamed(answer)(response, asked), delayMs);
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

import { createServer as createSecureServer } from 'node:https';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request as the server got it. */
export interface Asked {
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  /** Resolves when the caller's connection is gone or the answer was sent whole. */
  closed: Promise<'aborted' | 'answered'>;
}

export type Answer = (response: ServerResponse, asked: Asked) => void | Promise<void>;

/** An endpoint for models that answers as each test tells it to, faults below HTTP included. */
export class ModelServer {
  readonly asked: Asked[] = [];
  private readonly answers: Answer[] = [];
  private readonly waiting: (() => void)[] = [];

  private constructor(private readonly server: Server) {}

  /** With an `identity` it speaks TLS. */
  static async start(identity?: { cert: string; key: string }): Promise<ModelServer> {
    const server = identity === undefined ? createServer() : createSecureServer(identity);
    const models = new ModelServer(server);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const closed = new Promise<'aborted' | 'answered'>((resolve) => {
          response.on('close', () => resolve(response.writableFinished ? 'answered' : 'aborted'));
        });
        const text = Buffer.concat(chunks).toString();
        const body = text ? (JSON.parse(text) as Record<string, unknown>) : {};
        const asked = { path: request.url ?? '', headers: request.headers, body, closed };
        models.asked.push(asked);
        for (const wake of models.waiting.splice(0)) wake();
        const answer = models.answers.length > 1 ? models.answers.shift() : models.answers[0];
        void (answer ?? says('Hello'))(response, asked);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return models;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Answers the next requests with these, the last one for ever; forgets what was asked. */
  willAnswer(...answers: Answer[]): void {
    this.asked.length = 0;
    this.answers.splice(0, Infinity, ...answers);
  }

  /** Resolves when `count` requests have arrived. */
  async heard(count = 1): Promise<void> {
    while (this.asked.length < count) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** One chunk of a streamed chat completion. */
export function chunk(
  delta: Record<string, unknown>,
  finish: string | null = null,
  more: Record<string, unknown> = {},
): string {
  return event({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...more,
  });
}

export function event(data: unknown): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

export const USAGE = { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 };
export const END = [chunk({}, 'stop'), event({ choices: [], usage: USAGE }), event('[DONE]')];

/** Sends these pieces as an event stream and ends it. */
export function streams(...pieces: (string | Buffer)[]): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) response.write(piece);
    response.end();
  };
}

/** A whole, well-behaved streamed answer. */
export function says(...words: string[]): Answer {
  return streams(...words.map((content) => chunk({ content })), ...END);
}

export function fails(
  status: number,
  body: unknown = { error: { message: 'no' } },
  headers: Record<string, string> = {},
): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

/** A whole answer that is not streamed. */
export function answersWhole(message: Record<string, unknown>, more: Record<string, unknown> = {}): Answer {
  return fails(200, {
    id: 'c',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }],
    usage: USAGE,
    ...more,
  });
}

import { ModelServer, type Answer, type Asked } from '../model-server.js';
import { PASSING, roleIn, type StageRole } from '../stage-models.js';
import { ANTHROPIC } from './anthropic.js';
import type { Dialect, Meant, Reply } from './dialect.js';
import { LITELLM, OPENROUTER, TOGETHER } from './gateways.js';
import { LLAMA_CPP, LM_STUDIO, OLLAMA, TGI, VLLM } from './local-servers.js';
import { AZURE, OPENAI } from './openai.js';
import { DEEPSEEK, GEMINI, GROQ, MISTRAL } from './thinking-hosts.js';

export const DIALECTS: readonly Dialect[] = [
  OPENAI,
  AZURE,
  ANTHROPIC,
  GEMINI,
  MISTRAL,
  DEEPSEEK,
  GROQ,
  OPENROUTER,
  TOGETHER,
  LITELLM,
  OLLAMA,
  VLLM,
  LLAMA_CPP,
  TGI,
  LM_STUDIO,
];

/** One request to a model, in the order of arrival. */
export interface DialectCall {
  dialect: string;
  /** The stage that asked; null in an agent's turn. */
  role: StageRole | null;
  streamed: boolean;
  /** The refusal's status; null for an answer. */
  refused: number | null;
}

/** The id behind a provider's prefix, by which the endpoint knows a model. */
function idOf({ model }: Dialect): string {
  return model.replace(/^(anthropic|ollama)\//, '');
}

/**
 * An endpoint of every dialect; the model id of a request chooses which. An agent's first call is answered with two reads of
 * files, and once their results have come back, with those results; a stage gets a passing answer of its form.
 */
export class DialectServer {
  readonly calls: DialectCall[] = [];
  /** Dialects whose models are not there now. */
  readonly without = new Set<string>();

  private constructor(private readonly server: ModelServer) {
    server.willAnswer((response, asked) => this.answer(asked)(response, asked));
  }

  static async start(): Promise<DialectServer> {
    return new DialectServer(await ModelServer.start());
  }

  get url(): string {
    return this.server.url;
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  private answer(asked: Asked): Answer {
    const dialect = DIALECTS.find((known) => idOf(known) === asked.body.model && asked.path.endsWith(known.path));
    if (!dialect) return sends({ status: 404, body: { error: { message: 'not found' } } });
    const role = roleIn(JSON.stringify([asked.body.system, asked.body.messages]));
    const streamed = asked.body.stream === true;
    const refusal = this.without.has(dialect.name) ? dialect.unknownModel : dialect.refuses(asked);
    this.calls.push({ dialect: dialect.name, role, streamed, refused: refusal?.status ?? null });
    if (refusal) return sends(refusal);
    const meant = meantBy(role, dialect.results(asked));
    if (!streamed) return sends({ status: 200, body: dialect.whole(meant, asked) });
    return (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      for (const piece of dialect.stream(meant, asked)) response.write(piece);
      response.end();
    };
  }
}

function meantBy(role: StageRole | null, results: readonly string[]): Meant {
  const thought = 'The two files are what matters here; one look at each is enough.';
  if (role !== null) return { thought, text: JSON.stringify(PASSING[role]) };
  if (results.length > 0) return { thought, text: `Read: ${results.join(' | ')}` };
  const calls = ['one.txt', 'two.txt'].map((path) => ({ name: 'read_file', arguments: { path } }));
  return { thought, calls };
}

function sends({ status, body }: Reply): Answer {
  return (response) => {
    response.writeHead(status, {
      'content-type': typeof body === 'string' && status >= 400 ? 'text/plain' : 'application/json',
    });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

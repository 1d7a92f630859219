import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModelV3, SharedV3ProviderMetadata } from '@ai-sdk/provider';
import { RETURNED } from '../answer-draft.js';
import { createChatFetch } from '../wire/chat-fetch.js';
import { isObject, type JsonObject } from '../wire/json-value.js';
import { listModels } from './list-models.js';
import type { ModelProvider, WireSettings } from './model-provider.js';

/** Where the SDK carries settings of one call to `transformRequestBody`, which takes them out of the body. */
const WIRE = 'nova_wire';
const EPHEMERAL = { type: 'ephemeral' };

/** An OpenAI-compatible endpoint: a gateway, Ollama, or a stand-in for OpenAI's own. */
export class CompatibleProvider implements ModelProvider {
  readonly isCompatible = true;
  private readonly provider;
  private readonly baseUrl: string;
  private readonly query: string;
  private readonly headers: Record<string, string>;

  constructor(
    readonly name: string,
    address: string,
    apiKey: string | null,
    private readonly fetch: typeof globalThis.fetch,
  ) {
    const url = new URL(address);
    this.query = url.search;
    this.headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}`, ...azureKey(url, apiKey) };
    url.search = '';
    this.baseUrl = url.toString().replace(/\/+$/, '');
    this.provider = createOpenAICompatible({
      name,
      baseURL: this.baseUrl,
      headers: this.headers,
      ...(this.query && { queryParams: Object.fromEntries(new URLSearchParams(this.query)) }),
      includeUsage: true,
      supportsStructuredOutputs: true,
      fetch: createChatFetch(fetch),
      transformRequestBody: (body) => requestBody(body),
      metadataExtractor: {
        extractMetadata: ({ parsedBody }) => Promise.resolve(returnedOf(parsedBody)),
        createStreamExtractor: () => {
          let returned: SharedV3ProviderMetadata | undefined;
          return {
            processChunk: (parsed) => {
              returned = returnedOf(parsed) ?? returned;
            },
            buildMetadata: () => returned,
          };
        },
      },
      convertUsage: (usage) => countsOf(usage ?? {}),
    });
  }

  model(id: string): LanguageModelV3 {
    return this.provider.chatModel(id);
  }

  list(signal: AbortSignal): Promise<string[]> {
    return listModels(this.fetch, `${this.baseUrl}/models${this.query}`, this.headers, signal);
  }

  /** Resellers hand the marks on to Anthropic, whose models cache nothing without them. */
  marksCache(id: string): boolean {
    return /\b(claude|anthropic)\b/i.test(id);
  }

  callOptionsFor(settings: WireSettings): SharedV3ProviderMetadata {
    return { [this.name]: { [WIRE]: { ...settings } } };
  }
}

/** Azure's own addresses take a key in a header of their own; the bearer beside it is for tokens. */
function azureKey(url: URL, apiKey: string): Record<string, string> {
  return /\.(azure|microsoft)\.(com|us|cn)$/i.test(url.hostname) ? { 'api-key': apiKey } : {};
}

/** The body in the form that a call wants. `stream` stands first, where `createChatFetch` looks for it. */
function requestBody(sdkBody: JsonObject): JsonObject {
  const { [WIRE]: wire, stream, stream_options: streamOptions, max_tokens: maxTokens, messages, ...rest } = sdkBody;
  const settings = isObject(wire) ? (wire as Partial<WireSettings>) : {};
  return {
    ...(stream !== undefined && { stream }),
    ...rest,
    messages:
      settings.marksCache === true && Array.isArray(messages) ? marked(messages, rest.tools !== undefined) : messages,
    ...(maxTokens !== undefined && { [settings.maxTokensName ?? 'max_tokens']: maxTokens }),
    ...(streamOptions !== undefined && settings.streamOptions !== false && { stream_options: streamOptions }),
  };
}

/** Marks the system prompt, and where tools make a conversation of it, the newest words of the user's side. */
function marked(messages: readonly unknown[], hasTools: boolean): unknown[] {
  const newest = hasTools ? messages.findLastIndex((message) => isObject(message) && message.role === 'user') : -1;
  return messages.map((message, index) => {
    if (!isObject(message) || (message.role !== 'system' && index !== newest)) return message;
    if (typeof message.content === 'string' && message.content !== '') {
      return { ...message, content: [{ type: 'text', text: message.content, cache_control: EPHEMERAL }] };
    }
    if (!Array.isArray(message.content) || message.content.length === 0) return message;
    const parts: unknown[] = message.content;
    return {
      ...message,
      content: parts.map((part, at) =>
        at === parts.length - 1 && isObject(part) ? { ...part, cache_control: EPHEMERAL } : part,
      ),
    };
  });
}

/** What `AnswerDraft` is told beside the answer. */
function returnedOf(body: unknown): SharedV3ProviderMetadata | undefined {
  if (!isObject(body)) return undefined;
  const { returned, leaked } = body;
  if (!isObject(returned) && leaked === undefined) return undefined;
  const told = { ...(isObject(returned) && returned), ...(leaked !== undefined && { leaked }) };
  return { [RETURNED]: told as SharedV3ProviderMetadata[string] };
}

/** Counts as `ChatUsage` has them; one that is absent stays unknown. */
function countsOf(
  usage: JsonObject,
): ReturnType<NonNullable<Parameters<typeof createOpenAICompatible>[0]['convertUsage']>> {
  const count = (key: string): number | undefined => (typeof usage[key] === 'number' ? usage[key] : undefined);
  const input = count('prompt_tokens');
  const output = count('completion_tokens');
  const cacheRead = count('cache_read_tokens');
  const reasoning = count('reasoning_tokens');
  return {
    inputTokens: {
      total: input,
      noCache: input === undefined ? undefined : input - (cacheRead ?? 0),
      cacheRead,
      cacheWrite: count('cache_write_tokens'),
    },
    outputTokens: {
      total: output,
      text: output === undefined ? undefined : Math.max(0, output - (reasoning ?? 0)),
      reasoning,
    },
  };
}

import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import { contentText } from '../tools/content-text.js';
import { sameJson } from '../tools/result-text.js';

type Json = Record<string, unknown>;

const INTERNAL_ERROR = -32_603;

/**
 * The messages in `raw`, one or a batch, as the client takes them; none when it holds no message. Servers put null where
 * nothing should stand, texts where numbers should, and members that nobody knows. The client would throw such a message
 * away while somebody waits for it, so what is said beyond doubt is put into the form of the protocol.
 */
export function repairedMessages(raw: unknown): JSONRPCMessage[] {
  return (Array.isArray(raw) ? raw : [raw]).map(repaired).filter((message) => message !== null);
}

function repaired(raw: unknown): JSONRPCMessage | null {
  if (!isObject(raw)) return null;
  if (typeof raw['method'] === 'string') return Number(raw['jsonrpc']) === 2 ? asked(raw['method'], raw) : null;
  const id = idOf(raw['id']);
  if (!('result' in raw || 'error' in raw)) return null;
  const error = errorOf(raw['error']);
  if (error !== null) return { jsonrpc: '2.0', ...(id === undefined ? {} : { id }), error };
  if (id === undefined) return null;
  return { jsonrpc: '2.0', id, result: resultOf(raw['result']) };
}

/** A request or a notification of the server. */
function asked(method: string, raw: Json): JSONRPCMessage {
  const params = isObject(raw['params']) ? withoutNulls(raw['params']) : undefined;
  if (params !== undefined && 'progress' in params) {
    params['progress'] = numberOf(params['progress']) ?? 0;
    if ('total' in params && numberOf(params['total']) === null) delete params['total'];
    if ('message' in params && typeof params['message'] !== 'string') delete params['message'];
  }
  // A request keeps its id as it is, which its answer has to repeat.
  const id = typeof raw['id'] === 'string' || Number.isInteger(raw['id']) ? (raw['id'] as string | number) : undefined;
  return {
    jsonrpc: '2.0',
    method,
    ...(id === undefined ? {} : { id }),
    ...(params === undefined ? {} : { params }),
  };
}

/** Our requests have whole numbers for ids, and those of the SDK's first question words. */
function idOf(id: unknown): string | number | undefined {
  if (typeof id === 'string') return /^\d{1,15}$/.test(id) ? Number(id) : id;
  return Number.isInteger(id) ? (id as number) : undefined;
}

/** An error that says something; null when there is none. */
function errorOf(error: unknown): { code: number; message: string; data?: unknown } | null {
  if (error === null || error === undefined || error === false || error === '') return null;
  if (!isObject(error)) return { code: INTERNAL_ERROR, message: textOf(error) };
  const { code, message, data } = error;
  const given = numberOf(code);
  const says = typeof message === 'string' ? message : textOf(message);
  // Some write an empty error beside every result.
  if (says === '' && (given ?? 0) === 0 && (data ?? null) === null) return null;
  return {
    code: given !== null && Number.isInteger(given) ? given : INTERNAL_ERROR,
    message: says === '' ? 'it gave no reason' : says,
    ...(data === undefined ? {} : { data }),
  };
}

function resultOf(result: unknown): Json {
  if (result === null || result === undefined) return {};
  if (Array.isArray(result)) return { content: contentOf(result) };
  if (!isObject(result)) return { content: contentOf([textOf(result)]) };
  const fixed = withoutNulls(result);
  // Servers of the 2026 protocol must say it, and for the others it means nothing.
  if (typeof fixed['resultType'] !== 'string') fixed['resultType'] = 'complete';
  if ('content' in result) fixed['content'] = contentOf(result['content']);
  const structured = fixed['structuredContent'];
  if (structured !== undefined && !isObject(structured)) {
    // Only an object may stand there; what a text says already is not said twice.
    delete fixed['structuredContent'];
    const blocks = (fixed['content'] ?? []) as Json[];
    const json = JSON.stringify(structured);
    const isSaid = blocks.some(({ text }) => sameJson(String(text), json));
    fixed['content'] = isSaid ? blocks : [...blocks, { type: 'text', text: json }];
  }
  if ('isError' in fixed) fixed['isError'] = fixed['isError'] === true || fixed['isError'] === 'true';
  if ('capabilities' in result) fixed['capabilities'] = capabilitiesOf(result['capabilities']);
  if ('nextCursor' in fixed && typeof fixed['nextCursor'] !== 'string')
    fixed['nextCursor'] = textOf(fixed['nextCursor']);
  if (typeof fixed['protocolVersion'] === 'string') {
    fixed['capabilities'] ??= {};
    fixed['serverInfo'] = serverInfoOf(fixed['serverInfo']);
    if (typeof fixed['instructions'] !== 'string') delete fixed['instructions'];
  }
  return fixed;
}

/** Each block as a text, so that no odd one among them costs the others. */
function contentOf(content: unknown): Json[] {
  const blocks = Array.isArray(content) ? content : content === null || content === undefined ? [] : [content];
  return blocks.map((block: unknown) => ({ type: 'text', text: contentText(block) }));
}

/** What is declared at all is declared as an object. */
function capabilitiesOf(capabilities: unknown): Json {
  if (!isObject(capabilities)) return {};
  return Object.fromEntries(
    Object.entries(capabilities)
      .filter(([, value]) => value !== false && value !== undefined)
      .map(([name, value]) => [name, isObject(value) ? withoutNulls(value) : {}]),
  );
}

function serverInfoOf(info: unknown): Json {
  const { name, version } = isObject(info) ? info : {};
  return { name: textOf(name) || 'unknown', version: textOf(version) || 'unknown' };
}

/** Without the members that are null, and without a `_meta` that is no object. */
function withoutNulls(value: Json): Json {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, member]) => member !== null && (name !== '_meta' || isObject(member)))
      .map(([name, member]) => [name, name === '_meta' ? metaOf(member as Json) : member]),
  );
}

function metaOf(meta: Json): Json {
  return Object.fromEntries(
    Object.entries(meta).filter(
      ([name, member]) =>
        member !== null && (name !== 'progressToken' || typeof member === 'string' || Number.isInteger(member)),
    ),
  );
}

function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : null;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { ANSWER_LIMITS } from '../answer-limits.js';
import { UnusableAnswerError } from '../model-failure.js';
import { plainCallId } from '../tool-call-id.js';
import { JsonExtent } from './json-extent.js';
import { isObject, numberOf, parsedJson, wordsOf, type JsonObject } from './json-value.js';

/** A piece of a tool call, as the SDK reads it: name and id with the first one only. */
export interface ToolCallPiece {
  index: number;
  id?: string;
  function: { name?: string; arguments: string };
}

interface OpenCall {
  position: number;
  /** The endpoint's own index. */
  index: number | undefined;
  id: string | undefined;
  name: string;
  extent: JsonExtent;
  /** What has not been passed on: empty arguments stand in for what follows until they turn out to be all. */
  held: string;
  isAnnounced: boolean;
  /** Fields beside the usual ones, which the endpoint may want back. */
  extra: JsonObject;
}

/** Fields beside the usual ones that are kept of one call. */
const MOST_EXTRAS = 8;
const USUAL = new Set(['index', 'id', 'type', 'function', 'name', 'arguments', 'input', 'parameters', 'args']);

/** Gathers the tool calls of one answer from whatever pieces an endpoint sends, each call under a number of its own. */
export class ToolCallPieces {
  private readonly calls: OpenCall[] = [];

  get isEmpty(): boolean {
    return this.calls.length === 0;
  }

  /** By position, the fields of each call that the endpoint may want back. */
  get extras(): Record<string, JsonObject> {
    const extras: Record<string, JsonObject> = {};
    for (const { position, extra } of this.calls) if (Object.keys(extra).length > 0) extras[position] = extra;
    return extras;
  }

  /** The pieces that `toolCalls`, the field of a delta or of a message, holds. `isWhole` says that they are whole calls. */
  take(toolCalls: unknown, isWhole: boolean): ToolCallPiece[] {
    const given = typeof toolCalls === 'string' ? parsedJson(toolCalls) : toolCalls;
    const isNumbered = isObject(given) && Object.keys(given).every((key) => /^\d+$/.test(key));
    const entries: unknown[] = Array.isArray(given) ? given : isNumbered ? Object.values(given) : [given];
    return entries.flatMap((entry) => (isObject(entry) ? this.takeOne(entry, isWhole) : []));
  }

  /** What was held back until no more could follow. */
  end(): ToolCallPiece[] {
    return this.calls.flatMap((call) => (call.isAnnounced && call.held === '' ? [] : [this.pass(call)]));
  }

  private takeOne(entry: JsonObject, isWhole: boolean): ToolCallPiece[] {
    const inner = isObject(entry.function) ? entry.function : entry;
    const index = numberOf(entry.index);
    const id = typeof entry.id === 'number' ? String(entry.id) : wordsOf(entry.id);
    const name = toolName(inner.name ?? entry.function);
    const pieces = argumentsText(inner.arguments ?? inner.input ?? inner.parameters ?? inner.args);
    const known = isWhole ? undefined : this.known(index, id, name);
    if (!known && name === undefined && id === undefined && pieces === '') return [];
    const call = known ?? this.open(index, id);
    if (call.name === '' && name !== undefined) call.name = name;
    call.id ??= id;
    for (const [key, value] of Object.entries(entry)) {
      const isNew = !Object.hasOwn(call.extra, key);
      if (USUAL.has(key) || value === null || (isNew && Object.keys(call.extra).length >= MOST_EXTRAS)) continue;
      call.extra[key] = value;
    }
    // Some servers open a call with "{}" and then send the real arguments.
    if (call.held === '{}' && pieces.trimStart().startsWith('{')) {
      call.held = '';
      call.extent = new JsonExtent();
    }
    call.extent.add(pieces);
    call.held += pieces;
    const waits = call.name === '' || call.held === '{}';
    return waits || (call.isAnnounced && call.held === '') ? [] : [this.pass(call)];
  }

  /** The call that a piece goes on with; undefined when it begins one. */
  private known(index: number | undefined, id: string | undefined, name: string | undefined): OpenCall | undefined {
    const last = this.calls.at(-1);
    const sameId = id === undefined ? undefined : this.calls.findLast((call) => call.id === id);
    if (index === undefined) {
      if (sameId) return name !== undefined && sameId.extent.isWhole ? undefined : sameId;
      // A name begins a call, save that some repeat it with each piece.
      if (id !== undefined && last?.id !== undefined) return undefined;
      return last && (name === undefined || (name === last.name && !last.extent.isWhole)) ? last : undefined;
    }
    const sameIndex = this.calls.findLast((call) => call.index === index);
    if (!sameIndex) return undefined;
    if (name === undefined || sameIndex.name === '') return sameIndex;
    // Servers that number every call 0 name each one; those that repeat name or id with each piece do not complete it first.
    const isOther = sameIndex.name !== name || (sameIndex.extent.isWhole && (id === undefined || id !== sameIndex.id));
    return isOther ? undefined : sameIndex;
  }

  private open(index: number | undefined, id: string | undefined): OpenCall {
    const position = this.calls.length;
    if (position >= ANSWER_LIMITS.toolCalls) throw new UnusableAnswerError('asked for too many tool calls');
    const call = { position, index, id, name: '', extent: new JsonExtent(), held: '', isAnnounced: false, extra: {} };
    this.calls.push(call);
    return call;
  }

  private pass(call: OpenCall): ToolCallPiece {
    const isFirst = !call.isAnnounced;
    const piece: ToolCallPiece = {
      index: call.position,
      ...(isFirst && { id: call.id ?? plainCallId(`call ${call.position}`) }),
      function: { ...(isFirst && { name: call.name || 'unknown' }), arguments: call.held },
    };
    call.isAnnounced = true;
    call.held = '';
    return piece;
  }
}

/** A tool's name without what chat templates leave around it; no tool is offered by a name that holds a dot or a bracket. */
function toolName(value: unknown): string | undefined {
  const name = wordsOf(value)?.trim();
  const bare = name?.replace(/<[|｜].*$/s, '').replace(/^(?:functions?|tools?|default_api)[.:]/i, '');
  return wordsOf(bare?.replace(/:\d+$/, '')) ?? name;
}

function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../platform/canonical-json/index.js';
import { z } from 'zod';
import { storableJson } from '../../../platform/database/index.js';
import { annotationFault } from './annotation-fault.js';
import { shownSchema, type ShownSchema } from './shown-schema.js';

/** A tool as a server defines it, made harmless to show: what it may call itself, what it says, what it takes. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  /** As the server has it, with `$schema` when it names a dialect that is known. */
  readonly inputSchema: Record<string, unknown>;
  /** What models are shown of `inputSchema`, and what leads back from it. */
  readonly shown: ShownSchema;
  /** Of everything that the server says about the tool. */
  readonly hash: string;
  /** Everything that the server says about the tool, for people: without secrets, long texts cut; null where it is too much. */
  readonly said: Record<string, unknown> | null;
}

const MAX_DESCRIPTION_BYTES = 2 * 1024;
const MAX_SCHEMA_BYTES = 64 * 1024;
const MAX_SCHEMA_DEPTH = 32;
const MAX_SAID_TEXT = 8 * 1024;
const MAX_SAID_BYTES = 128 * 1024;
const MAX_SCHEMA_NODES = 4_000;

/** Controls, formats (zero-width, bidirectional, tags), private, unassigned and separator characters. */
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|\p{Default_Ignorable_Code_Point}/gu;
const NAME = /^[\x21-\x7e]{1,128}$/;
const DIALECT = /^https?:\/\/json-schema\.org\/(?:draft\/(?:2020-12|2019-09)|draft-0[67])\/schema#?$/;

const rawTool = z.object({
  name: z.string(),
  description: z.string().nullish().catch(null),
  inputSchema: z.record(z.string(), z.unknown()),
  annotations: z.object({ destructiveHint: z.boolean().nullish() }).nullish().catch(null),
});

/** `text` without what a person would not see, at most `maxBytes` of UTF-8. */
export function visibleText(text: string, maxBytes = MAX_DESCRIPTION_BYTES): string {
  // What is far too long is cut first: the rest costs time in proportion to it.
  const clean = text
    .slice(0, maxBytes * 2)
    .toWellFormed()
    .replace(UNSEEN, '')
    .trim();
  const bytes = Buffer.from(clean);
  if (bytes.length <= maxBytes) return clean;
  const notice = '…';
  let end = maxBytes - Buffer.byteLength(notice);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end) + notice;
}

/**
 * The definition in `raw`, or why the tool cannot be offered. `hide` takes secrets out of what models read. The server's
 * annotations can only add a warning.
 */
export function defineTool(raw: unknown, hide: (text: string) => string): ToolDefinition | { fault: string } {
  try {
    return definitionOf(raw, hide);
  } catch {
    // What is nested too deeply for the stack.
    return { fault: 'a tool is defined in a way that cannot be read' };
  }
}

function definitionOf(raw: unknown, hide: (text: string) => string): ToolDefinition | { fault: string } {
  const parsed = rawTool.safeParse(raw);
  if (!parsed.success) return { fault: `${named(raw)} is not defined as the protocol says` };
  const { name, description, inputSchema, annotations } = parsed.data;
  if (!NAME.test(name)) return { fault: 'the name of a tool is not 1 to 128 printable characters' };
  const fault = schemaFault(inputSchema) ?? annotationFault(inputSchema);
  if (fault !== null) return { fault: `the tool ${name} cannot be offered: ${fault}` };
  const said = visibleText(hide(description ?? ''));
  const visible = { ...dialect(inputSchema), ...(visibleSchema(inputSchema, hide) as Record<string, unknown>) };
  const warning = annotations?.destructiveHint === true ? 'Its server says that it may destroy things.' : '';
  return {
    name,
    description: [said, warning].filter((part) => part !== '').join('\n') || `The tool ${name}.`,
    inputSchema: visible,
    shown: shownSchema(visible),
    hash: createHash('sha256').update(canonicalJson(raw)).digest('hex'),
    said: saidOf(raw, hide),
  };
}

/** How a tool is called that is not defined as it should be. */
function named(raw: unknown): string {
  const name = (raw as { name?: unknown } | null)?.name;
  return typeof name === 'string' && NAME.test(name) ? `the tool ${name}` : 'a tool';
}

/** Why arguments cannot safely be checked against `schema`; null when they can. */
export function schemaFault(schema: Record<string, unknown>): string | null {
  const types = [schema['type'] ?? 'object'].flat();
  if (!types.includes('object')) return 'its arguments are not an object';
  let nodes = 0;
  let level: unknown[] = [schema];
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_SCHEMA_DEPTH) return `its schema is more than ${MAX_SCHEMA_DEPTH} levels deep`;
    const next: unknown[] = [];
    for (const node of level) {
      nodes += 1;
      if (nodes > MAX_SCHEMA_NODES) return `its schema has more than ${MAX_SCHEMA_NODES} parts`;
      if (typeof node !== 'object' || node === null) continue;
      for (const [key, value] of Object.entries(node)) {
        if (/^\$(ref|dynamicRef|recursiveRef)$/.test(key) && typeof value === 'string' && !value.startsWith('#')) {
          return 'its schema refers to another document';
        }
        next.push(value);
      }
    }
    level = next;
  }
  if (Buffer.byteLength(JSON.stringify(schema)) > MAX_SCHEMA_BYTES) return 'its schema is larger than 64 KiB';
  return null;
}

/** `raw` to be kept and looked at. */
function saidOf(raw: unknown, hide: (text: string) => string): Record<string, unknown> | null {
  const cut = (text: string): string =>
    text.length <= MAX_SAID_TEXT ? text : `${text.slice(0, MAX_SAID_TEXT)}… (${text.length} characters in all)`;
  const told = JSON.stringify(raw, (_key, inner: unknown) => (typeof inner === 'string' ? cut(hide(inner)) : inner));
  return Buffer.byteLength(told) > MAX_SAID_BYTES ? null : storableJson(JSON.parse(told) as Record<string, unknown>);
}

function dialect({ $schema }: Record<string, unknown>): { $schema?: string } {
  return typeof $schema === 'string' && DIALECT.test($schema) ? { $schema } : {};
}

/**
 * `schema` with its texts for people made visible and no secret in what is only shown; `$schema` and `$id` mean nothing to
 * models. Depth is bounded before.
 */
function visibleSchema(node: unknown, hide: (text: string) => string): unknown {
  if (Array.isArray(node)) return node.map((item) => visibleSchema(item, hide));
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => !((key === '$schema' || key === '$id') && typeof value === 'string'))
      .map(([key, value]) => {
        if ((key === 'description' || key === 'title') && typeof value === 'string') {
          return [key, visibleText(hide(value))];
        }
        if (key === 'default' || key === 'examples') {
          const hidden = (_key: string, inner: unknown): unknown => (typeof inner === 'string' ? hide(inner) : inner);
          return [key, JSON.parse(JSON.stringify(value), hidden) as unknown];
        }
        return [key, visibleSchema(value, hide)];
      }),
  );
}

import type { Redactor } from '../redactor.js';
import type { Session } from '../session.js';
import type { ToolPin } from '../mcp-server.js';
import { defineTool, type ToolDefinition } from './tool-definition.js';

export interface ListedTools {
  /** How many the server lists. */
  listed: number;
  /** Those that can be called. */
  active: ToolDefinition[];
  /** All that are defined as they should be, by name, those that are held back too. */
  present: ReadonlyMap<string, ToolPin>;
  /** What is held back, for people. */
  notes: string[];
}

/** Pins tools that were never seen; tells the hashes that hold. */
export type PinTools = (
  hashes: ReadonlyMap<string, string>,
  definitions: ReadonlyMap<string, Record<string, unknown> | null>,
) => Promise<ReadonlyMap<string, string>>;

/** The tools of a server, without those that cannot be offered and those that are not what they were when first seen. */
export async function listTools(
  session: Session,
  words: Redactor,
  pin: PinTools,
  signal: AbortSignal,
): Promise<ListedTools> {
  const { tools: raw, more } = await session.listTools(signal);
  const notes: string[] = more ? [`Left out: all tools after the first ${raw.length}.`] : [];
  const definitions = new Map<string, ToolDefinition>();
  for (const one of raw) {
    const tool = defineTool(one, (text) => words.hide(text));
    if ('fault' in tool) notes.push(`Left out: ${words.clean(tool.fault)}.`);
    else if (definitions.has(tool.name)) notes.push(`Left out: a second tool named ${tool.name}.`);
    else definitions.set(tool.name, tool);
  }
  const hashes = new Map([...definitions.values()].map((tool) => [tool.name, tool.hash]));
  const said = new Map([...definitions.values()].map((tool) => [tool.name, tool.said]));
  const pins: ReadonlyMap<string, string> = hashes.size === 0 ? new Map() : await pin(hashes, said);
  const active = [...definitions.values()].filter((tool) => pins.get(tool.name) === tool.hash);
  for (const { name, hash } of definitions.values()) {
    if (pins.get(name) === hash) continue;
    notes.push(`The tool ${name} is not what it was when it was first seen, and is quarantined until it is accepted.`);
  }
  const present = new Map(
    [...definitions.values()].map(({ name, hash, said: definition }) => [name, { hash, definition }]),
  );
  return { listed: raw.length, active, present, notes };
}

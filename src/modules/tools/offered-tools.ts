import { z } from 'zod';
import { estimateTokens, type OfferedTool } from '../llm/index.js';
import { parseArguments } from './fit-arguments.js';
import { wrapToolOutput } from './tool-output.js';
import type { ToolResult } from './tool.js';

/** The tool by which a model gets at those that are not offered at first. */
export const SEARCH_TOOLS = 'search_tools';

/** Of an agent's context, for the definitions of tools. */
const SHARE = 0.25;
/** What providers take in one request. */
const MOST_TOOLS = 128;
/** Of both, for what is offered from the first; the rest is for what is loaded. */
const OFFERED_AT_ONCE = 2 / 3;
const MOST_FOUND = 5;
const MOST_NAMED = 20;

const searchArguments = z.object({ query: z.string().max(1_000) });

/**
 * The tools that one conversation shows its model. Their definitions take at most a quarter of the agent's context and 128
 * places. Where not all fit, the first ones that do are offered, and `search_tools` loads others: they are appended, so that
 * what a provider remembers of a request's beginning holds, and the ones loaded first make room for later ones.
 */
export class OfferedTools {
  private readonly atOnce: OfferedTool[];
  private readonly deferred: ReadonlyMap<string, OfferedTool>;
  private loaded: OfferedTool[] = [];

  constructor(
    all: readonly OfferedTool[],
    private readonly maxContextTokens: number,
  ) {
    if (this.fits(all)) {
      this.atOnce = [...all];
      this.deferred = new Map();
      return;
    }
    const offered: OfferedTool[] = [];
    // The search tool tells of groups only, so what it says of the rest hardly depends on what is left out.
    let tokens = tokensOf(searchTool(all));
    for (const tool of all) {
      tokens += tokensOf(tool);
      if (tokens > this.budget * OFFERED_AT_ONCE || offered.length + 1 >= MOST_TOOLS * OFFERED_AT_ONCE) break;
      offered.push(tool);
    }
    const rest = all.slice(offered.length);
    this.deferred = new Map(rest.map((tool) => [tool.name, tool]));
    this.atOnce = [...offered, searchTool(rest)];
  }

  /** What the model is shown now. */
  get list(): OfferedTool[] {
    return [...this.atOnce, ...this.loaded];
  }

  /** Names of the tools that are not offered from the first. */
  get leftOut(): string[] {
    return [...this.deferred.keys()];
  }

  /** Tokens that all definitions together may have. */
  get budget(): number {
    return Math.floor(this.maxContextTokens * SHARE);
  }

  /** Loads what the query in `rawArguments` names or describes, and tells the model so. */
  search(rawArguments: string): ToolResult {
    const query = queryOf(rawArguments);
    if (query === null)
      return { text: `The arguments of "${SEARCH_TOOLS}" are not valid: give a query.`, isError: true };
    const matching = this.matching(query);
    const found = matching.map(([tool]) => tool);
    // Where tools are named whole, the others that hold the same words are not meant.
    const best = matching
      .filter(([, points]) => points * 2 >= (matching[0]?.[1] ?? 0))
      .slice(0, MOST_FOUND)
      .map(([tool]) => tool);
    const ready: OfferedTool[] = [];
    const unfit: OfferedTool[] = [];
    const before = this.loaded.map(({ name }) => name);
    for (const tool of best) (this.load(tool, ready) ? ready : unfit).push(tool);
    const now = new Set(this.loaded.map(({ name }) => name));
    const named = (tools: readonly OfferedTool[]): string => tools.map(({ name }) => name).join(', ');
    const gone = before.filter((name) => !now.has(name));
    const others = found.slice(best.length, best.length + MOST_NAMED);
    const said = [
      ...(ready.length > 0 ? ['These tools can be called from now on:'] : []),
      ...ready.map(({ name, description }) => `- ${name}: ${description.slice(0, 300)}`),
      ...(unfit.length > 0 ? [`No room is left for the definitions of: ${named(unfit)}.`] : []),
      ...(gone.length > 0 ? [`To make room, these were put away again: ${gone.join(', ')}.`] : []),
      ...(others.length > 0 ? [`Also found, and loaded by their names: ${named(others)}.`] : []),
      ...(found.length === 0 ? [`No further tool matches. There are ${groupsOf([...this.deferred.values()])}.`] : []),
    ];
    return { text: wrapToolOutput(SEARCH_TOOLS, said.join('\n'), false) };
  }

  private load(tool: OfferedTool, keep: readonly OfferedTool[]): boolean {
    if (this.loaded.includes(tool)) return true;
    const loaded = [...this.loaded, tool];
    while (!this.fits([...this.atOnce, ...loaded])) {
      const oldest = loaded.findIndex((one) => one !== tool && !keep.includes(one));
      if (oldest === -1) return false;
      loaded.splice(oldest, 1);
    }
    this.loaded = loaded;
    return true;
  }

  private fits(tools: readonly OfferedTool[]): boolean {
    return tools.length <= MOST_TOOLS && estimateTokens(JSON.stringify(tools)) <= this.budget;
  }

  /** Best first: what is named whole, then by how many words of the query a tool's name and description hold. */
  private matching(query: string): (readonly [OfferedTool, number])[] {
    const names = new Set(query.split(/[\s,;"'`]+/));
    const words = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])].slice(0, 30);
    const score = ({ name, description }: OfferedTool): number => {
      if (names.has(name)) return Number.MAX_SAFE_INTEGER;
      const [inName, inText] = [name.toLowerCase(), description.toLowerCase()];
      return words.reduce((sum, word) => sum + (inName.includes(word) ? 3 : 0) + (inText.includes(word) ? 1 : 0), 0);
    };
    return [...this.deferred.values()]
      .map((tool) => [tool, score(tool)] as const)
      .filter(([, points]) => points > 0)
      .sort(([, a], [, b]) => b - a);
  }
}

function searchTool(left: readonly OfferedTool[]): OfferedTool {
  return {
    name: SEARCH_TOOLS,
    description:
      `Finds tools that are not shown and makes them callable. There are ${groupsOf(left)}. ` +
      'Give words of what is to be done, or names.',
    inputSchema: {
      type: 'object',
      properties: { query: { type: 'string', description: 'Words, or names of tools' } },
      required: ['query'],
      additionalProperties: false,
    },
  };
}

/** `12 of github, 3 of others`: how many tools each server has here. */
function groupsOf(tools: readonly OfferedTool[]): string {
  const counts = new Map<string, number>();
  for (const { name } of tools) {
    const group = /^mcp__(.+?)__/.exec(name)?.[1] ?? 'this service';
    counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  const groups = [...counts].map(([group, count]) => `${count} of ${group}`);
  const shown = groups.slice(0, 8);
  return [...shown, ...(groups.length > shown.length ? [`more of ${groups.length - shown.length} servers`] : [])].join(
    ', ',
  );
}

function queryOf(rawArguments: string): string | null {
  try {
    const parsed = searchArguments.safeParse(parseArguments(rawArguments));
    return parsed.success && parsed.data.query.trim() !== '' ? parsed.data.query : null;
  } catch {
    return null;
  }
}

function tokensOf(tool: OfferedTool): number {
  return estimateTokens(`${JSON.stringify(tool)},`);
}

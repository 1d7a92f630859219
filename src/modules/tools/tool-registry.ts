import { addAbortListener } from 'node:events';
import { Injectable, Logger } from '@nestjs/common';
import { z } from 'zod';
import type { SandboxTier } from '../../config/index.js';
import { Scrubber } from '../../platform/logging/index.js';
import type { OfferedTool } from '../llm/index.js';
import { fitArguments, parseArguments } from './fit-arguments.js';
import { capText, wrapToolOutput } from './tool-output.js';
import {
  TreeUnavailableError,
  type AllowedTools,
  type CallPlace,
  type Tool,
  type ToolContext,
  type ToolResult,
  type ToolSource,
  type WorkingTree,
} from './tool.js';
import { wireName } from './wire-name.js';

/** How long a tool may take to wind down after its signal aborted, before its call ends without it. */
const WIND_DOWN_MS = 5_000;

/** One group of tools as `GET /tools` lists it. */
export interface ToolCategory {
  category: string;
  source: 'builtin' | 'mcp';
  tools: { name: string; description: string }[];
}

/**
 * Every tool there is. What a model is shown and what it may call come from the same list and the same check, so a tool
 * that was not allowed is refused when called, not only hidden.
 */
@Injectable()
export class ToolRegistry {
  private readonly logger = new Logger(ToolRegistry.name);
  private readonly builtin = new Map<string, Tool>();
  private readonly sources = new Map<string, ToolSource>();
  private readonly schemas = new WeakMap<Tool, Record<string, unknown>>();

  constructor(private readonly scrubber: Scrubber = new Scrubber()) {}

  /** Adds a tool for good. @throws Error when its name is taken. */
  register(tool: Tool): void {
    if (this.builtin.has(tool.name)) throw new Error(`The tool ${tool.name} is registered twice.`);
    this.builtin.set(tool.name, tool);
  }

  /** Adds tools that come and go; one source a group, the newest wins. Returns what takes it away again. */
  registerGroup(source: ToolSource): () => void {
    this.sources.set(source.group, source);
    return () => {
      if (this.sources.get(source.group) === source) this.sources.delete(source.group);
    };
  }

  /** The tool `name`, by its own name or the one models are shown; null when there is none now. */
  find(name: string): Tool | null {
    return this.byWireName().get(wireName(name)) ?? null;
  }

  /** Whether `entry` of an allow-list names a tool or a group that exists now. */
  isKnown(entry: string): boolean {
    return this.sources.has(entry) || this.all().some((tool) => tool.name === entry || tool.group === entry);
  }

  /** What a model is shown: the tools that `allowed` holds and that work in `tier`. */
  offered(allowed: AllowedTools, tier: SandboxTier): OfferedTool[] {
    return [...this.byWireName()]
      .filter(([, tool]) => isAllowed(tool, allowed) && tool.tiers.includes(tier))
      .map(([name, tool]) => ({ name, description: tool.description, inputSchema: this.inputSchema(tool) }));
  }

  /**
   * Runs the call of a model: `name` as it was offered, `rawArguments` as the model wrote them. Everything that goes wrong
   * becomes an error result that tells the model what did.
   * @throws `context.signal.reason`, when it aborts; TreeUnavailableError; and nothing else.
   */
  async execute(name: string, rawArguments: string, allowed: AllowedTools, context: ToolContext): Promise<ToolResult> {
    context.signal.throwIfAborted();
    const shown = capText(name, 100);
    const tool = this.find(name);
    if (tool === null) return refusal(`There is no tool "${shown}".`);
    if (!isAllowed(tool, allowed)) return refusal(`The tool "${shown}" is not allowed here.`);
    if (!tool.tiers.includes(context.tier)) {
      return refusal(`The tool "${shown}" does not work in the sandbox tier "${context.tier}".`);
    }
    let args: unknown;
    try {
      args = parseArguments(rawArguments);
    } catch {
      return refusal(`The arguments of "${shown}" are not valid JSON.`);
    }
    const check = (given: unknown): Parsed | Promise<Parsed> =>
      tool.checkedApart ? tool.schema.safeParseAsync(given) : tool.schema.safeParse(given);
    const first = check(args);
    const asGiven = first instanceof Promise ? await first : first;
    const second = asGiven.success ? asGiven : check(fitArguments(this.inputSchema(tool), args));
    const parsed = second instanceof Promise ? await second : second;
    if (!parsed.success) {
      return refusal(`The arguments of "${shown}" are not valid:\n${capText(z.prettifyError(parsed.error), 4_000)}`);
    }
    const { tree } = context;
    const run = (place: Partial<CallPlace>): Promise<ToolResult> =>
      this.run(tool, parsed.data, { ...context, ...place, allowed });
    const result = await (tree?.attend?.(tool, run) ??
      run(tree === undefined ? {} : await this.place(tool, context, tree)));
    // Also of a call that only starts what works there.
    return (context.tree?.root ?? null) === null ? result : { ...result, inTree: true };
  }

  /** All tools by group, for people. */
  describe(): ToolCategory[] {
    const categories = new Map<string, ToolCategory>();
    for (const source of this.sources.keys()) {
      categories.set(source, { category: source, source: 'mcp', tools: [] });
    }
    for (const { name, group, description } of this.byWireName().values()) {
      const category = categories.get(group) ?? { category: group, source: 'builtin', tools: [] };
      category.tools.push({ name, description });
      categories.set(group, category);
    }
    return [...categories.values()].sort(
      (a, b) => a.source.localeCompare(b.source) || a.category.localeCompare(b.category),
    );
  }

  /** An allow-list of what both hold: for work that an agent starts, which gets no tool that its caller lacks. */
  both(one: AllowedTools, other: AllowedTools): AllowedTools {
    if (one === null || other === null) return one ?? other;
    const shared = one.filter((entry) => other.includes(entry));
    const named = this.all().filter(
      (tool) => isAllowed(tool, one) && isAllowed(tool, other) && !isAllowed(tool, shared),
    );
    return [...new Set([...shared, ...named.map((tool) => tool.name)])];
  }

  /**
   * Whether `allowed` holds a tool that can change files. Null holds all; an entry that names nothing known now counts as
   * writing, since what it will name is not known either.
   */
  holdsWriting(allowed: AllowedTools): boolean {
    if (allowed === null) return true;
    if (allowed.some((entry) => !this.isKnown(entry))) return true;
    const empty = allowed.some((entry) => this.sources.has(entry) && this.sources.get(entry)?.tools().length === 0);
    return empty || this.all().some((tool) => tool.writes && isAllowed(tool, allowed));
  }

  /** Where the call works. Making a tree takes as long as it takes; the call's own time begins after it. */
  private async place(tool: Tool, context: ToolContext, tree: WorkingTree): Promise<Partial<CallPlace>> {
    try {
      if (tool.needsTree) return { root: await tree.open() };
      if (tree.root !== null) return { root: tree.root };
      const shows = tool.group === 'files' ? await tree.shows() : null;
      return shows === null ? {} : { shows };
    } catch (error) {
      context.signal.throwIfAborted();
      throw new TreeUnavailableError(error);
    }
  }

  private async run(tool: Tool, args: unknown, context: ToolContext): Promise<ToolResult> {
    const work = new AbortController();
    const listening = addAbortListener(context.signal, () => work.abort(context.signal.reason));
    const timer = setTimeout(() => work.abort(new ToolTimeoutError()), tool.timeoutMs);
    let windDown: NodeJS.Timeout | undefined;
    const gone = new Promise<never>((_, reject) => {
      work.signal.addEventListener('abort', () => {
        windDown = setTimeout(() => reject(work.signal.reason as Error), WIND_DOWN_MS);
      });
    });
    let result: ToolResult;
    try {
      result = await Promise.race([tool.run(args, { ...context, signal: work.signal }), gone]);
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(work.signal.reason instanceof ToolTimeoutError)) {
        this.logger.warn({ message: 'A tool failed', tool: tool.name, error });
      }
      result = { text: 'The tool failed.', isError: true };
    } finally {
      clearTimeout(timer);
      clearTimeout(windDown);
      listening[Symbol.dispose]();
    }
    context.signal.throwIfAborted();
    if (work.signal.aborted && result.isError) {
      const reason = `It did not end within ${tool.timeoutMs / 1000} s and was stopped.`;
      result = { text: result.text === 'The tool failed.' ? reason : `${reason}\n${result.text}`, isError: true };
    }
    return {
      text: wrapToolOutput(wireName(tool.name), this.scrubber.scrubResult(result.text), result.isError ?? false),
      ...(result.isError ? { isError: true } : {}),
    };
  }

  private all(): Tool[] {
    const dynamic = [...this.sources.values()].flatMap((source) =>
      source.tools().filter((tool) => tool.group === source.group && tool.name.startsWith('mcp__')),
    );
    return [...this.builtin.values(), ...dynamic];
  }

  /** Where two tools want one name the first has it: built-in ones come first, so no server can take theirs. */
  private byWireName(): Map<string, Tool> {
    const tools = new Map<string, Tool>();
    for (const tool of this.all()) {
      const name = wireName(tool.name);
      if (!tools.has(name)) tools.set(name, tool);
    }
    return tools;
  }

  private inputSchema(tool: Tool): Record<string, unknown> {
    if (tool.inputSchema) return tool.inputSchema;
    let schema = this.schemas.get(tool);
    if (schema === undefined) {
      const { $schema: _, ...rest } = z.toJSONSchema(tool.schema, { io: 'input' }) as Record<string, unknown>;
      schema = rest;
      this.schemas.set(tool, schema);
    }
    return schema;
  }
}

type Parsed = z.ZodSafeParseResult<unknown>;

class ToolTimeoutError extends Error {}

function isAllowed(tool: Tool, allowed: AllowedTools): boolean {
  return allowed === null || allowed.includes(tool.name) || allowed.includes(tool.group);
}

function refusal(text: string): ToolResult {
  return { text, isError: true };
}

import { z } from 'zod';
import { LlmService } from '../llm/index.js';
import {
  AgentTool,
  PlatformTool,
  StartedWork,
  StartingTool,
  ToolRegistry,
  type ToolContext,
  type ToolResult,
} from '../tools/index.js';
import type { Agent } from './agent.js';
import { AgentsService } from './agents.service.js';

const MOST_LISTED = 200;

const nothing = z.strictObject({});

@AgentTool()
class ListAgentsTool extends PlatformTool<typeof nothing> {
  readonly name = 'list_agents';
  readonly description = 'Lists the agents of this service: id, name, status and model.';
  readonly schema = nothing;

  constructor(private readonly agents: AgentsService) {
    super();
  }

  protected async work(): Promise<ToolResult> {
    const agents = await this.agents.list({ limit: MOST_LISTED, offset: 0, after: null });
    const shown = agents.slice(0, MOST_LISTED).map((agent) => JSON.stringify(summary(agent)));
    if (agents.length > shown.length) shown.push('[… more …]');
    return { text: shown.length > 0 ? shown.join('\n') : 'There are no agents.' };
  }
}

const oneAgent = z.strictObject({ agent_id: z.uuid().describe('Id of the agent') });

@AgentTool()
class GetAgentInfoTool extends PlatformTool<typeof oneAgent> {
  readonly name = 'get_agent_info';
  readonly description = 'Shows an agent: its status, model, tools and instructions.';
  readonly schema = oneAgent;

  constructor(private readonly agents: AgentsService) {
    super();
  }

  protected async work(args: z.output<typeof oneAgent>): Promise<ToolResult> {
    const agent = await this.agents.get(args.agent_id.toLowerCase());
    const { tools, systemPrompt, fallbackModels, maxContextTokens } = agent.config;
    return {
      text: JSON.stringify({
        ...summary(agent),
        tools,
        fallback_models: fallbackModels,
        max_context_tokens: maxContextTokens,
        system_prompt: systemPrompt,
      }),
    };
  }
}

@AgentTool()
class ListAvailableModelsTool extends PlatformTool<typeof nothing> {
  readonly name = 'list_available_models';
  readonly description = 'Lists the models that agents can have, and which one is the default.';
  readonly schema = nothing;

  constructor(private readonly llm: LlmService) {
    super();
  }

  protected async work(): Promise<ToolResult> {
    const [models, standard] = await Promise.all([this.llm.available(), this.llm.defaultModel()]);
    return { text: [`default: ${standard ?? 'none'}`, ...models].join('\n') };
  }
}

const newAgent = z.strictObject({
  name: z.string().min(1).max(100),
  system_prompt: z.string().max(20_000).optional().describe('Instructions that stand before every conversation'),
  model: z.string().min(1).max(200).optional().describe('One of list_available_models; the default when left out'),
  tools: z
    .array(z.string().regex(/^[A-Za-z0-9_.:/-]{1,200}$/))
    .max(100)
    .optional()
    .describe('Names or groups of tools, of those that you have; none when left out'),
});

@AgentTool()
class CreateAgentTool extends StartingTool<typeof newAgent> {
  readonly name = 'create_agent';
  readonly description = 'Makes an agent, which can then be sent messages. It gets no tool that you do not have.';
  readonly schema = newAgent;

  constructor(
    started: StartedWork,
    private readonly agents: AgentsService,
    private readonly registry: ToolRegistry,
  ) {
    super(started);
  }

  protected async start(args: z.output<typeof newAgent>, context: ToolContext): Promise<ToolResult> {
    const agent = await this.agents.create(
      {
        name: args.name,
        systemPrompt: args.system_prompt ?? '',
        model: args.model ?? null,
        tools: [...(this.registry.both(args.tools ?? [], context.allowed ?? null) ?? [])],
        memoryTiers: [],
        maxContextTokens: 8_192,
        fallbackModels: [],
        metadata: { [`created_by_${context.work.kind}`]: context.work.id },
      },
      { anyModel: false, owner: context.owner },
    );
    return { text: JSON.stringify({ agent_id: agent.id, name: agent.config.name, tools: agent.config.tools }) };
  }
}

/** The tools by which agents see and make agents. */
export const AGENT_TOOLS = [ListAgentsTool, GetAgentInfoTool, ListAvailableModelsTool, CreateAgentTool];

function summary(agent: Agent): Record<string, unknown> {
  return { agent_id: agent.id, name: agent.config.name, status: agent.status, model: agent.config.model ?? 'default' };
}

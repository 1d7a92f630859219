import { narrower, type AppConfig, type SandboxTier } from '../../config/index.js';
import type { StoredAgent } from '../agents/index.js';
import type { AllowedTools, ToolContext, ToolRegistry } from '../tools/index.js';
import type { TurnRequest } from './turn.js';

/**
 * What a turn may touch: the agent's tools in the service's tier. Work that a tool started has no more than its caller. The
 * host tier is for the admin's turns only; everybody else's stay in the workspace.
 */
export function turnRights(
  config: Pick<AppConfig, 'workspace' | 'sandbox'>,
  registry: Pick<ToolRegistry, 'both'>,
  agent: Pick<StoredAgent, 'config'>,
  request: Pick<TurnRequest, 'owner' | 'inherited'>,
  turn: { id: string; signal: AbortSignal },
): { allowed: AllowedTools; context: ToolContext } {
  const { inherited, owner } = request;
  const own: SandboxTier = config.sandbox === 'host' && owner !== 'admin' ? 'workspace' : config.sandbox;
  const tier = inherited === undefined ? own : narrower(own, inherited.tier);
  return {
    allowed: inherited === undefined ? agent.config.tools : registry.both(agent.config.tools, inherited.allowed),
    context: {
      root: inherited?.root ?? config.workspace,
      tier,
      network: tier === 'host',
      owner,
      signal: turn.signal,
      work: { kind: 'turn', id: turn.id },
      depth: inherited?.depth ?? 0,
      ancestors: inherited?.ancestors ?? [],
      ...(inherited?.tree && { tree: inherited.tree }),
      ...(inherited?.spending && { spending: inherited.spending }),
    },
  };
}

/** Whether the turn has a work tree of its own: it may write, and no other work's tree is the place of what it writes. */
export function hasOwnTree(
  registry: Pick<ToolRegistry, 'holdsWriting'>,
  request: Pick<TurnRequest, 'inherited'>,
  { allowed, context }: ReturnType<typeof turnRights>,
): boolean {
  return request.inherited === undefined && context.tier !== 'isolated' && registry.holdsWriting(allowed);
}

import { z } from 'zod';
import {
  AgentTool,
  ancestorsBelow,
  StartedWork,
  StartingTool,
  type ToolContext,
  type ToolResult,
} from '../tools/index.js';
import { TurnsService } from './turns.service.js';

const schema = z.strictObject({
  agent_id: z.uuid().describe('Id of the agent'),
  message: z.string().min(1).max(100_000),
});

/** Lets an agent ask another one, as work of the same owner within the caller's own tier, tools and limits. */
@AgentTool()
export class SendMessageTool extends StartingTool<typeof schema> {
  readonly name = 'send_message_to_agent';
  readonly description = 'Sends a message to an agent and returns its answer. It has no tools that you do not have.';
  readonly schema = schema;
  override readonly timeoutMs = 300_000;

  constructor(
    started: StartedWork,
    private readonly turns: TurnsService,
  ) {
    super(started);
  }

  protected async start(args: z.output<typeof schema>, context: ToolContext, depth: number): Promise<ToolResult> {
    const { owner, root, tree, tier, signal, allowed = [], spending } = context;
    const turn = await this.turns.run(
      args.agent_id.toLowerCase(),
      {
        owner,
        origin: 'tool',
        prompt: [{ role: 'user', content: [{ type: 'text', text: args.message }] }],
        sessionId: null,
        taskType: null,
        metadata: {},
        answerWithinMs: 0,
        needsReaders: false,
        inherited: { depth, ancestors: ancestorsBelow(context), allowed, root, tree, tier, spending },
      },
      signal,
    );
    if (turn.status === 'completed') return { text: turn.response ?? '' };
    return { text: `The agent did not answer: ${turn.error?.message ?? turn.status}`, isError: true };
  }
}

import type { ToolResult } from '../../../../src/modules/tools/index.js';
import { Setup } from '../connection-setup.js';

interface Call {
  name: string;
  arguments: object;
}

/** What the suite tells a client about a scenario beside its server's URL. */
export interface ScenarioContext {
  toolCalls?: Call[];
}

/**
 * The client that the conformance suite examines: this service's own connection to the server at `url`, and its tools as a
 * model calls them. Calls what the suite asks for, else everything that is offered; tells how that went.
 */
export async function examined(url: string, context: ScenarioContext): Promise<{ connected: boolean; said: string }> {
  const setup = new Setup();
  try {
    const connection = await setup.connect(setup.server({ name: 'suite', transport: 'http', args: [], url }));
    const offered = new Map(connection.tools().map(({ definition }) => [definition.name, definition.inputSchema]));
    const calls =
      context.toolCalls?.map(withoutNulls) ??
      [...offered.keys()].map((name) => ({ name, arguments: args(name, offered) }));
    const answers: ToolResult[] = [];
    for (const call of calls) answers.push(await setup.call(`mcp__suite__${call.name}`, call.arguments));
    const { status, lastError } = connection.state();
    return { connected: status === 'connected', said: JSON.stringify({ status, lastError, calls, answers }) };
  } finally {
    await setup.end();
  }
}

/** The suite also gives null where a schema has no null. That is refused unsent, and the protocol takes it for left out. */
function withoutNulls(call: Call): Call {
  return {
    ...call,
    arguments: Object.fromEntries(Object.entries(call.arguments).filter(([, value]) => value !== null)),
  };
}

function args(name: string, offered: ReadonlyMap<string, object>): object {
  if (name === 'add_numbers') return { a: 2, b: 3 };
  if (name === 'json_schema_echo') return { schema: offered.get('json_schema_2020_12_tool') };
  // Everything that tools take that may not be offered, so that nothing else keeps them from being called.
  return { region: 'x', value: 'x', data: {}, items: [], nil: null, score: 1, field1: 'x', field2: 'x' };
}

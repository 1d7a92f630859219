// An MCP server over its standard streams that says everything exactly as its first argument (JSON) has it: `answers` are the
// lines that answer the calls of tools by name, `handshake` the one that answers initialize, with $id where the id of the
// request belongs; `flood` is a line that is written for ever once it is connected ($big: half a megabyte), `pages` the bytes of a page of tools of
// which there are ever more, `tools` what it lists.
import { createInterface } from 'node:readline';

const options = JSON.parse(process.argv[2] ?? '{}');
const write = (line) => process.stdout.write(`${line}\n`);
const say = (message) => write(JSON.stringify({ jsonrpc: '2.0', ...message }));
const answers = options.answers ?? {};
const tools =
  options.tools ?? [...Object.keys(answers), 'whole'].map((name) => ({ name, inputSchema: { type: 'object' } }));

function pageOf(cursor) {
  const from = Number(cursor ?? 0);
  const tool = { name: `t${from}`, description: 'x'.repeat(options.pages), inputSchema: { type: 'object' } };
  return { tools: [tool], nextCursor: String(from + 1) };
}

function flood() {
  const line = options.flood.replace('$big', 'x'.repeat(500_000));
  while (process.stdout.write(`${line}\n`));
  process.stdout.once('drain', flood);
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, method, params } = JSON.parse(line);
    const given = (text) => write(text.replaceAll('$id', id));
    if (method === 'notifications/initialized' && options.flood) flood();
    if (id === undefined) return;
    if (method === 'initialize' && options.handshake) given(options.handshake);
    else if (method === 'initialize')
      say({
        id,
        result: {
          protocolVersion: '2025-06-18',
          capabilities: { tools: {} },
          serverInfo: { name: 'odd', version: '1' },
        },
      });
    else if (method === 'tools/list') say({ id, result: options.pages ? pageOf(params?.cursor) : { tools } });
    else if (method === 'tools/call' && answers[params.name]) given(answers[params.name]);
    else if (method === 'tools/call') say({ id, result: { content: [{ type: 'text', text: 'all is well' }] } });
    else say({ id, error: { code: -32601, message: 'Method not found' } });
  })
  .on('close', () => process.exit(0));

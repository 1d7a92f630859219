// A small MCP server over its standard streams, without an SDK, with the faults that its first argument (JSON) asks for:
// era ('2024-11-05' … '2025-11-25'), tools (listed ones), pages (tools a page), garbage (lines before anything), stderr
// (lines at the start), silent (never answers; a text: if there is such a file at the start), exitOnProbe, pidFile, child
// (starts a grandchild that would live on, for `sleep` seconds),
// changed (what the tools say once `change` was called), toolsFile (JSON of the tools, read at each list), endlessPages
// (there is always one more), mute (does not answer what comes before its handshake), holdWhile (if there is such a file at the start, answers only once there is none), leak (tells
// its environment wherever a server can say something).
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const options = JSON.parse(process.argv[2] ?? '{}');
const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const text = (value) => ({ content: [{ type: 'text', text: value }] });
if (options.pidFile) appendFileSync(options.pidFile, `${process.pid}\n`);
if (options.child) {
  const child = spawn('sleep', [options.sleep ?? '1000'], { detached: options.child === 'detached', stdio: 'ignore' });
  if (options.pidFile) appendFileSync(options.pidFile, `${child.pid}\n`);
}
for (let line = 0; line < (options.garbage ?? 0); line += 1) process.stdout.write(`this is no message ${line}\n`);
for (let line = 0; line < (options.stderr ?? 0); line += 1)
  process.stderr.write(`a word on the error stream ${line}\n`);
if (options.ignoreTerm) process.on('SIGTERM', () => undefined);

const schema = { type: 'object', properties: { text: { type: 'string' } } };
let tools = options.tools ?? [
  { name: 'echo', description: 'Says it again.', inputSchema: { ...schema, required: ['text'] } },
  {
    name: 'slow',
    description: 'Answers after a while.',
    inputSchema: { type: 'object', properties: { ms: { type: 'number' } } },
  },
  { name: 'never', description: 'Never answers.', inputSchema: { type: 'object' } },
  { name: 'late', description: 'Answers when a call is cancelled.', inputSchema: { type: 'object' } },
  { name: 'die', description: 'Ends the server.', inputSchema: { type: 'object' } },
  {
    name: 'big',
    description: 'Answers with much.',
    inputSchema: { type: 'object', properties: { bytes: { type: 'number' } } },
  },
  { name: 'fail', description: 'Fails.', inputSchema: { type: 'object' } },
  { name: 'refuse', description: 'Refuses.', inputSchema: { type: 'object' } },
  { name: 'picture', description: 'Shows a picture.', inputSchema: { type: 'object' } },
  { name: 'data', description: 'Gives structured data.', inputSchema: { type: 'object' } },
  { name: 'environment', description: 'Tells its environment.', inputSchema: { type: 'object' } },
  {
    name: 'begun',
    description: 'Tells how many calls of "never" and "late" have come.',
    inputSchema: { type: 'object' },
  },
  { name: 'cancelled', description: 'Tells which calls were cancelled.', inputSchema: { type: 'object' } },
  { name: 'change', description: 'Changes its tools.', inputSchema: { type: 'object' } },
  { name: 'endless', description: 'Writes 100 MB without a line end.', inputSchema: { type: 'object' } },
  { name: 'flood', description: 'Floods its error stream.', inputSchema: { type: 'object' } },
  { name: 'processes', description: 'Tells what it finds of other processes.', inputSchema: { type: 'object' } },
];
const leaked = options.leak ? ` ${JSON.stringify(process.env)}` : '';
if (options.leak) {
  process.stderr.write(`${leaked}\n`);
  for (const tool of tools) {
    tool.description += leaked;
    tool.inputSchema = { ...tool.inputSchema, title: leaked, default: { env: [leaked] } };
  }
}
const cancelled = [];
const late = [];
let begun = 0;
const held = options.holdWhile && existsSync(options.holdWhile);
const silent = typeof options.silent === 'string' ? existsSync(options.silent) : options.silent;

const calls = {
  echo: ({ text: said }) => text(`you said: ${said}`),
  slow: async ({ ms }, progress) => {
    progress(1, 2, 'half way');
    await new Promise((resolve) => setTimeout(resolve, ms));
    return text('at last');
  },
  never: (_args, progress) => {
    begun += 1;
    progress(3, 10, `three of ten${leaked}`);
    return new Promise(() => undefined);
  },
  late: (_args, progress) => {
    begun += 1;
    progress(1, 1, 'nearly');
    return new Promise((resolve) => late.push(() => resolve(text('after all'))));
  },
  die: () => {
    process.stderr.write(`a fatal thing happened${leaked}\n`);
    // A secret that a cut would leave half of.
    if (options.leak) process.stderr.write(`${'.'.repeat(478)}${process.env.TOKEN}\n`);
    process.exit(7);
  },
  big: ({ bytes }) => text('x'.repeat(bytes)),
  fail: () => ({ ...text('it went wrong'), isError: true }),
  refuse: () => {
    throw new Error(`not today${leaked}`);
  },
  picture: () => ({ content: [{ type: 'image', mimeType: 'image/png', data: Buffer.alloc(300).toString('base64') }] }),
  data: () => ({ content: [], structuredContent: { answer: 42 } }),
  environment: () => text(JSON.stringify(process.env)),
  begun: () => text(`begun: ${begun}`),
  cancelled: () => text(JSON.stringify(cancelled)),
  change: () => {
    tools = options.changed ?? tools;
    say({ method: 'notifications/tools/list_changed' });
    return text('changed');
  },
  endless: async () => {
    const part = 'z'.repeat(1_000_000);
    for (let megabytes = 0; megabytes < 100; megabytes += 1)
      await new Promise((resolve) => process.stdout.write(part, resolve));
    return new Promise(() => undefined);
  },
  flood: () => {
    for (let line = 0; line < 20_000; line += 1) process.stderr.write(`flood ${line} ${'y'.repeat(200)}\n`);
    return text('flooded');
  },
  processes: () => {
    const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const read = (file) => {
      try {
        return readFileSync(file, 'latin1');
      } catch {
        return '';
      }
    };
    return text(found.map((pid) => read(`/proc/${pid}/environ`) + read(`/proc/${pid}/cmdline`)).join('\n'));
  },
};

async function answer({ id, method, params }) {
  if (method === 'notifications/cancelled') {
    cancelled.push(params.requestId);
    for (const say of late.splice(0)) say();
    return;
  }
  if (id === undefined || silent) return;
  while (held && existsSync(options.holdWhile)) await new Promise((resolve) => setTimeout(resolve, 20));
  if (method === 'initialize') {
    const capabilities = { tools: { listChanged: true } };
    say({
      id,
      result: {
        protocolVersion: options.era ?? '2025-06-18',
        capabilities,
        serverInfo: { name: 'small', version: '1' },
      },
    });
  } else if (method === 'ping') say({ id, result: {} });
  else if (method === 'tools/list') {
    if (options.toolsFile) tools = JSON.parse(readFileSync(options.toolsFile, 'utf8'));
    const size = options.pages ?? tools.length;
    const from = Number(params?.cursor ?? 0);
    say({
      id,
      result: {
        tools: tools.slice(from, from + size),
        ...(options.endlessPages || from + size < tools.length ? { nextCursor: String(from + size) } : {}),
      },
    });
  } else if (method === 'tools/call') {
    const progress = (done, total, message) => {
      const progressToken = params._meta?.progressToken;
      if (progressToken !== undefined)
        say({ method: 'notifications/progress', params: { progressToken, progress: done, total, message } });
    };
    try {
      const call = calls[params.name] ?? (() => text(`this was ${params.name}`));
      say({ id, result: await call(params.arguments ?? {}, progress) });
    } catch (error) {
      say({ id, error: { code: -32000, message: error.message } });
    }
  } else {
    if (options.exitOnProbe) process.exit(1);
    if (options.mute) return;
    say({ id, error: { code: -32601, message: 'Method not found' } });
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => void answer(JSON.parse(line)))
  .on('close', () => (options.ignoreEnd ? undefined : process.exit(0)));
if (options.ignoreEnd) setInterval(() => undefined, 1_000);

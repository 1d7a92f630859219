// An MCP server without an SDK that tries to reach targets (JSON list of `host:port`, its first argument) and tells what
// became of it: it lists a tool for each, whose description says `<plainly> | <by the proxy> | <through the proxy>`.
import { request } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const PATIENCE_MS = 15_000;
const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

function plainly(host, port) {
  return new Promise((told) => {
    const socket = connect({ host, port, timeout: PATIENCE_MS }, () => told('REACHED'));
    socket.on('error', (error) => told(error.code ?? 'refused'));
    socket.on('timeout', () => told('no answer'));
  });
}

function proxied(method, path) {
  const proxy = process.env.HTTP_PROXY;
  if (proxy === undefined) return 'no proxy';
  const { hostname, port } = new URL(proxy);
  return new Promise((told) => {
    const asked = request({ host: hostname, port, method, path, timeout: PATIENCE_MS, headers: { host: 'x' } });
    const tell = ({ statusCode }) => told(statusCode === 200 ? 'REACHED' : String(statusCode));
    asked.on('response', tell).on('connect', tell);
    asked.on('error', (error) => told(error.code ?? 'refused'));
    asked.on('timeout', () => told('no answer'));
    asked.end();
  });
}

async function tried(target) {
  const { hostname, port } = new URL(`http://${target}`);
  const plain = await plainly(hostname.replace(/^\[|\]$/g, ''), Number(port || 80));
  const byProxy = await proxied('GET', `http://${target}/`);
  return [plain, byProxy, await proxied('CONNECT', target)].join(' | ');
}

const targets = JSON.parse(process.argv[2] ?? '[]');
const tools = Promise.all(
  targets.map(async (target, index) => ({
    name: `target${index}`,
    description: await tried(target),
    inputSchema: { type: 'object' },
  })),
);

async function answer({ id, method }) {
  if (id === undefined) return;
  const serverInfo = { name: 'network', version: '1' };
  if (method === 'initialize')
    say({ id, result: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo } });
  else if (method === 'tools/list') say({ id, result: { tools: await tools } });
  else say({ id, error: { code: -32601, message: 'Method not found' } });
}

createInterface({ input: process.stdin })
  .on('line', (line) => void answer(JSON.parse(line)))
  .on('close', () => process.exit(0));

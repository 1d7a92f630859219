/** Where the proxy's socket is in a box that may reach the network. */
export const EGRESS_SOCKET = '/run/nova/egress';

/** Where Node is in such a box. */
export const BOX_NODE = '/run/nova/node';

const PORT = 3128;

/** How programs in the box are told of the proxy. */
export const PROXY_ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries([
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY', 'all_proxy'].map((name) => [
    name,
    `http://127.0.0.1:${PORT}`,
  ]),
  ['NO_PROXY', 'localhost,127.0.0.1,::1'],
  ['no_proxy', 'localhost,127.0.0.1,::1'],
  ['NODE_USE_ENV_PROXY', '1'],
]);

/**
 * Runs inside the box, where only loopback exists: programs know proxies by host and port, so a port is connected with the
 * mounted socket while the command runs. Ends with the command, as the command ended.
 */
const FORWARDER = `
const { connect, createServer } = require('node:net');
const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const server = createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ path: '${EGRESS_SOCKET}', allowHalfOpen: true });
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
  near.pipe(far).pipe(near);
});
server.listen(${PORT}, '127.0.0.1', () => {
  const [program, ...args] = process.argv.slice(1);
  const child = spawn(program, args, { stdio: 'inherit' });
  child.on('error', () => process.exit(127));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
});
`;

/** `command`, with the proxy beside it. */
export function withForwarder(command: readonly string[]): string[] {
  return [BOX_NODE, '--no-warnings', '-e', FORWARDER, '--', ...command];
}

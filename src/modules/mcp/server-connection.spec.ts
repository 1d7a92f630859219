import { beforeAll, afterAll, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { logContext, withLogContext, type LogContext } from '../../platform/logging/index.js';
import type { McpServer } from './mcp-server.js';
import { ServerConnection, type ConnectionPorts } from './server-connection.js';

beforeAll(() => Logger.overrideLogger(false));
afterAll(() => Logger.overrideLogger(true));

it('does not go on in the name of the request that began it', async () => {
  const seen: LogContext[] = [];
  const create = (): never => {
    seen.push(logContext());
    throw new Error('there is none');
  };
  const settings = { command: 'a', args: [], env: {}, url: null, headers: {} };
  const server = { name: 'a', transport: 'stdio', era: null, ...settings } as unknown as McpServer;
  const ports = { clock: new Clock(), transports: { create } } as unknown as ConnectionPorts;
  const connection = new ServerConnection(server, ports);
  withLogContext({ request_id: 'r-1' }, () => connection.start());
  await connection.settled(5_000);
  await connection.stop();
  expect(connection.state()).toMatchObject({ status: 'failed', lastError: expect.stringContaining('there is none') });
  expect(seen[0]).toEqual({});
});

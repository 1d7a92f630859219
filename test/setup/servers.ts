import Module from 'node:module';
import type { TestServers } from '../support/servers/test-servers.js';

/** Where set-up leaves the servers for teardown, which Jest loads as a module of its own. */
const SERVERS = Symbol.for('nova.test.servers');

interface Resolver {
  _resolveFilename(request: string, ...rest: unknown[]): string;
}

/**
 * Jest runs global set-up as CommonJS and outside its module mapper, while sources import each other as `./x.js`. From
 * here on such an import finds `./x.ts` in this process; the specs run in others or have Jest's own resolver.
 */
function resolveTypeScript(): void {
  const module = Module as unknown as Resolver;
  const original = module._resolveFilename.bind(Module);
  module._resolveFilename = (request, ...rest): string => {
    try {
      return original(request, ...rest);
    } catch (error) {
      if (!/^\.{1,2}\/.*\.js$/.test(request)) throw error;
      return original(request.replace(/\.js$/, '.ts'), ...rest);
    }
  };
}

/** Starts the servers that all projects of this run share, and tells specs through `process.env` where they are. */
// oxlint-disable-next-line import/no-default-export -- Jest calls the default export.
export default async function setUp(): Promise<void> {
  resolveTypeScript();
  const { startTestServers } = await import('../support/servers/test-servers.js');
  (globalThis as { [SERVERS]?: TestServers })[SERVERS] = await startTestServers();
}

import type { TestServers } from '../support/servers/test-servers.js';

/** Ends what `servers.ts` started. A run that is interrupted ends it too: see `temporary-folder.ts` and `spawnServer`. */
// oxlint-disable-next-line import/no-default-export -- Jest calls the default export.
export default async function tearDown(): Promise<void> {
  await (globalThis as { [key: symbol]: TestServers | undefined })[Symbol.for('nova.test.servers')]?.stop();
}

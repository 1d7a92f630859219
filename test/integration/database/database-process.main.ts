import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { AppConfig } from '../../../src/config/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { Database } from '../../../src/platform/database/index.js';
import { DatabaseBootstrap } from '../../../src/platform/database/database-bootstrap.js';

// What the service does about its database, as a process of its own that a test may kill. Tells its state line by line.

Logger.overrideLogger(false);
const tell = (event: object): void => void process.stdout.write(`${JSON.stringify(event)}\n`);
const bootstrap = new DatabaseBootstrap(AppConfig.from(process.env), new Database(), new Clock());
const quit = new AbortController();

process.on('SIGTERM', () => quit.abort());
// The test that started this process holds the other end.
process.stdin.resume().once('end', () => process.exit(1));
tell({ event: 'started' });
let last = '';
setInterval(() => {
  const state = bootstrap.state();
  if (JSON.stringify(state) === last) return;
  last = JSON.stringify(state);
  tell({ event: 'state', ...state });
}, 10);

void bootstrap.displaced.then((error) => {
  tell({ event: 'displaced', reason: error.message });
  process.exit(1);
});
try {
  await bootstrap.start(quit.signal);
  if (!quit.signal.aborted) await new Promise((resolve) => quit.signal.addEventListener('abort', resolve));
  await bootstrap.stop();
  process.exit(0);
} catch (error) {
  await bootstrap.stop();
  tell({ event: 'refused', reason: error instanceof Error ? error.message : '' });
  process.exit(quit.signal.aborted ? 0 : 1);
}

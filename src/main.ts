import './heap-growth.js';
import { clearedVariables } from './libraries-environment.js';
import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from './app.setup.js';
import {
  AppConfig,
  EnvironmentError,
  foreignLibpqVariables,
  isLoopbackHost,
  SECRET_VARIABLES,
  secretFileVariable,
} from './config/index.js';
import { assertWorkspaceAllowed } from './modules/tools/index.js';
import { DatabaseBootstrap } from './platform/database/index.js';
import { Lifecycle } from './platform/health/index.js';
import { JsonLogger, Scrubber } from './platform/logging/index.js';
import { Metrics } from './platform/telemetry/index.js';
import { Startup } from './startup.js';

/** What remains after the grace for answering, closing pools and flushing. */
const CLOSING_MS = 4_000;
/** How long a process that is told twice may take to give its leases back. */
const HASTE_MS = 2_000;

/** Settings may also stand in `.env` of the folder the service is started in; the environment wins. */
function loadEnvFile(): void {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') process.stderr.write(`.env is left out: it cannot be read (${code})\n`);
  }
}

function readConfig(): AppConfig {
  loadEnvFile();
  try {
    return AppConfig.from(process.env, assertWorkspaceAllowed);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    process.stderr.write(`The environment is not valid:\n${error.message.replace(/^/gm, '  ')}\n`);
    process.exit(1);
  }
}

async function main(): Promise<void> {
  const config = readConfig();
  const ignored = foreignLibpqVariables(process.env);
  for (const name of ignored) delete process.env[name];
  // Children inherit the environment; none of them needs these.
  for (const name of SECRET_VARIABLES)
    for (const form of [name, name.toLowerCase(), secretFileVariable(name)]) delete process.env[form];
  const scrubber = Scrubber.of(config);
  const json = new JsonLogger(config.logLevel, scrubber);
  const logger = new Logger('Main');
  Logger.overrideLogger(json);
  if (ignored.length > 0) logger.warn(`Not used: ${ignored.join(', ')}. How to connect stands in DATABASE_URL.`);
  if (clearedVariables.length > 0)
    logger.warn(`Not used: ${clearedVariables.join(', ')}. LOG_LEVEL says what is logged.`);
  if (process.env.NODE_DEBUG) logger.warn('NODE_DEBUG is set: what Node writes because of it may hold secrets.');

  let app: NestFastifyApplication | null = null;
  let signals = 0;
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      signals += 1;
      // Nothing was started yet, or the end is overdue.
      if (app === null) process.exit(0);
      if (signals === 1) void end(app, config, 0);
      else hurry(app.get(Lifecycle));
    });
  }
  process.on('uncaughtException', (error) => {
    // Nobody knows what the fault left half done; leases and the journal are made for this end.
    logger.fatal({ message: 'The process met an error that nobody handles, and ends', error });
    process.exit(1);
  });

  const created = await createApp(config, json, scrubber);
  process.on('unhandledRejection', (reason) => {
    created.get(Metrics).unhandledRejections.inc();
    logger.error({ message: 'A rejected promise was not handled', error: reason });
  });
  try {
    await created.listen(config.http.port, config.http.host);
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    process.stderr.write(`PORT ${config.http.port} at HOST ${config.http.host} cannot be listened on: ${code}\n`);
    process.exit(1);
  }
  app = created;
  announce(created, config, logger);

  const fatal = (error: Error): Promise<void> => {
    logger.fatal(error.message);
    process.stderr.write(`${error.message}\n`);
    return end(created, config, 1);
  };
  void created.get(DatabaseBootstrap).displaced.then(fatal);
  await created.get(Startup).run().catch(fatal);
}

function announce(app: NestFastifyApplication, config: AppConfig, logger: Logger): void {
  const { address, port, family } = app.getHttpServer().address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  logger.log({ message: `Listening on ${url}`, url });
  if (config.auth.required) return;
  const reach = isLoopbackHost(config.http.host)
    ? 'it is bound to loopback only'
    : 'NOVA_ALLOW_INSECURE lets everybody who reaches this address use it';
  logger.warn(`REQUIRE_AUTH is false, so no key is asked for at ${url}: ${reach}`);
}

let ending: Promise<void> | null = null;

/**
 * Ends the process: unready at once, then what runs has its grace, then connections and pools are closed. Past every
 * deadline it ends all the same; leases that could not be given back expire.
 */
function end(app: NestFastifyApplication, config: AppConfig, code: number): Promise<void> {
  ending ??= (async (): Promise<void> => {
    const lifecycle = app.get(Lifecycle);
    const graceMs = config.pipeline.graceSeconds * 1_000;
    const server = app.getHttpServer();
    const logger = new Logger('Main');
    lifecycle.beginDrain();
    logger.log('The service is shutting down');
    setTimeout(() => server.closeAllConnections(), graceMs + CLOSING_MS / 2).unref();
    setTimeout(() => process.exit(code), graceMs + CLOSING_MS).unref();
    lifecycle.hasteSignal.addEventListener('abort', () => server.closeAllConnections(), { once: true });
    try {
      await app.close();
      await app.get(DatabaseBootstrap).stop();
    } catch (error) {
      logger.error({ message: 'The shutdown was not clean', error });
    }
    process.exit(code);
  })();
  return ending;
}

function hurry(lifecycle: Lifecycle): void {
  lifecycle.hurry();
  setTimeout(() => process.exit(0), HASTE_MS).unref();
}

await main();

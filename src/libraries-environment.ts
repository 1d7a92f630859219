/**
 * Variables by which libraries do something else than the service asks of them, and nobody asked for: `pg` loads another driver,
 * `debug` (ioredis, the proxy agents) writes addresses with their passwords beside the log, Nest writes lines that are no JSON.
 */
const READ_BY_LIBRARIES = /^(?:NODE_PG_FORCE_NATIVE|DEBUG(?:_.*)?|NEST_DEBUG|NEST_LOG_LEVEL)$/;

/** Those that were set. Loading this module takes them away, so it comes before every library. */
export const clearedVariables: readonly string[] = Object.keys(process.env).filter((name) =>
  READ_BY_LIBRARIES.test(name),
);
for (const name of clearedVariables) delete process.env[name];

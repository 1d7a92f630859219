export { JsonLogger } from './json-logger.js';
export { logContext, withLogContext, withoutLogContext, type LogContext } from './log-context.js';
export { LoggingModule } from './logging.module.js';
export { hideShapes, Scrubber } from './scrubber.js';
export { SecretCover } from './secret-cover.js';

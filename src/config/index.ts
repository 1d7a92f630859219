export { AppConfig, isLoopbackHost, type LogLevel } from './app-config.js';
export { ConfigModule } from './config.module.js';
export { EnvironmentError } from './environment-error.js';
export { foreignLibpqVariables } from './libpq-variables.js';
export { parseRedisUrl } from './redis-url.js';
export { SECRET_VARIABLES, secretFileVariable } from './secret-variables.js';
export { isWithin, narrower, SANDBOX_TIERS, type SandboxTier } from './sandbox-tiers.js';
export { gitUser, type GitUser } from './git-environment.js';

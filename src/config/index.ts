export { AppConfig, isLoopbackHost, type LogLevel } from './app-config.js';
export { ConfigModule } from './config.module.js';
export { EnvironmentError, foreignLibpqVariables, SECRET_VARIABLES, secretFileVariable } from './environment.js';
export { parseRedisUrl } from './redis-url.js';
export { isWithin, narrower, SANDBOX_TIERS, type SandboxTier } from './sandbox-tiers.js';
export { gitUser, type GitUser } from './git-environment.js';

export { AppConfig, isLoopbackHost, type LogLevel, type ProcessRole } from './app-config.js';
export { ConfigModule } from './config.module.js';
export {
  EnvironmentError,
  foreignLibpqVariables,
  SANDBOX_TIERS,
  SECRET_VARIABLES,
  type SandboxTier,
} from './environment.js';
export { parseRedisUrl } from './redis-url.js';

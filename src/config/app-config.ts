import { resolve } from 'node:path';
import { EnvironmentError, type VariableFault } from './environment-error.js';
import type { Environment } from './environment.js';
import type { ModelOptions } from './model-options.js';
import type { ModelPrice } from './model-prices.js';
import { parseEnvironment } from './read-environment.js';
import type { SandboxTier } from './sandbox-tiers.js';

export type ProcessRole = 'api' | 'worker' | 'scheduler';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal';

const LOG_LEVEL: Record<string, LogLevel> = {
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  WARNING: 'warn',
  ERROR: 'error',
  CRITICAL: 'fatal',
};

/** Whether `host` is reachable from this machine only. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The service's settings: typed, with every default filled in, deep-frozen, injected by class. */
export class AppConfig {
  readonly production: boolean;
  readonly roles: readonly ProcessRole[];
  readonly dataDir: string;
  readonly workspace: string;
  readonly sandbox: SandboxTier;
  /** What a work tree may begin with; it may grow to twice that. */
  readonly trees: { readonly files: number; readonly bytes: number };
  /** Bytes of a disk that stay free; null is the smaller of 512 MiB and 5 %. */
  readonly disk: { readonly minFree: number | null };
  readonly logLevel: LogLevel;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly trustProxyHops: number;
    readonly connectionsPerAddress: number;
    readonly corsOrigins: readonly string[];
    readonly allowedHosts: readonly string[];
    readonly syncWaitSeconds: number;
  };
  readonly auth: {
    readonly required: boolean;
    readonly adminSecret: string | null;
    readonly anonymousRpm: number | null;
  };
  /** Event streams that this process holds open at a time, in all and for one API key. */
  readonly streams: { readonly most: number; readonly mostPerKey: number };
  /** Bounds on what one API key may hold at a time and on what the tools of one request may start in all. */
  readonly bounds: {
    readonly agents: number;
    readonly tasks: number;
    readonly turns: number;
    readonly bytes: number;
    readonly startedWork: number;
  };
  /** In base64; the first one seals. */
  readonly secrets: { readonly keys: readonly string[] };
  readonly database: { readonly url: string | null };
  readonly redis: { readonly url: string | null };
  readonly models: {
    readonly defaultModel: string | null;
    readonly gateway: { readonly baseUrl: string; readonly apiKey: string | null } | null;
    readonly ollamaBaseUrl: string | null;
    readonly streaming: boolean;
    /** Direct providers whose key is set, by prefix. */
    readonly direct: Readonly<Record<string, { readonly apiKey: string; readonly baseUrl: string | null }>>;
    /** USD per 10^6 tokens, by model id. */
    readonly prices: Readonly<Record<string, ModelPrice>>;
    /** By model id or provider. */
    readonly options: Readonly<Record<string, ModelOptions>>;
    /** Models an override may name; null allows all. */
    readonly allowed: readonly string[] | null;
    readonly deadlinesMs: {
      readonly connect: number;
      readonly firstByte: number;
      readonly idle: number;
      readonly total: number;
    };
  };
  readonly pipeline: {
    readonly maxConcurrent: number;
    readonly heartbeatSeconds: number;
    readonly staleSeconds: number;
    readonly reaperSeconds: number;
    readonly graceSeconds: number;
    readonly maxCrashes: number;
    readonly providerWaitSeconds: number;
  };
  readonly mcp: { readonly allowPrivateNetworks: boolean };
  /** Proxies to the network by the scheme of the URL, hosts that are reached without, and whether MCP servers may use them. */
  readonly proxy: {
    readonly http: string | null;
    readonly https: string | null;
    readonly except: readonly string[];
    readonly trusted: boolean;
  };
  /** Days; null keeps for ever. */
  readonly retentionDays: {
    readonly tasks: number | null;
    readonly taskEvents: number | null;
    readonly idempotencyKeys: number;
    readonly turns: number | null;
  };

  private constructor(env: Environment) {
    const required = env.REQUIRE_AUTH ?? false;
    this.production = env.NODE_ENV === 'production';
    this.roles = (env.ROLES as ProcessRole[] | undefined) ?? ['api', 'worker', 'scheduler'];
    this.dataDir = resolve(env.NOVA_DATA_DIR ?? '.nova');
    this.workspace = resolve(env.NOVA_WORKSPACE ?? 'workspace');
    this.sandbox = env.SHELL_SANDBOX ?? 'workspace';
    this.trees = { files: env.TREE_MAX_FILES ?? 200_000, bytes: (env.TREE_MAX_MIB ?? 2_048) * 1024 * 1024 };
    this.disk = { minFree: env.DISK_MIN_FREE ?? null };
    this.logLevel = LOG_LEVEL[env.LOG_LEVEL ?? 'INFO'] ?? 'info';
    this.http = {
      host: env.HOST ?? (required ? '0.0.0.0' : '127.0.0.1'),
      port: env.PORT ?? 8000,
      trustProxyHops: env.TRUST_PROXY ?? 0,
      connectionsPerAddress: env.MAX_ADDRESS_CONNECTIONS ?? 1_000,
      corsOrigins: env.CORS_ALLOWED_ORIGINS ?? ['*'],
      allowedHosts: env.ALLOWED_HOSTS ?? [],
      syncWaitSeconds: env.SYNC_WAIT_SECONDS ?? 300,
    };
    this.auth = { required, adminSecret: env.ADMIN_SECRET ?? null, anonymousRpm: env.ANON_RATE_LIMIT_RPM ?? null };
    this.streams = { most: env.MAX_STREAMS ?? 500, mostPerKey: env.MAX_KEY_STREAMS ?? 100 };
    this.bounds = {
      agents: env.MAX_KEY_AGENTS ?? 200,
      tasks: env.MAX_KEY_TASKS ?? 10_000,
      turns: env.MAX_KEY_TURNS ?? 100,
      bytes: (env.MAX_KEY_MIB ?? 256) * 1024 * 1024,
      startedWork: env.MAX_STARTED_WORK ?? 100,
    };
    this.secrets = { keys: env.SECRETS_KEY ?? [] };
    this.database = { url: env.DATABASE_URL ?? null };
    this.redis = { url: env.REDIS_URL ?? null };
    this.models = {
      defaultModel: env.DEFAULT_CHAT_MODEL ?? null,
      gateway: env.LLM_BASE_URL ? { baseUrl: env.LLM_BASE_URL, apiKey: env.LLM_API_KEY ?? null } : null,
      ollamaBaseUrl: env.OLLAMA_BASE_URL ?? null,
      streaming: env.LLM_STREAMING ?? true,
      direct: Object.fromEntries(
        (
          [
            ['openai', env.OPENAI_API_KEY, env.OPENAI_BASE_URL],
            ['anthropic', env.ANTHROPIC_API_KEY, env.ANTHROPIC_BASE_URL],
            ['google', env.GOOGLE_GENERATIVE_AI_API_KEY, undefined],
            ['mistral', env.MISTRAL_API_KEY, undefined],
            ['groq', env.GROQ_API_KEY, undefined],
          ] as const
        ).flatMap(([prefix, apiKey, baseUrl]) => (apiKey ? [[prefix, { apiKey, baseUrl: baseUrl ?? null }]] : [])),
      ),
      prices: env.MODEL_PRICES ?? {},
      options: env.MODEL_OPTIONS ?? {},
      allowed: env.ALLOWED_MODELS ?? null,
      deadlinesMs: {
        connect: env.MODEL_CONNECT_TIMEOUT_MS ?? 10_000,
        firstByte: env.MODEL_FIRST_BYTE_TIMEOUT_MS ?? 60_000,
        idle: env.MODEL_IDLE_TIMEOUT_MS ?? 60_000,
        total: env.MODEL_TOTAL_TIMEOUT_MS ?? 600_000,
      },
    };
    this.pipeline = {
      maxConcurrent: env.PIPELINE_MAX_CONCURRENT ?? 5,
      heartbeatSeconds: env.TASK_HEARTBEAT_INTERVAL_SECONDS ?? 30,
      staleSeconds: env.TASK_STALE_SECONDS ?? 150,
      reaperSeconds: env.REAPER_INTERVAL_SECONDS ?? 15,
      graceSeconds: env.SHUTDOWN_GRACE_SECONDS ?? 25,
      maxCrashes: env.TASK_MAX_CRASHES ?? 3,
      providerWaitSeconds: env.PROVIDER_WAIT_SECONDS ?? 86_400,
    };
    this.mcp = { allowPrivateNetworks: env.MCP_ALLOW_PRIVATE_NETWORKS ?? false };
    this.proxy = {
      http: env.HTTP_PROXY ?? null,
      https: env.HTTPS_PROXY ?? null,
      except: env.NO_PROXY ?? [],
      trusted: env.PROXY_TRUSTED ?? false,
    };
    this.retentionDays = {
      tasks: env.RETENTION_TASKS_DAYS ?? null,
      taskEvents: env.RETENTION_TASK_EVENTS_DAYS ?? null,
      idempotencyKeys: env.RETENTION_IDEMPOTENCY_KEYS_DAYS ?? 7,
      turns: env.RETENTION_TURNS_DAYS ?? null,
    };
    deepFreeze(this);
  }

  /**
   * Reads the settings in `source`; `checks` are further rules, each of which may throw an EnvironmentError.
   * @throws EnvironmentError naming every faulty variable, whichever rule it breaks.
   */
  static from(
    source: Record<string, string | undefined>,
    ...checks: readonly ((config: AppConfig) => void)[]
  ): AppConfig {
    const { environment, faults } = parseEnvironment(source);
    const config = new AppConfig(environment);
    const found = [...faults, ...contradictions(config, environment)];
    for (const check of checks) {
      try {
        check(config);
      } catch (error) {
        if (!(error instanceof EnvironmentError)) throw error;
        found.push(...error.faults);
      }
    }
    if (found.length > 0) throw new EnvironmentError(found);
    return config;
  }
}

/** Settings that are well-formed and do not go together. */
function contradictions({ auth, http, pipeline }: AppConfig, env: Environment): VariableFault[] {
  const faults: VariableFault[] = [];
  if (!auth.required && !isLoopbackHost(http.host) && !env.NOVA_ALLOW_INSECURE) {
    faults.push({
      variable: 'HOST',
      detail: 'must be a loopback address while REQUIRE_AUTH is false (NOVA_ALLOW_INSECURE=1 allows it all the same)',
    });
  }
  if (pipeline.heartbeatSeconds * 2 > pipeline.staleSeconds) {
    faults.push({ variable: 'TASK_STALE_SECONDS', detail: 'must be at least twice TASK_HEARTBEAT_INTERVAL_SECONDS' });
  }
  return faults;
}

function deepFreeze(value: object): void {
  for (const inner of Object.values(value))
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner as object);
  Object.freeze(value);
}

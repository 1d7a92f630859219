import {
  ArrayNotEmpty,
  IsBoolean,
  IsIn,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  IsUrl,
  Matches,
  Max,
  Min,
} from 'class-validator';
import type { ModelOptions } from './model-options.js';
import type { ModelPrice } from './model-prices.js';
import { SANDBOX_TIERS, type SandboxTier } from './sandbox-tiers.js';
import {
  Bool,
  Bytes,
  Folder,
  HOST_NAME,
  Int,
  Json,
  List,
  Num,
  ORIGIN,
  PLACEHOLDER_SECRETS,
  PostgresUrl,
  ProxyUrl,
  RedisUrl,
  Upper,
} from './variable-rules.js';

const LOG_LEVELS = ['DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR', 'CRITICAL'];
const ROLES = ['api', 'worker', 'scheduler'];
const HTTP_URL = { protocols: ['http', 'https'], require_tld: false, require_protocol: true };

/**
 * Every variable the service reads. A property's name is the variable's name; `.env.example` and the README's table list
 * the same names, and a test holds the three together. Defaults that depend on other variables are set in `AppConfig`.
 */
export class Environment {
  /** PostgreSQL connection string. Unset: the service starts its own PostgreSQL 16 in the data folder. */
  @IsOptional() @PostgresUrl() DATABASE_URL?: string;
  /** Redis connection string. Unset: shared short-lived state stays in this process. */
  @IsOptional() @RedisUrl() REDIS_URL?: string;
  /** Credential of the admin routes, at least 16 visible ASCII characters. */
  @IsOptional()
  @Matches(/^.{16,}$/s, { message: 'must be at least 16 characters' })
  @Matches(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/, { message: 'must be visible ASCII, as a header can carry it' })
  @Matches(PLACEHOLDER_SECRETS, { message: 'is a known placeholder' })
  ADMIN_SECRET?: string;
  /** Comma list of keys, each 32 bytes in base64, for secrets in the database: the first one seals, all of them open. */
  @IsOptional()
  @List()
  @ArrayNotEmpty()
  @Matches(/^[\w+/-]{43}=?$/, { each: true, message: 'must list keys, each 32 bytes in base64' })
  SECRETS_KEY?: string[];
  /** Demand an API key on the API-key routes. */
  @IsOptional() @Bool() @IsBoolean() REQUIRE_AUTH?: boolean;
  /** Model of agents that name none. */
  @IsOptional() @IsString() DEFAULT_CHAT_MODEL?: string;
  /** An OpenAI-compatible endpoint. */
  @IsOptional() @IsUrl(HTTP_URL) LLM_BASE_URL?: string;
  /** Key sent to `LLM_BASE_URL`. */
  @IsOptional() @IsString() LLM_API_KEY?: string;
  /** `false` asks models for whole answers instead of streams, for gateways that cannot stream. */
  @IsOptional() @Bool() @IsBoolean() LLM_STREAMING?: boolean;
  /** Key of OpenAI, addressed as `openai/<model>`. */
  @IsOptional() @IsString() OPENAI_API_KEY?: string;
  /** Endpoint used instead of OpenAI's own. */
  @IsOptional() @IsUrl(HTTP_URL) OPENAI_BASE_URL?: string;
  /** Key of Anthropic, addressed as `anthropic/<model>`. */
  @IsOptional() @IsString() ANTHROPIC_API_KEY?: string;
  /** Endpoint used instead of Anthropic's own. */
  @IsOptional() @IsUrl(HTTP_URL) ANTHROPIC_BASE_URL?: string;
  /** Address of Ollama, addressed as `ollama/<model>`; probed on localhost when neither this nor `LLM_BASE_URL` is set. */
  @IsOptional() @IsUrl(HTTP_URL) OLLAMA_BASE_URL?: string;
  /** Key of Google, addressed as `google/<model>`; needs the optional package `@ai-sdk/google`. */
  @IsOptional() @IsString() GOOGLE_GENERATIVE_AI_API_KEY?: string;
  /** Key of Mistral, addressed as `mistral/<model>`; needs the optional package `@ai-sdk/mistral`. */
  @IsOptional() @IsString() MISTRAL_API_KEY?: string;
  /** Key of Groq, addressed as `groq/<model>`; needs the optional package `@ai-sdk/groq`. */
  @IsOptional() @IsString() GROQ_API_KEY?: string;
  /** Prices by model id: `{"id":{"input":USD per 10^6 tokens,"output":USD per 10^6 tokens,"cached_input"?,"cache_write"?}}`. */
  @IsOptional() @Json() @IsObject({ message: 'must be a JSON object' }) MODEL_PRICES?: Record<string, ModelPrice>;
  /** By model id or provider, what it refuses or needs: `{"id":{"temperature":false,"max_output":8192}}`. */
  @IsOptional() @Json() @IsObject({ message: 'must be a JSON object' }) MODEL_OPTIONS?: Record<string, ModelOptions>;
  /** Comma list of the models that `metadata.model_override` may name. */
  @IsOptional() @List() @ArrayNotEmpty() @IsString({ each: true }) ALLOWED_MODELS?: string[];
  /** Milliseconds for connecting to a model's endpoint. */
  @Int(100, 600_000) MODEL_CONNECT_TIMEOUT_MS?: number;
  /** Milliseconds until a model's first byte. */
  @Int(100, 3_600_000) MODEL_FIRST_BYTE_TIMEOUT_MS?: number;
  /** Milliseconds between two chunks of a model's answer. */
  @Int(100, 3_600_000) MODEL_IDLE_TIMEOUT_MS?: number;
  /** Milliseconds for a whole model call. */
  @Int(100, 86_400_000) MODEL_TOTAL_TIMEOUT_MS?: number;
  /** Folder that tools work in. */
  @IsOptional() @Folder() NOVA_WORKSPACE?: string;
  /** Folder of the embedded database, the generated secrets and the work trees. */
  @IsOptional() @Folder() NOVA_DATA_DIR?: string;
  /** Files that a work tree may begin with. */
  @Int(1, 10_000_000) TREE_MAX_FILES?: number;
  /** MiB that a work tree may begin with. */
  @Int(1, 1_048_576) TREE_MAX_MIB?: number;
  /** Bytes that stay free on the disks of the data folder and the workspace, also as `512MiB` or `2GiB`. */
  @Bytes() DISK_MIN_FREE?: number;
  /** Sandbox tier of agents outside a pod, and the widest a pod may have. */
  @IsOptional() @IsIn(SANDBOX_TIERS) SHELL_SANDBOX?: SandboxTier;
  /** Least severe line that is logged, any case. */
  @IsOptional() @Upper() @IsIn(LOG_LEVELS) LOG_LEVEL?: string;
  /** Comma list of origins that browsers may call from. */
  @IsOptional()
  @List()
  @ArrayNotEmpty()
  @Matches(ORIGIN, { each: true, message: 'must list origins, as https://host' })
  CORS_ALLOWED_ORIGINS?: string[];
  /** Comma list of further host names that callers may use with auth off. */
  @IsOptional()
  @List()
  @ArrayNotEmpty()
  @Matches(HOST_NAME, { each: true, message: 'must list host names' })
  ALLOWED_HOSTS?: string[];
  /** Port to listen on; 0 takes a free one. */
  @Int(0, 65_535) PORT?: number;
  /** Address to bind. */
  @IsOptional() @Matches(/^[\w.:-]+$/, { message: 'must be an address or a host name' }) HOST?: string;
  /** `production` never makes an admin secret up. */
  @IsOptional() @IsIn(['development', 'test', 'production']) NODE_ENV?: string;
  /** Allows an open service on an address other machines reach. */
  @IsOptional() @Bool() @IsBoolean() NOVA_ALLOW_INSECURE?: boolean;
  /** Number of proxies whose X-Forwarded-For is believed. */
  @Int(0, 10) TRUST_PROXY?: number;
  /** Maximum open connections of one address; behind a trusted proxy, of those that have sent no request yet. */
  @Int(1, 100_000) MAX_ADDRESS_CONNECTIONS?: number;
  /** Requests a minute for each anonymous address. Unset: no limit. */
  @Int(1, 1_000_000) ANON_RATE_LIMIT_RPM?: number;
  /** Maximum open event streams of this process. */
  @Int(1, 100_000) MAX_STREAMS?: number;
  /** Maximum open event streams per API key. */
  @Int(1, 100_000) MAX_KEY_STREAMS?: number;
  /** Maximum agents that one API key has made. */
  @Int(1, 100_000) MAX_KEY_AGENTS?: number;
  /** Maximum unfinished pipeline tasks of one API key. */
  @Int(1, 10_000_000) MAX_KEY_TASKS?: number;
  /** Maximum running agent turns of one API key. */
  @Int(1, 100_000) MAX_KEY_TURNS?: number;
  /** Maximum MiB of the agents of one API key, and of its unfinished tasks. */
  @Int(1, 1_048_576) MAX_KEY_MIB?: number;
  /** Maximum tasks, turns and agents that tools start below one request of a caller. */
  @Int(1, 1_000_000) MAX_STARTED_WORK?: number;
  /** Comma list of `api`, `worker`, `scheduler`: what this process does. */
  @IsOptional()
  @List()
  @ArrayNotEmpty()
  @IsIn(ROLES, { each: true, message: 'ROLES must list api, worker or scheduler' })
  ROLES?: string[];
  /** Longest a synchronous POST waits. */
  @Int(1, 86_400) SYNC_WAIT_SECONDS?: number;
  /** Longest a task waits for providers in all. */
  @Int(1, 31_536_000) PROVIDER_WAIT_SECONDS?: number;
  /** Stages in flight in this process. */
  @Int(1, 1_000) PIPELINE_MAX_CONCURRENT?: number;
  /** Seconds between two renewals of this worker's leases; fractions are allowed. */
  @IsOptional() @Num() @IsNumber() @Min(0.05) @Max(3_600) TASK_HEARTBEAT_INTERVAL_SECONDS?: number;
  /** Age at which a lease is stale. */
  @IsOptional() @Num() @IsNumber() @Min(0.2) @Max(86_400) TASK_STALE_SECONDS?: number;
  /** Seconds between two passes of the reaper. */
  @IsOptional() @Num() @IsNumber() @Min(0.05) @Max(3_600) REAPER_INTERVAL_SECONDS?: number;
  /** Time that running stages get after SIGTERM. */
  @Int(0, 3_600) SHUTDOWN_GRACE_SECONDS?: number;
  /** Crashes in one stage that make a dead letter. */
  @Int(1, 100) TASK_MAX_CRASHES?: number;
  /** Lets MCP servers have private addresses. */
  @IsOptional() @Bool() @IsBoolean() MCP_ALLOW_PRIVATE_NETWORKS?: boolean;
  /** Proxy by which models at `http` addresses are reached. */
  @ProxyUrl() HTTP_PROXY?: string;
  /** Proxy by which models at `https` addresses are reached. */
  @ProxyUrl() HTTPS_PROXY?: string;
  /** List of hosts, domains, addresses and CIDR ranges that are reached without a proxy. */
  @IsOptional() @List(/[\s,]+/) @IsString({ each: true }) NO_PROXY?: string[];
  /** Reaches MCP servers by the proxies too, which then are what decides where connections lead. */
  @IsOptional() @Bool() @IsBoolean() PROXY_TRUSTED?: boolean;
  /** Days to keep finished tasks. Unset: kept for ever. */
  @Int(1, 36_500) RETENTION_TASKS_DAYS?: number;
  /** Days to keep the events of finished tasks. Unset: kept as long as their task. */
  @Int(1, 36_500) RETENTION_TASK_EVENTS_DAYS?: number;
  /** Days to keep idempotency keys. */
  @Int(1, 36_500) RETENTION_IDEMPOTENCY_KEYS_DAYS?: number;
  /** Days to keep the results of agent turns. Unset: kept for ever. */
  @Int(1, 36_500) RETENTION_TURNS_DAYS?: number;
}

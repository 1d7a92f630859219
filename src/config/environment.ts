import { readFileSync, statSync } from 'node:fs';
import { plainToInstance, Transform } from 'class-transformer';
import {
  ArrayNotEmpty,
  IsBoolean,
  IsIn,
  IsInt,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  IsUrl,
  Matches,
  Max,
  Min,
  ValidateBy,
  validateSync,
} from 'class-validator';
import { modelOptionsFault, type ModelOptions } from './model-options.js';
import { parseRedisUrl } from './redis-url.js';
import { SANDBOX_TIERS, type SandboxTier } from './sandbox-tiers.js';

const LOG_LEVELS = ['DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR', 'CRITICAL'];
const ROLES = ['api', 'worker', 'scheduler'];
const HTTP_URL = { protocols: ['http', 'https'], require_tld: false, require_protocol: true };

/** Variables that hold a secret; they leave the process's environment once they are read, so that no child inherits them. */
export const SECRET_VARIABLES = [
  'DATABASE_URL',
  'REDIS_URL',
  'ADMIN_SECRET',
  'SECRETS_KEY',
  'LLM_BASE_URL',
  'LLM_API_KEY',
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'GOOGLE_GENERATIVE_AI_API_KEY',
  'MISTRAL_API_KEY',
  'GROQ_API_KEY',
  'HTTP_PROXY',
  'HTTPS_PROXY',
] as const;

/** The variable that names the file which holds the secret of `name`: a secret that is given so is never in an environment. */
export const secretFileVariable = (name: string): string => `${name}_FILE`;

const LARGEST_SECRET_FILE = 65_536;

/** Variables that many programs read in lower case; that form wins here too. */
const EITHER_CASE = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] as const;

/** Variables of libpq that fill in what `DATABASE_URL` leaves out, as they do for every client of PostgreSQL. */
const LIBPQ_ADDRESS = /^PG(HOST|PORT|USER|PASSWORD|PASSFILE|DATABASE|SSLMODE|SSLNEGOTIATION)$/;

/**
 * The variables of libpq in `source` that the service must not see: the database driver reads them behind everybody's back. All of
 * them where the embedded database is used; else those that change sessions, which the service sets itself.
 */
export function foreignLibpqVariables(source: Record<string, string | undefined>): string[] {
  const embedded = [source.DATABASE_URL, source[secretFileVariable('DATABASE_URL')]].every(
    (url = '') => url.trim() === '',
  );
  return Object.keys(source).filter((name) => /^PG[A-Z]/.test(name) && (embedded || !LIBPQ_ADDRESS.test(name)));
}

/** Making a folder under /proc never returns: Node tries for ever. */
const Folder = (): PropertyDecorator =>
  Matches(/^(?!\/proc(\/|$))[^\0]*$/, { message: 'must be a folder outside /proc' });
/** An origin as browsers send it, or `*` for all of them. */
const ORIGIN = /^(\*|[a-z][a-z\d+.-]*:\/\/[^\s/?#@]+\/?)$/i;
/** A host name or an address, with a port or without. */
const HOST_NAME = /^[\w.\-[\]:]{1,255}$/;

/** Secrets that documentation and compose files show; none of them protects anything. */
const PLACEHOLDER_SECRETS =
  /^(?!(?:(?:change|replace)[-_ ]?me.*|nova-admin-secret.*|admin|secret|password|placeholder|example|test|your[-_ ].*|<.*>|x+|\*+)$)/i;

const Bool = (): PropertyDecorator =>
  Transform(({ value }) => ({ true: true, '1': true, false: false, '0': false })[String(value).toLowerCase()] ?? value);
const Num = (): PropertyDecorator =>
  Transform(({ value }) => (/^-?\d+(\.\d+)?$/.test(String(value)) ? Number(value) : value));
const List = (separator: string | RegExp = ','): PropertyDecorator =>
  Transform(({ value }) =>
    String(value)
      .split(separator)
      .map((item) => item.trim())
      .filter(Boolean),
  );
const Json = (): PropertyDecorator =>
  Transform(({ value }) => {
    try {
      return JSON.parse(String(value)) as unknown;
    } catch {
      return value as unknown;
    }
  });
/** Bytes, with a unit of 1,024 or without. */
const Bytes = (): PropertyDecorator => (target, key) => {
  const units = ['', 'k', 'm', 'g', 't'];
  const parse = Transform(({ value }) => {
    const [, number, unit = ''] = /^(\d{1,12}) ?([kmgt]?)(?:i?b)?$/i.exec(String(value)) ?? [];
    return number === undefined ? value : Number(number) * 1024 ** units.indexOf(unit.toLowerCase());
  });
  const isBytes = ValidateBy({
    name: 'bytes',
    validator: {
      validate: (value) => Number.isSafeInteger(value),
      defaultMessage: () => 'must be a number of bytes, with KiB, MiB, GiB or TiB after it or without',
    },
  });
  for (const decorate of [IsOptional(), parse, isBytes]) decorate(target, key);
};
/** The address of an HTTP proxy; without a scheme it is `http`, as everywhere. */
const ProxyUrl = (): PropertyDecorator => (target, key) => {
  const isProxyUrl = ValidateBy({
    name: 'proxyUrl',
    validator: {
      validate: (value) => isHttpProxyUrl(String(value)),
      defaultMessage: () =>
        'must be the http or https URL of a proxy; reserved characters of a password must be percent-encoded',
    },
  });
  const withScheme = Transform(({ value }) =>
    String(value)
      .trim()
      .replace(/^(?![a-z][a-z\d+.-]*:\/\/)/i, 'http://'),
  );
  for (const decorate of [IsOptional(), withScheme, isProxyUrl]) decorate(target, key);
};
/** A connection string whose parts can be told apart. */
const PostgresUrl = (): PropertyDecorator =>
  ValidateBy({
    name: 'postgresUrl',
    validator: {
      validate: (value) => isPostgresUrl(String(value)),
      defaultMessage: () =>
        'must be a connection string that starts with postgres:// or postgresql://; reserved characters of a password must be percent-encoded',
    },
  });
const RedisUrl = (): PropertyDecorator =>
  ValidateBy({
    name: 'redisUrl',
    validator: {
      validate: (value) => redisUrlFault(String(value)) === null,
      defaultMessage: (args) => redisUrlFault(String(args?.value)) ?? '',
    },
  });
const Upper = (): PropertyDecorator => Transform(({ value }) => String(value).toUpperCase());
function Int(min: number, max: number): PropertyDecorator {
  return (target, key) => {
    for (const decorate of [IsOptional(), Num(), IsInt(), Min(min), Max(max)]) decorate(target, key);
  };
}

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

/** USD per 10^6 tokens; a price that is left out is that of the input. */
export interface ModelPrice {
  readonly input: number;
  readonly output: number;
  readonly cached_input?: number;
  readonly cache_write?: number;
}

/** A fault of a variable. */
export interface VariableFault {
  readonly variable: string;
  /** The rest of a sentence that begins with the variable's name; never shows a value. */
  readonly detail: string;
}

/** Thrown for a faulty environment; names every faulty variable and shows no value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  constructor(readonly faults: readonly VariableFault[]) {
    super(faults.map((fault) => `${fault.variable} ${fault.detail}`).join('\n'));
  }
}

/** Reads and checks `source` once. An empty value is an absent one; so is a faulty one, beside its fault. */
export function parseEnvironment(source: Record<string, string | undefined>): {
  environment: Environment;
  faults: VariableFault[];
} {
  const present = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
  for (const name of EITHER_CASE) {
    const lower = present[name.toLowerCase()];
    if (lower !== undefined) present[name] = lower;
  }
  const fileFaults = readSecretFiles(present);
  const environment = plainToInstance(Environment, present);
  const faults: VariableFault[] = validateSync(environment, {
    whitelist: true,
    validationError: { target: false, value: false },
  }).map(({ property, constraints }) => ({
    variable: property,
    detail: Object.values(constraints ?? {})
      .map((text) => text.replace(`${property} `, ''))
      .join('; '),
  }));
  if (!faults.some(({ variable }) => variable === 'MODEL_PRICES') && !arePrices(environment.MODEL_PRICES ?? {})) {
    faults.push({ variable: 'MODEL_PRICES', detail: 'must give every model a non-negative input and output price' });
  }
  const optionsFault = modelOptionsFault(isRecord(environment.MODEL_OPTIONS) ? environment.MODEL_OPTIONS : {});
  if (optionsFault !== null) faults.push({ variable: 'MODEL_OPTIONS', detail: optionsFault });
  faults.push(...fileFaults);
  for (const { variable } of faults) delete environment[variable as keyof Environment];
  return { environment, faults };
}

/** Fills `present` with the secrets whose files it names; what is wrong with them. */
function readSecretFiles(present: Record<string, string | undefined>): VariableFault[] {
  const faults: VariableFault[] = [];
  for (const name of SECRET_VARIABLES) {
    const variable = secretFileVariable(name);
    const path = present[variable];
    if (path === undefined) continue;
    if (present[name] !== undefined) {
      faults.push({ variable, detail: `must not be set beside ${name}` });
      continue;
    }
    try {
      present[name] = secretIn(path.trim());
    } catch (error) {
      faults.push({ variable, detail: (error as Error).message });
    }
  }
  return faults;
}

/** @throws Error with the rest of a sentence that begins with the variable's name. */
function secretIn(path: string): string {
  const text = ((): string => {
    try {
      const file = statSync(path);
      // Only a regular file is sure to end.
      if (!file.isFile() || file.size > LARGEST_SECRET_FILE) return '';
      return readFileSync(path, 'utf8')
        .replace(/^\uFEFF/, '')
        .trim();
    } catch {
      throw new Error('must name a file that can be read');
    }
  })();
  if (text === '') throw new Error(`must name a file with a secret of at most ${LARGEST_SECRET_FILE} bytes`);
  return text;
}

function arePrices(prices: Record<string, Partial<Record<keyof ModelPrice, unknown>> | null>): boolean {
  const isPrice = (usd: unknown): boolean => typeof usd === 'number' && usd >= 0 && Number.isFinite(usd);
  return Object.values(prices).every(
    (price) =>
      [price?.input, price?.output].every(isPrice) &&
      [price?.cached_input, price?.cache_write].every((usd) => usd === undefined || isPrice(usd)),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The driver takes no host before the path of a URL with a user: it means a socket. */
function isPostgresUrl(text: string): boolean {
  const url = text.replace('@/', '@localhost/');
  return URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol);
}

function isHttpProxyUrl(text: string): boolean {
  try {
    const { protocol, hostname, username, password } = new URL(text);
    return (
      [username, password].every((part) => decodeURIComponent(part) !== null) &&
      /^https?:$/.test(protocol) &&
      hostname !== ''
    );
  } catch {
    return false;
  }
}

function redisUrlFault(text: string): string | null {
  try {
    parseRedisUrl(text);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

import { Transform } from 'class-transformer';
import { IsInt, IsOptional, Matches, Max, Min, ValidateBy } from 'class-validator';
import { parseRedisUrl } from './redis-url.js';

/** Making a folder under /proc never returns: Node tries for ever. */
export const Folder = (): PropertyDecorator =>
  Matches(/^(?!\/proc(\/|$))[^\0]*$/, { message: 'must be a folder outside /proc' });
/** An origin as browsers send it, or `*` for all of them. */
export const ORIGIN = /^(\*|[a-z][a-z\d+.-]*:\/\/[^\s/?#@]+\/?)$/i;
/** A host name or an address, with a port or without. */
export const HOST_NAME = /^[\w.\-[\]:]{1,255}$/;

/** Secrets that documentation and compose files show; none of them protects anything. */
export const PLACEHOLDER_SECRETS =
  /^(?!(?:(?:change|replace)[-_ ]?me.*|nova-admin-secret.*|admin|secret|password|placeholder|example|test|your[-_ ].*|<.*>|x+|\*+)$)/i;

export const Bool = (): PropertyDecorator =>
  Transform(({ value }) => ({ true: true, '1': true, false: false, '0': false })[String(value).toLowerCase()] ?? value);
export const Num = (): PropertyDecorator =>
  Transform(({ value }) => (/^-?\d+(\.\d+)?$/.test(String(value)) ? Number(value) : value));
export const List = (separator: string | RegExp = ','): PropertyDecorator =>
  Transform(({ value }) =>
    String(value)
      .split(separator)
      .map((item) => item.trim())
      .filter(Boolean),
  );
export const Json = (): PropertyDecorator =>
  Transform(({ value }) => {
    try {
      return JSON.parse(String(value)) as unknown;
    } catch {
      return value as unknown;
    }
  });
/** Bytes, with a unit of 1,024 or without. */
export const Bytes = (): PropertyDecorator => (target, key) => {
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
export const ProxyUrl = (): PropertyDecorator => (target, key) => {
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
export const PostgresUrl = (): PropertyDecorator =>
  ValidateBy({
    name: 'postgresUrl',
    validator: {
      validate: (value) => isPostgresUrl(String(value)),
      defaultMessage: () =>
        'must be a connection string that starts with postgres:// or postgresql://; reserved characters of a password must be percent-encoded',
    },
  });
export const RedisUrl = (): PropertyDecorator =>
  ValidateBy({
    name: 'redisUrl',
    validator: {
      validate: (value) => redisUrlFault(String(value)) === null,
      defaultMessage: (args) => redisUrlFault(String(args?.value)) ?? '',
    },
  });
export const Upper = (): PropertyDecorator => Transform(({ value }) => String(value).toUpperCase());
export function Int(min: number, max: number): PropertyDecorator {
  return (target, key) => {
    for (const decorate of [IsOptional(), Num(), IsInt(), Min(min), Max(max)]) decorate(target, key);
  };
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

import { DomainError, type FieldFault } from '../../platform/errors/index.js';
import { hideShapes } from '../../platform/logging/index.js';
import { UnreadableSecret, type Secret } from '../../platform/secrets/index.js';
import type { McpServerSettings } from './mcp-server.js';
import { isPublicVariable } from './public-env.js';
import { replaceInArgs, replaceInText, secretParts } from './secret-parts.js';

/** What every secret value reads as. */
export const MASK = '********';

/** Shorter values are words that occur anywhere. */
const SHORTEST_SECRET = 6;

/** Fields that hold secrets: as all of their values, or as parts of a text. */
export type SecretFields = Pick<McpServerSettings, 'env' | 'headers' | 'args' | 'url'> &
  Partial<Pick<McpServerSettings, 'publicEnv'>>;

/** `server` as it may be read. */
export function maskedFields({ env, headers, args, url }: SecretFields): {
  env: Record<string, string>;
  headers: Record<string, string>;
  args: string[];
  url: string | null;
} {
  const namesOnly = (values: object): Record<string, string> =>
    Object.fromEntries(Object.keys(values).map((name) => [name, MASK]));
  return { env: namesOnly(env), headers: namesOnly(headers), args: maskedArgs(args), url: maskedText(url) };
}

/**
 * `given` with what `kept` has wherever a caller sent back the mask that it had read; of a text, all of it as it was read.
 * @throws DomainError validation_failed for a mask that stands for nothing.
 */
export function unmasked(given: SecretFields, kept: SecretFields): SecretFields {
  const faults: FieldFault[] = [];
  const refuse = (pointer: string): void =>
    void faults.push({ pointer, detail: 'This is the mask of a value, and there is none to keep.' });
  const values = (field: 'env' | 'headers'): Record<string, Secret> =>
    Object.fromEntries(
      Object.entries(given[field]).map(([name, value]) => {
        if (value !== MASK) return [name, value];
        const old = Object.hasOwn(kept[field], name) ? kept[field][name] : undefined;
        if (old === undefined) refuse(`#/${field}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
        return [name, old ?? ''];
      }),
    );
  const shown = maskedArgs(kept.args);
  const args = given.args.map((arg, index) => {
    if (!arg.includes(MASK)) return arg;
    const meant = shown[index] === arg ? [kept.args[index]] : kept.args.filter((_, at) => shown[at] === arg);
    const [old, ...others] = new Set(meant);
    if (old === undefined || others.length > 0) refuse(`#/args/${index}`);
    return old ?? '';
  });
  let { url } = given;
  if (url?.includes(MASK)) {
    if (url === maskedText(kept.url)) ({ url } = kept);
    else refuse('#/url');
  }
  const result = { env: values('env'), headers: values('headers'), args, url };
  if (faults.length > 0) throw new DomainError('validation_failed', faults[0]?.detail ?? '', { errors: faults });
  return result;
}

/**
 * `values` for use.
 * @throws Error that names one that cannot be read, and says why.
 */
export function readable(values: Readonly<Record<string, Secret>>, field: 'env' | 'headers'): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      if (value instanceof UnreadableSecret) throw new Error(`${field}.${name} cannot be read: ${value.reason}`);
      return [name, value];
    }),
  );
}

/**
 * The secret values of a server, as they may turn up in what it says: all but those of public variables; a header's scheme
 * is left off.
 */
export function secretValues({ env, headers, args, url, publicEnv = [] }: SecretFields): string[] {
  const isKnown = (value: Secret): value is string => typeof value === 'string';
  const tokens = Object.values(headers)
    .filter(isKnown)
    .flatMap((value) => [value, value.replace(/^\S+\s+/, '')]);
  const variables = Object.entries(env).flatMap(([name, value]) =>
    isKnown(value) && !isPublicVariable(name, value, publicEnv) ? [value] : [],
  );
  return [...new Set([...variables, ...tokens, ...secretParts(args, url)])].filter(
    (value) => value.length >= SHORTEST_SECRET,
  );
}

function maskedArgs(args: readonly string[]): string[] {
  return replaceInArgs(args, () => MASK).map((arg) => hideShapes(arg, MASK));
}

function maskedText<T extends string | null>(text: T): T | string {
  return text === null
    ? text
    : hideShapes(
        replaceInText(text, () => MASK),
        MASK,
      );
}

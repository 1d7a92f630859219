import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { getMetadataStorage } from 'class-validator';
import { AppConfig } from './app-config.js';
import { Environment } from './environment.js';
import { SECRET_VARIABLES, secretFileVariable } from './secret-variables.js';

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

const VARIABLES = [
  ...new Set(
    getMetadataStorage()
      .getTargetValidationMetadatas(Environment, '', false, false)
      .map((rule) => rule.propertyName),
  ),
].sort();
/** Rows of the tables in docs/configuration.md: variable, meaning, default. */
const TABLE = [...read('docs/configuration.md').matchAll(/^\| `([A-Z0-9_]+)` +\| (.+?) +\| (.+?) +\|$/gm)].map(
  ([, variable = '', , byDefault = '']) => ({ variable, byDefault }),
);
const EXAMPLE = [...read('.env.example').matchAll(/^#?([A-Z0-9_]+)=(.*)$/gm)].map(([, variable = '', value = '']) => ({
  variable,
  value,
}));

describe('the environment and its documents', () => {
  it('name the same variables, each once', () => {
    const all = [...VARIABLES, ...SECRET_VARIABLES.map(secretFileVariable)].sort();
    expect(TABLE.map(({ variable }) => variable).sort()).toEqual(all);
    expect(EXAMPLE.map(({ variable }) => variable).sort()).toEqual(all);
  });

  it('agree on the defaults', () => {
    const untouched = AppConfig.from({});
    const stated = TABLE.flatMap(({ variable, byDefault }) => {
      const [, value] = /^`([^`]+)`/.exec(byDefault) ?? [];
      return value === undefined ? [] : [{ variable, value }];
    });
    expect(stated.length).toBeGreaterThan(20);
    for (const { variable, value } of stated) {
      expect([variable, AppConfig.from({ [variable]: value })]).toEqual([variable, untouched]);
    }
  });

  it('show only values that are valid, also all together', () => {
    expect(() =>
      AppConfig.from(Object.fromEntries(EXAMPLE.map(({ variable, value }) => [variable, value]))),
    ).not.toThrow();
  });

  it('treat an empty value as an absent one', () => {
    const untouched = AppConfig.from({});
    for (const variable of VARIABLES) {
      for (const value of ['', '  '])
        expect([variable, AppConfig.from({ [variable]: value })]).toEqual([variable, untouched]);
    }
  });

  it('take every variable that can hold a secret out of the environment of children', () => {
    const secret = /(_KEY|_SECRET|^DATABASE_URL|^REDIS_URL|^LLM_BASE_URL|^HTTPS?_PROXY)$/;
    expect([...SECRET_VARIABLES].sort()).toEqual(VARIABLES.filter((variable) => secret.test(variable)));
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from './app-config.js';
import { EnvironmentError } from './environment-error.js';
import { foreignLibpqVariables } from './libpq-variables.js';
import { parseEnvironment } from './read-environment.js';
import { SECRET_VARIABLES } from './secret-variables.js';

const OK_SECRET = 'a-secret-of-many-characters';

function faultsOf(source: Record<string, string>, ...checks: ((config: AppConfig) => void)[]): string[] {
  try {
    AppConfig.from(source, ...checks);
    return [];
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    return error.faults.map(({ variable }) => variable);
  }
}

describe('the environment', () => {
  it('tells all faults at once, whichever rule finds them', () => {
    const workspace = (): void => {
      throw new EnvironmentError([{ variable: 'NOVA_WORKSPACE', detail: 'is not fit' }]);
    };
    const source = { PORT: 'x', HOST: '0.0.0.0', TASK_STALE_SECONDS: '10' };
    expect(faultsOf(source, workspace).sort()).toEqual(['HOST', 'NOVA_WORKSPACE', 'PORT', 'TASK_STALE_SECONDS']);
  });

  it('tells one fault for a variable, and none that follows from another', () => {
    expect(faultsOf({ MODEL_PRICES: '[]' })).toEqual(['MODEL_PRICES']);
    expect(faultsOf({ TASK_HEARTBEAT_INTERVAL_SECONDS: 'x', TASK_STALE_SECONDS: '60' })).toEqual([
      'TASK_HEARTBEAT_INTERVAL_SECONDS',
    ]);
  });

  it('says of a list what it may hold', () => {
    const { faults } = parseEnvironment({ ROLES: 'api,cook' });
    expect(faults).toEqual([{ variable: 'ROLES', detail: 'must list api, worker or scheduler' }]);
  });

  it.each([
    ['DATABASE_URL', 'postgres://h:99999/db'],
    ['DATABASE_URL', 'postgres://u:p@h:abc/db'],
    ['DATABASE_URL', 'redis://h/2'],
    ['REDIS_URL', 'redis://'],
    ['REDIS_URL', 'redis://h:99999'],
    ['REDIS_URL', 'redis://u:p@/2'],
    ['REDIS_URL', 'redis://pass#word@h/2'],
    ['REDIS_URL', 'redis://h/two'],
    ['REDIS_URL', 'postgres://h/2'],
    ['ADMIN_SECRET', `${OK_SECRET}\n`],
    ['ADMIN_SECRET', ` ${OK_SECRET}`],
    ['ADMIN_SECRET', 'ein-sehr-geheimes-Wört'],
    ['ADMIN_SECRET', 'replace-me-with-a-secret'],
    ['ROLES', ','],
    ['ALLOWED_MODELS', ' , '],
    ['CORS_ALLOWED_ORIGINS', 'app.example.com'],
    ['CORS_ALLOWED_ORIGINS', 'https://app.example.com/path'],
    ['ALLOWED_HOSTS', 'https://nova.internal'],
    ['NOVA_DATA_DIR', '/proc/nova'],
    ['NOVA_WORKSPACE', '/proc'],
    ['NOVA_WORKSPACE', 'work\0space'],
  ])('refuses a value that cannot work: %s=%j', (variable, value) => {
    expect(faultsOf({ [variable]: value })).toEqual([variable]);
  });

  it.each([
    ['DATABASE_URL', 'postgres://nova:100%@localhost:5432/nova?sslmode=disable'],
    ['DATABASE_URL', 'postgresql://nova:pass@/nova?host=/var/run/postgresql'],
    ['DATABASE_URL', 'postgres:///nova'],
    ['REDIS_URL', 'rediss://:100%@[::1]:6380/2'],
    ['REDIS_URL', 'redis://redis'],
    ['ADMIN_SECRET', OK_SECRET],
    ['CORS_ALLOWED_ORIGINS', '*'],
    ['CORS_ALLOWED_ORIGINS', 'https://app.example.com, http://[::1]:3000/, chrome-extension://abcdef'],
    ['NOVA_DATA_DIR', '/process/nova'],
    ['ALLOWED_HOSTS', 'nova.internal, 10.0.0.7:8000, [::1]'],
  ])('takes one that can: %s=%j', (variable, value) => {
    expect(faultsOf({ [variable]: value })).toEqual([]);
  });
});

describe('secrets from files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nova-secrets-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  it('are the values of every variable that holds one, and leave the source as it was', () => {
    const values: Record<string, string> = { SECRETS_KEY: 'A'.repeat(43), ADMIN_SECRET: OK_SECRET };
    for (const name of SECRET_VARIABLES) {
      const value =
        values[name] ?? (/REDIS/.test(name) ? 'redis://r/2' : /DATABASE/.test(name) ? 'postgres://p/d' : 'http://h');
      const source = { [`${name}_FILE`]: file(name, `\ufeff ${value}\n\n`) };
      expect([name, AppConfig.from(source)]).toEqual([name, AppConfig.from({ [name]: value })]);
      expect(Object.keys(source)).toEqual([`${name}_FILE`]);
    }
  });

  it('are faults of their own where they cannot be had, without a value', () => {
    expect(faultsOf({ ADMIN_SECRET_FILE: join(folder, 'missing') })).toEqual(['ADMIN_SECRET_FILE']);
    expect(faultsOf({ ADMIN_SECRET_FILE: folder })).toEqual(['ADMIN_SECRET_FILE']);
    expect(faultsOf({ ADMIN_SECRET_FILE: '/dev/zero' })).toEqual(['ADMIN_SECRET_FILE']);
    expect(faultsOf({ LLM_API_KEY_FILE: file('empty', ' \n') })).toEqual(['LLM_API_KEY_FILE']);
    expect(faultsOf({ LLM_API_KEY_FILE: file('large', 'x'.repeat(65_537)) })).toEqual(['LLM_API_KEY_FILE']);
    const both = { ADMIN_SECRET_FILE: file('admin', OK_SECRET), ADMIN_SECRET: OK_SECRET };
    expect(faultsOf(both)).toEqual(['ADMIN_SECRET_FILE']);
    expect(faultsOf({ ADMIN_SECRET_FILE: file('weak', 'short') })).toEqual(['ADMIN_SECRET']);
    expect(faultsOf({ ADMIN_SECRET_FILE: ' ' })).toEqual([]);
  });

  it('keep what libpq reads of a database that is named so', () => {
    expect(foreignLibpqVariables({ PGUSER: 'u', DATABASE_URL_FILE: '/run/secrets/url' })).toEqual([]);
    expect(foreignLibpqVariables({ PGUSER: 'u' })).toEqual(['PGUSER']);
  });
});

import { describe, expect, it } from '@jest/globals';
import { assertWorkspaceAllowed } from './workspace-rules.js';

const SERVICE = '/opt/nova';
const check = (workspace: string, dataDir = '/opt/nova/.nova'): (() => void) => {
  return () => assertWorkspaceAllowed({ workspace, dataDir }, SERVICE);
};

describe('assertWorkspaceAllowed', () => {
  it.each(['/opt/nova/workspace', '/workspace', '/opt/nova-workspace', '/opt/nova/srcs', '/opt/nova/.github'])(
    'allows %s',
    (path) => {
      expect(check(path)).not.toThrow();
    },
  );

  it.each([
    '/',
    '/opt',
    '/opt/nova',
    '/opt/nova/src',
    '/opt/nova/src/modules',
    '/opt/nova/dist',
    '/opt/nova/docs',
    '/opt/nova/migrations',
    '/opt/nova/node_modules/x',
    '/opt/nova/.git',
    '/opt/nova/.nova',
    '/opt/nova/.nova/workspace',
  ])('refuses %s by the name of the variable', (path) => {
    expect(check(path)).toThrow(/^NOVA_WORKSPACE /);
  });

  it('refuses a workspace around the data folder, wherever that is', () => {
    expect(check('/srv/work', '/srv/work/data')).toThrow('NOVA_WORKSPACE');
    expect(check('/srv/work', '/srv/work-data')).not.toThrow();
  });
});

import { Sandbox } from '../../../src/modules/tools/sandbox/sandbox.js';

export const IS_ROOT = process.geteuid?.() === 0;
export const ORDINARY_USER = 54321;

/** The sandbox of a service that is not root, tried from a test that is. */
export class OrdinarySandbox extends Sandbox {
  protected override readonly asRoot = false;
  protected override get bubblewrap(): string[] {
    return [
      '/usr/bin/setpriv',
      `--reuid=${ORDINARY_USER}`,
      `--regid=${ORDINARY_USER}`,
      '--clear-groups',
      '--',
      '/usr/bin/bwrap',
    ];
  }
}

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stampOf } from './base-record.js';
import { findEntries } from './find-entries.js';
import { OpenFolder } from './open-folder.js';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'nova-list-'));
});
afterAll(() => rmSync(root, { recursive: true }));

it('lists each path once, with the stamp that a look at the file gives', () => {
  mkdirSync(join(root, 'inner/.git'), { recursive: true });
  writeFileSync(join(root, 'inner/.git/config'), 'not listed');
  const files = ['plain.ts', 'of the epoch', 'of 1.5 s', "new\nline 'and' quotes", 'inner/ä.txt', 'run.sh'];
  for (const file of files) writeFileSync(join(root, file), file);
  utimesSync(join(root, 'of the epoch'), 0, 0);
  utimesSync(join(root, 'of 1.5 s'), 1.5, 1.5);
  writeFileSync(join(root, 'run.sh'), '#!', { mode: 0o4755 });
  writeFileSync(Buffer.from(`${root}/\xff`, 'latin1'), 'not UTF-8');
  symlinkSync('/etc', join(root, 'link'));
  const folder = OpenFolder.root(root);
  try {
    const listed = findEntries(folder);
    expect(listed.map(({ path }) => path).sort()).toEqual([...files, 'inner', 'inner/.git', 'link'].sort());
    for (const { path, kind, size, stamp, depth } of listed) {
      const stat = lstatSync(join(root, path), { bigint: true });
      expect({ path, stamp, size: BigInt(size) }).toEqual({ path, stamp: stampOf(stat), size: stat.size });
      expect(kind).toBe(stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'link');
      expect(depth).toBe(path.split('/').length);
    }
  } finally {
    folder.close();
  }
});

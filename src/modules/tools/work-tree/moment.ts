import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../boundary/path-refused.js';
import type { FileType } from './file-record.js';

/** What one path of the workspace held at a moment. */
export interface MomentFile {
  type: FileType;
  /** Bytes. */
  size: number;
  /** Where its content begins in the pack. */
  at: number;
  /** When it was modified, in seconds. */
  modified: number;
  /** What the file looked like when it was read; empty where it might look the same after another change. */
  source: string;
}

/** What a tree of the workspace holds, its content aside. */
export interface Moment {
  /** Below the workspace, each before what is in it. */
  folders: string[];
  files: Map<string, MomentFile>;
}

const FILE = 'moment.json';
/** In a moment's folder: the content of its files. */
export const PACK = 'pack';
/** In a moment's folder, where the workspace is a repository: the state of it, as a tree's own. */
export const STATE = 'state';

export function writeMoment(folder: string, { folders, files }: Moment): void {
  const rows = [...files].map(([path, { type, size, at, modified, source }]) => [
    path,
    type,
    size,
    at,
    modified,
    source,
  ]);
  const making = join(folder, `${FILE}.making`);
  writeFileSync(making, JSON.stringify({ folders, files: rows }), { mode: 0o600 });
  renameSync(making, join(folder, FILE));
}

/** The moment in `folder`; null where there is none. */
export function readMoment(folder: string): Moment | null {
  let text: string;
  try {
    text = readFileSync(join(folder, FILE), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
  const { folders, files } = JSON.parse(text) as {
    folders: string[];
    files: [string, FileType, number, number, number, string][];
  };
  return {
    folders,
    files: new Map(
      files.map(([path, type, size, at, modified, source]) => [path, { type, size, at, modified, source }]),
    ),
  };
}

import { readFileSync } from 'node:fs';
import type { AppConfig } from '../../config/index.js';

/** Of the process itself: its streams and threads, the sessions of its database and Redis, files that requests read. */
const OWN = 200;
/** Walks of trees at a time, each with a descriptor for every folder on its way. */
const WALKS = 4 * 65 * 2;
/** Pipes and mounts of the commands in boxes, and both ends of what their proxy carries. */
const BOXES = 4 * 20 + 2 * 256;

/** HTTP connections that the process takes: event streams leave room for other requests. */
export function mostConnections({ streams }: Pick<AppConfig, 'streams'>): number {
  return Math.max(2_000, streams.most + 1_000);
}

/** Files that the process may have open at a time under its settings. A connection counts as one. */
export function openFilesNeeded(config: Pick<AppConfig, 'streams' | 'pipeline'>): number {
  // A stream and a stage each wait for one model.
  const models = config.streams.most + config.pipeline.maxConcurrent;
  return mostConnections(config) + models + WALKS + BOXES + OWN;
}

/** How many files the process may have open; null where there is no limit or nobody says. */
export function openFilesLimit(limits = '/proc/self/limits'): number | null {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync(limits, 'utf8'))?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/** Why `limit` is too low for the settings, as a sentence with the number to set; null when it is not. */
export function openFilesFault(limit: number | null, config: Pick<AppConfig, 'streams' | 'pipeline'>): string | null {
  const needed = openFilesNeeded(config);
  if (limit === null || limit >= needed) return null;
  return (
    `this process may have ${limit} files open, and its connections, streams and commands can need ${needed}; ` +
    `raise the limit (ulimit -n ${needed}, LimitNOFILE=${needed} or nofile of the container), or lower MAX_STREAMS`
  );
}

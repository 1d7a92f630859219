import { inDirectory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { entryKind, type EntryKind } from '../boundary/tree-walk.js';
import { isWritten, type Comparison } from './compare-tree.js';
import { foldersOf, gitTraps, isBareRepository, joinedTraps, repositoryTrap, type GitTraps } from './git-traps.js';

/**
 * The traps of a tree, and those that its changes make together with what only the workspace has: what is ignored there is in
 * no tree, and may be the other half of a repository.
 */
export async function withTrapsInWorkspace(
  workspace: string,
  { changes, traps, repositories }: Comparison,
): Promise<GitTraps | null> {
  const written = new Map<string, Map<string, EntryKind>>();
  for (const change of changes) {
    if (!isWritten(change)) continue;
    for (const folder of foldersOf(change.path)) {
      const [name = '', ...below] = change.path.slice(folder.length).split('/');
      const entries = written.get(folder) ?? new Map<string, EntryKind>();
      entries.set(name, below.length > 0 ? 'folder' : change.after?.type === 'link' ? 'link' : 'file');
      written.set(folder, entries);
    }
  }
  const gone = new Set(changes.filter(({ after }) => after === null).map(({ path }) => path));
  const known = new Set(repositories);
  const found: string[] = [];
  for (const [folder, entries] of written) {
    if (known.has(folder)) continue;
    const present = await entriesOf(workspace, folder);
    const left = present.filter(({ name }) => !entries.has(name) && !gone.has(folder + name));
    if (isBareRepository([...left, ...[...entries].map(([name, kind]) => ({ name, kind }))])) found.push(folder);
  }
  return joinedTraps(traps, gitTraps(found.map(repositoryTrap)));
}

/** The workspace's entries in `folder`; nothing where there is no such folder. */
async function entriesOf(workspace: string, folder: string): Promise<{ name: string; kind: EntryKind }[]> {
  try {
    return await inDirectory(workspace, folder.split('/').slice(0, -1), async (directory) => {
      const entries: { name: string; kind: EntryKind }[] = [];
      for await (const entry of directory.entries()) entries.push({ name: entry.name, kind: entryKind(entry) });
      return entries;
    });
  } catch (error) {
    if (error instanceof PathRefusedError) return [];
    throw error;
  }
}

import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { inDirectory } from '../boundary/directory.js';
import { DomainError } from '../../../platform/errors/index.js';
import { errorCode, PathRefusedError } from '../boundary/path-refused.js';
import { isGitName } from '../boundary/relative-path.js';
import { entryKind, walkTree } from '../boundary/tree-walk.js';
import { recordOf, sameRecord, type FileRecord } from './file-record.js';
import type { RecordedContent } from './recorded-content.js';
import type { Difference } from './tree-diff.js';

/** What stands in the workspace at a path: `record` is null for nothing, and for what is neither file nor link. */
interface Present {
  kind: 'nothing' | 'file' | 'folder' | 'other' | 'blocked';
  record: FileRecord | null;
  stat: Stats | null;
}

interface Planned {
  change: Difference;
  present: Present;
}

/**
 * Why a path cannot be published: the workspace holds another version than the base's; the task's link leads out of the
 * workspace, or into `.git`; a folder, a device or a link stands where the file, or a folder on the way to it, would be.
 */
export type ConflictCause = 'changed' | 'link_leads_out' | 'in_the_way';

export interface Conflict {
  path: string;
  causes: ConflictCause[];
  /** The workspace's version at the path: `absent`, or its type and SHA-256; null for what no file can replace. */
  version: string | null;
}

export interface PublicationRights {
  /** The versions, as in `Conflict`, that are overwritten: by path, that one and no other. */
  over: ReadonlyMap<string, string>;
  /** Links may lead anywhere, as those of the workspace's owner do. */
  anyLinks: boolean;
  /** Throws when the publication may not go on. */
  mayGoOn(): Promise<void>;
}

/**
 * Brings the changes of one tree into the workspace, one file at a time. A change is done when the workspace holds the
 * task's version already, and is made when it still holds the base's; so a publication that died anywhere is simply
 * begun again, and one that is done changes nothing.
 */
export class Publication {
  private readonly plan: Planned[] = [];

  constructor(
    private readonly workspace: string,
    private readonly content: RecordedContent,
    private readonly taskId: string,
    private readonly changes: readonly Difference[],
    private readonly rights: PublicationRights,
  ) {}

  /** Looks at everything and writes nothing. @returns what conflicts. @throws DomainError `workspace_unwritable`. */
  async conflicts(): Promise<Conflict[]> {
    const conflicts: Conflict[] = [];
    const looked = new Map<string, Present>();
    for (const { path } of this.changes) {
      await this.rights.mayGoOn();
      looked.set(path, await this.look(path));
    }
    const vanishing = new Set(
      this.changes
        .filter(({ path, before, after }) => {
          const present = looked.get(path);
          if (after !== null || present === undefined) return false;
          return this.mayOverwrite(path, present) || sameRecord(present.record, before);
        })
        .map(({ path }) => path),
    );
    for (const change of this.changes) {
      const present = looked.get(change.path) ?? { kind: 'other', record: null, stat: null };
      if (await this.isDone(change, present)) continue;
      const causes = await this.causes(change, present, vanishing);
      if (causes.length === 0) this.plan.push({ change, present });
      else conflicts.push({ path: change.path, causes, version: versionOf(present) });
    }
    return conflicts;
  }

  /** The planned paths that can be taken back: nothing is overwritten there but the base's version. */
  get takesBack(): string[] {
    return this.plan
      .filter(({ change, present }) => sameRecord(present.record, change.before))
      .map(({ change }) => change.path);
  }

  /**
   * Makes the changes that `conflicts` planned, deletions first.
   * @returns what was changed by something else since it was looked at, and is as that left it.
   * @throws DomainError `workspace_unwritable`
   */
  async apply(): Promise<Conflict[]> {
    const late: Conflict[] = [];
    const step = async (planned: Planned, work: () => Promise<void>): Promise<void> => {
      await this.rights.mayGoOn();
      try {
        await work();
      } catch (error) {
        if (!(error instanceof PathRefusedError)) throw error;
        refuseUnwritable(planned.change.path, error);
        late.push(await this.lateConflict(planned.change));
      }
    };
    const [deletions, writes] = [
      this.plan.filter(({ change }) => change.after === null).reverse(),
      this.plan.filter(({ change }) => change.after !== null),
    ];
    for (const planned of deletions) await step(planned, () => this.delete(planned));
    for (const planned of writes) await step(planned, () => this.write(planned));
    return late;
  }

  private async lateConflict(change: Difference): Promise<Conflict> {
    const { path } = change;
    const present = await this.look(path);
    const causes = await this.causes(change, present, new Set());
    return { path, causes: causes.length > 0 ? causes : ['changed'], version: versionOf(present) };
  }

  private async look(path: string): Promise<Present> {
    const { folder, name } = split(path);
    let blocked = true;
    try {
      return await inDirectory(this.workspace, folder, async (directory) => {
        blocked = false;
        const stat = await directory.stat(name);
        if (stat === null) return { kind: 'nothing', record: null, stat };
        if (stat.isDirectory()) return { kind: 'folder', record: null, stat };
        const record = await recordOf(directory, name, entryKind(stat));
        return { kind: record === null ? 'other' : 'file', record, stat };
      });
    } catch (error) {
      if (!(error instanceof PathRefusedError)) throw error;
      refuseUnwritable(path, error);
      if (!blocked) return { kind: 'other', record: null, stat: null };
      return { kind: (await this.parentIsMissing(folder)) ? 'nothing' : 'blocked', record: null, stat: null };
    }
  }

  /** Whether the way to `folder` ends in nothing, and not in a file or a link. */
  private async parentIsMissing(folder: readonly string[]): Promise<boolean> {
    for (let depth = 0; depth < folder.length; depth++) {
      const stat = await inDirectory(this.workspace, folder.slice(0, depth), (directory) =>
        directory.stat(folder[depth] ?? ''),
      );
      if (stat === null) return true;
      if (!stat.isDirectory()) return false;
    }
    return true;
  }

  private async isDone({ path, after }: Difference, present: Present): Promise<boolean> {
    if (after !== null) return sameRecord(present.record, after);
    if (present.kind === 'nothing' || present.kind === 'folder') return true;
    return present.kind === 'blocked' && (await this.isFileNow(path));
  }

  /** Whether an ancestor of the deleted `path` is a file in the task's version: its folder is gone and replaced. */
  private async isFileNow(path: string): Promise<boolean> {
    for (const change of this.changes) {
      if (change.after !== null && path.startsWith(`${change.path}/`)) {
        return sameRecord((await this.look(change.path)).record, change.after);
      }
    }
    return false;
  }

  /** Why the change may not be made; nothing when it may. */
  private async causes(change: Difference, present: Present, vanishing: ReadonlySet<string>): Promise<ConflictCause[]> {
    const causes: ConflictCause[] = [];
    const approved = this.mayOverwrite(change.path, present);
    if (change.after?.type === 'link' && !approved && !this.rights.anyLinks && !(await this.linkStaysInside(change))) {
      causes.push('link_leads_out');
    }
    if (await this.standsInTheWay(change.path, present, vanishing)) causes.push('in_the_way');
    else if (
      (present.kind === 'file' || present.kind === 'nothing') &&
      !approved &&
      !sameRecord(present.record, change.before)
    ) {
      causes.push('changed');
    }
    return causes;
  }

  private async standsInTheWay(path: string, present: Present, vanishing: ReadonlySet<string>): Promise<boolean> {
    switch (present.kind) {
      case 'other':
        return true;
      case 'blocked':
        return ![...vanishing].some((gone) => path.startsWith(`${gone}/`));
      case 'folder':
        return !(await this.folderVanishes(path, vanishing));
      default:
        return false;
    }
  }

  /** Whether a person has let the change win over just what is there. */
  private mayOverwrite(path: string, present: Present): boolean {
    const version = versionOf(present);
    return version !== null && this.rights.over.get(path) === version;
  }

  /** Whether everything in the folder at `path` is deleted by this publication; not where that cannot be seen. */
  private async folderVanishes(path: string, vanishing: ReadonlySet<string>): Promise<boolean> {
    try {
      return await inDirectory(this.workspace, path.split('/'), async (directory) => {
        for await (const entry of walkTree(directory, { git: true })) {
          if (entry.kind !== 'folder' && !vanishing.has(`${path}/${entry.path}`)) return false;
        }
        return true;
      });
    } catch (error) {
      if (error instanceof PathRefusedError) return false;
      throw error;
    }
  }

  /** Links that are absolute, or climb out of the root, are published only where a person says so. */
  private async linkStaysInside({ path, after }: Difference): Promise<boolean> {
    if (after === null) return true;
    const target = (await this.content.read(path, after)).toString('utf8');
    const parts = target.split('/').filter((part) => part !== '.' && part !== '');
    const climbs = parts.findIndex((part) => part !== '..');
    const ups = climbs === -1 ? parts.length : climbs;
    return (
      !target.startsWith('/') &&
      !parts.slice(ups).includes('..') &&
      !parts.some(isGitName) &&
      ups < path.split('/').length
    );
  }

  private async delete({ change, present }: Planned): Promise<void> {
    const { folder, name } = split(change.path);
    await inDirectory(this.workspace, folder, async (directory) => {
      assertUnchanged(name, await directory.stat(name), present.stat);
      await directory.remove(name);
    });
    for (let depth = folder.length; depth > 0; depth--) {
      const gone = await inDirectory(this.workspace, folder.slice(0, depth - 1), (parent) =>
        parent.removeDirectory(folder[depth - 1] ?? ''),
      );
      if (!gone) break;
    }
  }

  private async write({ change: { path, after }, present }: Planned): Promise<void> {
    if (after === null) return;
    const { folder, name } = split(path);
    if (present.kind === 'folder') await this.removeEmptyFolders(path);
    const expected = present.kind === 'file' ? present.stat : null;
    const temporary = createHash('sha256').update(`${this.taskId}\0${path}`).digest('hex').slice(0, 32);
    const check = async (now: Stats | null): Promise<void> => {
      await this.rights.mayGoOn();
      assertUnchanged(name, now, expected);
    };
    await inDirectory(
      this.workspace,
      folder,
      async (directory) => {
        if (after.type === 'link') {
          const target = (await this.content.read(path, after)).toString('utf8');
          return directory.replaceLink(name, target, { temporary, check });
        }
        const before = expected?.isFile() ? expected.mode & 0o777 : 0o644;
        const mode = after.type === 'executable' ? before | ((before & 0o444) >> 2) : before & ~0o111;
        return this.content.stream(path, after, (content) =>
          directory.replaceFile(name, {
            content: this.whileAllowed(content),
            mode,
            temporary,
            check,
            overLink: true,
            durable: true,
          }),
        );
      },
      { create: true },
    );
  }

  private async *whileAllowed(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of content) {
      await this.rights.mayGoOn();
      yield chunk;
    }
  }

  private async removeEmptyFolders(path: string): Promise<void> {
    if ((await this.look(path)).kind !== 'folder') return;
    const folders: string[] = [path];
    await inDirectory(this.workspace, path.split('/'), async (directory) => {
      for await (const inner of walkTree(directory, { git: true })) {
        if (inner.kind === 'folder') folders.push(`${path}/${inner.path}`);
      }
    });
    for (const inner of folders.reverse()) {
      const { folder, name } = split(inner);
      await inDirectory(this.workspace, folder, (directory) => directory.removeDirectory(name));
    }
  }
}

function versionOf({ kind, record }: Present): string | null {
  if (record !== null) return `${record.type}:${record.sha256}`;
  return kind === 'nothing' ? 'absent' : null;
}

function split(path: string): { folder: string[]; name: string } {
  const segments = path.split('/');
  return { folder: segments.slice(0, -1), name: segments.at(-1) ?? '' };
}

const UNWRITABLE = /^(EACCES|EPERM|EROFS|ENOSPC|EDQUOT|EFBIG)$/;

/**
 * What the machine refuses is no change of somebody else's, and no person's word makes it possible.
 * @throws DomainError `workspace_unwritable`, caused by the system's own error.
 */
function refuseUnwritable(path: string, error: PathRefusedError): void {
  if (!UNWRITABLE.test(errorCode(error.cause) ?? '')) return;
  throw new DomainError('workspace_unwritable', `"${path}" cannot be published into the workspace: ${error.message}`, {
    cause: error.cause,
  });
}

/** @throws PathRefusedError when `now` is not the very file that was looked at. */
function assertUnchanged(name: string, now: Stats | null, then: Stats | null): void {
  if (now?.ino !== then?.ino || now?.ctimeMs !== then?.ctimeMs) {
    throw new PathRefusedError(`"${name}" was changed by something else meanwhile.`);
  }
}

import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder, type TemporaryFolder } from '../../test/support/servers/index.js';
import type { RunPlan } from './torture-run.js';

/** One text of the built service that is replaced by another. */
interface Patch {
  /** Below `dist`. */
  file: string;
  text: string;
  instead: string;
}

/** A service with one of its protections taken out, and the run that has to notice. */
export interface Mutant {
  name: string;
  patches: readonly Patch[];
  /** The race of migrators on an empty database, or a run with tasks and faults. */
  caughtBy: 'migrators' | Omit<RunPlan, 'seed' | 'main'>;
  /** A pattern that one of the complaints must match. */
  says: RegExp;
}

const TRANSITIONS = 'modules/pipeline/store/transitions.repository.js';

/** Workers whose writes arrive after their leases have ended, while others are at the same stages. */
export const LATE_WRITES: Omit<RunPlan, 'seed' | 'main'> = {
  tasks: 90,
  turns: 0,
  seconds: 24,
  workers: 3,
  weights: { hold: 1 },
  everyMs: 1_000,
  answersMs: [500, 2_500],
  drainSeconds: 60,
};

const CALM: Omit<RunPlan, 'seed' | 'main'> = {
  tasks: 40,
  turns: 0,
  seconds: 4,
  workers: 2,
  weights: {},
  everyMs: 1_000,
  answersMs: [5, 60],
  drainSeconds: 20,
};

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'commit-without-epoch',
    patches: [
      {
        file: TRANSITIONS,
        text: 'where t.id = m.task_id and t.epoch = m.epoch and t.version = m.version\n',
        instead: 'where t.id = m.task_id\n',
      },
    ],
    caughtBy: LATE_WRITES,
    says: /was stored \d+ times|holds \d+ ends|after its end|goes on from|ended \w+ \d+ of task \d+, which worker \d+ holds/,
  },
  {
    name: 'heartbeat-without-epoch',
    patches: [
      {
        file: 'modules/pipeline/store/workers.repository.js',
        text: 'where t.id = l.id and t.epoch = l.epoch and t.lease_owner = ${worker}\n      returning t.id`',
        instead: 'where t.id = l.id and t.lease_owner is not null\n      returning t.id`',
      },
    ],
    caughtBy: LATE_WRITES,
    says: /renewed the lease of task/,
  },
  {
    name: 'acknowledge-before-commit',
    patches: [
      {
        file: 'modules/pipeline/commands/submit.service.js',
        text: "await (submission.idempotency ? this.database.transaction('tasks.submit', store) : store());",
        instead: `await new Promise((resolve, reject) => {
            this.database.transaction('tasks.submit', async () => {
                resolve(await store());
                await new Promise((stored) => setTimeout(stored, 100));
            }).catch(reject);
        });`,
      },
    ],
    caughtBy: {
      ...CALM,
      tasks: 400,
      seconds: 16,
      weights: { postgres_crash: 1 },
      everyMs: 2_500,
      drainSeconds: 60,
    },
    says: /lost: task \d+ was accepted/,
  },
  {
    name: 'reaper-without-lease-test',
    patches: [
      {
        file: 'modules/pipeline/store/task-queue.repository.js',
        text: "case when lease_until < clock_timestamp() then 'lease' else 'deadline' end as expired",
        instead: "'lease' as expired",
      },
      {
        file: 'modules/pipeline/store/task-queue.repository.js',
        text: 'where lease_owner is not null and (lease_until < clock_timestamp() or deadline_at < clock_timestamp())',
        instead: 'where lease_owner is not null',
      },
      {
        file: TRANSITIONS,
        text: 'and (m.lease_expired is not true or t.lease_until < clock_timestamp())\n',
        instead: '\n',
      },
    ],
    caughtBy: { ...CALM, drainSeconds: 5 },
    says: /the lease of task \d+ was taken \d+ ms before its end/,
  },
  {
    name: 'migration-without-lock',
    patches: [{ file: 'platform/database/migrator.js', text: 'await lock(client, options.signal);', instead: '' }],
    caughtBy: 'migrators',
    says: /a migrator of an empty database failed/,
  },
  {
    name: 'publish-without-base-check',
    patches: [
      {
        file: 'modules/tools/work-tree/publication.js',
        text: "!sameRecord(present.record, change.before)) {\n            causes.push('changed');",
        instead: "false) {\n            causes.push('changed');",
      },
    ],
    caughtBy: CALM,
    says: /the owner's file of task \d+ was overwritten without a word/,
  },
  {
    name: 'approve-without-content-hash',
    patches: [
      {
        file: 'modules/pipeline/commands/review.service.js',
        text: 'if (hashes.some((hash) => hash !== gate.contentHash)) {',
        instead: 'if (false) {',
      },
    ],
    caughtBy: CALM,
    says: /was approved by the hash of other content/,
  },
];

const ROOT = join(import.meta.dirname, '../..');

/**
 * A copy of the built service with the mutant's patches. The product itself has no switch for any of this.
 * @throws Error when a text that is to be replaced is not there exactly once.
 */
export function mutated(mutant: Mutant): { main: string; dist: string; folder: TemporaryFolder } {
  const folder = temporaryFolder();
  const dist = join(folder.path, 'dist');
  cpSync(join(ROOT, 'dist'), dist, { recursive: true });
  for (const name of readdirSync(ROOT)) {
    if (name !== 'dist' && name !== '.git') symlinkSync(join(ROOT, name), join(folder.path, name));
  }
  for (const { file, text, instead } of mutant.patches) {
    const path = join(dist, file);
    const parts = readFileSync(path, 'utf8').split(text);
    if (parts.length !== 2) {
      folder.remove();
      throw new Error(`${mutant.name}: ${file} holds ${parts.length - 1} times, and not once: ${text}`);
    }
    writeFileSync(path, parts.join(instead));
  }
  return { main: join(dist, 'main.js'), dist, folder };
}

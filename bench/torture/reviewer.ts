import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Service } from '../../test/support/service.js';
import type { Owner } from './owner.js';
import { ownersContent } from './work.js';

const LOOK_MS = 300;
const OTHER_HASH = createHash('sha256').update('what nobody has looked at').digest('hex');

interface Waiting {
  id: string;
  gate_id: string;
  kind: string;
  content_hash: string;
  tag: number;
}

/**
 * The person who decides the gates. Asks first to approve content that the gate does not show, which must be refused, and then
 * approves what it shows.
 */
export class Reviewer {
  approvals = 0;
  readonly faults: string[] = [];
  private looking: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();
  private readonly refused = new Set<string>();

  constructor(
    private readonly service: Service,
    private readonly pool: pg.Pool,
    private readonly owner: Owner,
  ) {}

  start(): void {
    this.looking = this.look();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.looking;
  }

  private async look(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.decideAll().catch(() => undefined);
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  private async decideAll(): Promise<void> {
    const { rows } = await this.pool.query<Waiting>(
      `select t.id, g.id as gate_id, g.kind, g.content_hash, substring(r.user_input from 'tag-([0-9]+)')::int as tag
         from tasks t join gates g on g.id = t.gate_id join task_requests r on r.task_id = t.id
        where t.status = 'pending_human_review'`,
    );
    for (const waiting of rows) await this.decide(waiting);
  }

  private async decide({ id, gate_id, kind, content_hash, tag }: Waiting): Promise<void> {
    const contested = kind === 'publish_conflict' && this.owner.contested.has(tag);
    if (!this.refused.has(gate_id)) {
      if (!contested) this.faults.push(`task ${tag} waits at a gate for ${kind}`);
      else if ((await this.owner.content(tag)) !== ownersContent(tag)) {
        this.faults.push(`the owner's file was overwritten before task ${tag} was approved`);
      }
      const status = await this.approve(id, gate_id, OTHER_HASH);
      if (status === 200) this.faults.push(`task ${tag} was approved by the hash of other content`);
      else if (status !== 409) return;
      this.refused.add(gate_id);
    }
    if ((await this.approve(id, gate_id, content_hash)) === 200) this.approvals += 1;
  }

  private async approve(id: string, gate_id: string, content_hash: string): Promise<number> {
    const answer = await this.service.admin(`/api/v1/pipeline/tasks/${id}/review`, {
      method: 'POST',
      signal: AbortSignal.timeout(20_000),
      json: { decision: 'approve', gate_id, content_hash },
    });
    await answer.arrayBuffer();
    return answer.status;
  }
}

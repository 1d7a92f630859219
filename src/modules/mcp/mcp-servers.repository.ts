import { Injectable } from '@nestjs/common';
import { Database, json, sql, violates, type McpServerRow, type McpToolPinRow } from '../../platform/database/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { SecretBox, type Secret, type StoredSecret } from '../../platform/secrets/index.js';
import type { McpEra, McpServer, McpServerSettings, ToolPin } from './mcp-server.js';

type SelectedServer = Omit<McpServerRow, 'env' | 'headers' | 'era'> & {
  env: Record<string, StoredSecret>;
  headers: Record<string, StoredSecret>;
  era: McpEra | null;
};

type SecretField = 'env' | 'headers';

const COLUMNS = sql`
  id, name, description, transport, command, args, env, public_env, url, headers, enabled, sandbox, metadata, revision, era,
  created_at, updated_at`;

/** Names that a server may ever have had tools by; one that makes up new names all the time ends up with none. */
const MOST_PINS = 2_000;
/** Of the definitions that are kept of one server. */
const MOST_PINNED_BYTES = 16 * 1024 * 1024;

@Injectable()
export class McpServersRepository {
  constructor(
    private readonly db: Database,
    private readonly secrets: SecretBox,
  ) {}

  /** Every enabled server; the revision moves whenever it has to be connected anew. */
  async enabled(): Promise<{ id: string; revision: number }[]> {
    return this.db.query('mcp.enabled', sql`select id, revision from mcp_servers where enabled`);
  }

  /** Servers by name, those after `afterName` only when it is given. */
  async list(limit: number, offset: number, afterName: string | null): Promise<McpServer[]> {
    const rows = await this.db.query<SelectedServer>(
      'mcp.list',
      sql`select ${COLUMNS} from mcp_servers
          ${afterName === null ? sql`` : sql`where name > ${afterName}`}
          order by name limit ${limit} offset ${offset}`,
    );
    return rows.map((row) => this.toServer(row));
  }

  async find(id: string): Promise<McpServer | null> {
    const row = await this.db.maybeOne<SelectedServer>(
      'mcp.find',
      sql`select ${COLUMNS} from mcp_servers where id = ${id}`,
    );
    return row && this.toServer(row);
  }

  /** Keeps other edits of the server waiting until the transaction ends. */
  async lockForEdit(id: string): Promise<McpServer | null> {
    const row = await this.db.maybeOne<SelectedServer>(
      'mcp.lockForEdit',
      sql`select ${COLUMNS} from mcp_servers where id = ${id} for update`,
    );
    return row && this.toServer(row);
  }

  async count(): Promise<number> {
    const row = await this.db.one<{ count: number }>(
      'mcp.count',
      sql`select count(*)::integer as count from mcp_servers`,
    );
    return row.count;
  }

  /** @throws DomainError name_taken. */
  async insert(id: string, server: McpServerSettings): Promise<McpServer> {
    return this.guarded(
      server.name,
      this.db.one<SelectedServer>(
        'mcp.insert',
        sql`insert into mcp_servers (
              id, name, description, transport, command, args, env, public_env, url, headers, enabled, sandbox, metadata
            ) values (
              ${id}, ${server.name}, ${server.description}, ${server.transport}, ${server.command}, ${server.args},
              ${json(this.sealed(id, 'env', server.env))}, ${server.publicEnv}, ${server.url},
              ${json(this.sealed(id, 'headers', server.headers))}, ${server.enabled}, ${server.sandbox},
              ${json(server.metadata)}
            ) returning ${COLUMNS}`,
      ),
    );
  }

  /**
   * Writes every setting. `anew` moves the revision and forgets the era: every process connects again.
   * @throws DomainError name_taken.
   */
  async update(id: string, server: McpServerSettings, anew: boolean): Promise<McpServer> {
    return this.guarded(
      server.name,
      this.db.one<SelectedServer>(
        'mcp.update',
        sql`update mcp_servers set
              name = ${server.name}, description = ${server.description}, transport = ${server.transport},
              command = ${server.command}, args = ${server.args}, url = ${server.url},
              env = ${json(this.sealed(id, 'env', server.env))}, public_env = ${server.publicEnv},
              headers = ${json(this.sealed(id, 'headers', server.headers))}, enabled = ${server.enabled}, sandbox = ${server.sandbox},
              metadata = ${json(server.metadata)},
              revision = revision + ${anew ? 1 : 0}::integer,
              era = case when ${anew}::boolean then null else era end,
              updated_at = greatest(clock_timestamp(), updated_at + interval '1 millisecond')
            where id = ${id} returning ${COLUMNS}`,
      ),
    );
  }

  /** Moves the revision and forgets the era: every process connects again. Pins stay. */
  async renew(id: string): Promise<McpServer | null> {
    const row = await this.db.maybeOne<SelectedServer>(
      'mcp.bumpRevision',
      sql`update mcp_servers set revision = revision + 1, era = null where id = ${id} returning ${COLUMNS}`,
    );
    return row && this.toServer(row);
  }

  /** Keeps how the server is spoken to, unless its revision has moved since. */
  async keepEra(id: string, revision: number, era: McpEra | null): Promise<void> {
    await this.db.query(
      'mcp.keepEra',
      sql`update mcp_servers set era = ${json(era)} where id = ${id} and revision = ${revision}`,
    );
  }

  /** Seals with the first key what is stored as plain text or sealed with another key; nothing that anybody sees changes. */
  async sealAll(): Promise<void> {
    await this.db.transaction('mcp.sealAll', async () => {
      const rows = await this.db.query<Pick<SelectedServer, 'id' | 'env' | 'headers'>>(
        'mcp.lockSecrets',
        sql`select id, env, headers from mcp_servers order by id for update`,
      );
      for (const { id, env, headers } of rows) {
        if (![env, headers].flatMap(Object.values<StoredSecret>).some((stored) => this.secrets.isStale(stored)))
          continue;
        await this.db.query(
          'mcp.seal',
          sql`update mcp_servers set
                env = ${json(this.sealed(id, 'env', this.opened(id, 'env', env)))},
                headers = ${json(this.sealed(id, 'headers', this.opened(id, 'headers', headers)))}
              where id = ${id}`,
        );
      }
    });
  }

  /** Whether there was such a server. */
  async delete(id: string): Promise<boolean> {
    const rows = await this.db.query('mcp.delete', sql`delete from mcp_servers where id = ${id} returning id`);
    return rows.length > 0;
  }

  /**
   * Pins tools that were never seen and tells the hashes that hold, by name. Several processes may do so at once: the first
   * to come decides. A server that is gone, or whose revision has moved on, pins nothing. `definitions` are kept with the
   * hashes, also with one that was pinned without, while all of a server's have less than 16 MiB.
   */
  async pin(
    id: string,
    revision: number,
    hashes: ReadonlyMap<string, string>,
    definitions: ReadonlyMap<string, Record<string, unknown> | null> = new Map(),
  ): Promise<Map<string, string>> {
    const names = [...hashes.keys()];
    const said = names.map((name) => definitions.get(name) ?? null).map((one) => one && JSON.stringify(one));
    const rows = await this.db.transaction('mcp.pin', async () => {
      await this.db.query(
        'mcp.addPins',
        sql`insert into mcp_tool_pins as p (server_id, name, hash, definition)
            select s.id, given.name, given.hash, case when kept.bytes < ${MOST_PINNED_BYTES} then given.definition::jsonb end
            from (select id from mcp_servers where id = ${id} and revision = ${revision} for share) s,
              (select count(*) as pins, coalesce(sum(pg_column_size(definition)), 0) as bytes
               from mcp_tool_pins where server_id = ${id}) kept,
              unnest(${names}::text[], ${[...hashes.values()]}::text[], ${said}::text[])
                as given (name, hash, definition)
            where kept.pins < ${MOST_PINS}
              or exists (select from mcp_tool_pins o where o.server_id = s.id and o.name = given.name)
            on conflict (server_id, name) do update set definition = excluded.definition
              where p.hash = excluded.hash and p.definition is null and excluded.definition is not null`,
      );
      return this.db.query<Pick<McpToolPinRow, 'name' | 'hash'>>(
        'mcp.pinnedHashes',
        sql`select name, hash from mcp_tool_pins where server_id = ${id}`,
      );
    });
    return new Map(rows.map((row) => [row.name, row.hash]));
  }

  /** What is pinned of a server, by name. */
  async pins(id: string): Promise<Map<string, ToolPin>> {
    const rows = await this.db.query<
      Pick<McpToolPinRow, 'name' | 'hash' | 'definition'> & { definition: Record<string, unknown> | null }
    >('mcp.pins', sql`select name, hash, definition from mcp_tool_pins where server_id = ${id} order by name`);
    return new Map(rows.map(({ name, hash, definition }) => [name, { hash, definition }]));
  }

  /**
   * Pins `accepted` in the place of what was pinned, and moves the revision, so that every process looks again. Null when the
   * server is gone or its revision is not `revision` any more; then nothing is pinned.
   */
  async accept(id: string, revision: number, accepted: ReadonlyMap<string, ToolPin>): Promise<McpServer | null> {
    return this.db.transaction('mcp.accept', async () => {
      const row = await this.db.maybeOne<SelectedServer>(
        'mcp.acceptRevision',
        sql`update mcp_servers set revision = revision + 1 where id = ${id} and revision = ${revision} returning ${COLUMNS}`,
      );
      if (row === null) return null;
      const pins = [...accepted.values()];
      await this.db.query(
        'mcp.acceptPins',
        sql`insert into mcp_tool_pins (server_id, name, hash, definition)
            select ${id}, given.name, given.hash, given.definition::jsonb
            from unnest(${[...accepted.keys()]}::text[], ${pins.map((pin) => pin.hash)}::text[],
              ${pins.map((pin) => pin.definition && JSON.stringify(pin.definition))}::text[])
              as given (name, hash, definition)
            on conflict (server_id, name) do update
              set hash = excluded.hash, definition = excluded.definition, pinned_at = clock_timestamp()`,
      );
      return this.toServer(row);
    });
  }

  async forgetPins(id: string): Promise<void> {
    await this.db.query('mcp.forgetPins', sql`delete from mcp_tool_pins where server_id = ${id}`);
  }

  private async guarded(name: string, statement: Promise<SelectedServer>): Promise<McpServer> {
    try {
      return this.toServer(await statement);
    } catch (error) {
      if (!violates(error, 'mcp_servers_name_idx')) throw error;
      throw new DomainError('name_taken', `There is an MCP server named "${name}" already.`, { cause: error });
    }
  }

  private sealed(id: string, field: SecretField, values: Record<string, Secret>): Record<string, StoredSecret> {
    return mapped(values, (value, name) => this.secrets.seal(value, placeOf(id, field, name)));
  }

  private opened(id: string, field: SecretField, values: Record<string, StoredSecret>): Record<string, Secret> {
    return mapped(values, (value, name) => this.secrets.open(value, placeOf(id, field, name)));
  }

  private toServer(row: SelectedServer): McpServer {
    return {
      id: row.id,
      name: row.name,
      description: row.description,
      transport: row.transport,
      command: row.command,
      args: row.args,
      env: this.opened(row.id, 'env', row.env),
      publicEnv: row.public_env,
      url: row.url,
      headers: this.opened(row.id, 'headers', row.headers),
      enabled: row.enabled,
      sandbox: row.sandbox,
      metadata: row.metadata,
      revision: row.revision,
      era: row.era,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    };
  }
}

/** Where a secret is stored: what is sealed there opens nowhere else. */
function placeOf(id: string, field: SecretField, name: string): string {
  return `mcp_servers/${id}/${field}/${name}`;
}

function mapped<T, R>(values: Record<string, T>, change: (value: T, name: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value, name)]));
}

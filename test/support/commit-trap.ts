import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import pg from 'pg';

/** What the pipeline's commits look like on the wire: transitions, and entries of journals. */
const COMMITS = ['last_move_id = m.move_id', 'insert into stage_journal'];

export interface Trap {
  /** Which commit springs it, from 1. */
  at: number;
  /**
   * Before PostgreSQL hears of the commit, or after it has committed and before the service hears of that; or late: it is
   * kept on its way until `deliver`.
   */
  when: 'before' | 'after' | 'late';
  spring: () => void;
}

/**
 * Stands between a service and its PostgreSQL and watches for the pipeline's commits. At the chosen one it calls `spring` and
 * lets nothing more through on that connection, or only once `deliver` is called.
 */
export class CommitTrap {
  /** Commits seen so far. */
  commits = 0;
  private trap: Trap | null = null;
  private readonly sockets = new Set<Socket>();
  private deliverLate: () => Promise<void> = async () => undefined;

  private constructor(
    private readonly server: Server,
    private readonly url: URL,
  ) {}

  static async before(databaseUrl: string): Promise<CommitTrap> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const trap = new CommitTrap(server, new URL(databaseUrl));
    server.on('connection', (client) => trap.serve(client));
    return trap;
  }

  /** The connection string that leads through here. */
  get databaseUrl(): string {
    const { username, password, pathname } = this.url;
    return `postgres://${username}${password ? `:${password}` : ''}@127.0.0.1:${(this.server.address() as AddressInfo).port}${pathname}`;
  }

  set(trap: Trap | null): void {
    this.commits = 0;
    this.trap = trap;
  }

  /** Lets the commit that was kept back go on; resolves when PostgreSQL has answered it. */
  deliver(): Promise<void> {
    return this.deliverLate();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(client: Socket): void {
    const target = new pg.Client({ connectionString: this.url.href });
    const upstream = target.host.startsWith('/')
      ? connect(`${target.host}/.s.PGSQL.${target.port}`)
      : connect(target.port, target.host);
    const isCommit = commitsOn();
    let sprung = false;
    let awaitingAnswer = false;
    const spring = (): void => {
      sprung = true;
      this.trap?.spring();
      client.destroy();
      upstream.destroy();
    };
    const keep = (data: Buffer): void => {
      client.pause();
      this.deliverLate = async () => {
        const answered = new Promise<void>((resolve) => upstream.once('data', () => resolve()));
        upstream.write(data);
        client.resume();
        await answered;
      };
      this.trap?.spring();
    };
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (data) => {
      if (sprung) return;
      if (isCommit(data)) {
        this.commits += 1;
        if (this.trap?.at === this.commits) {
          if (this.trap.when === 'before') return spring();
          if (this.trap.when === 'late') return keep(data);
          awaitingAnswer = true;
        }
      }
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (sprung) return;
      // The answer to an implicit transaction is sent once it is committed.
      if (awaitingAnswer) return spring();
      client.write(data);
    });
  }
}

/** Tells the commits of one connection: their text comes once, and afterwards only the name under which it was prepared. */
function commitsOn(): (data: Buffer) => boolean {
  const names = new Set<string>();
  return (data) => {
    const sent = data.toString('latin1');
    const at = Math.max(...COMMITS.map((text) => sent.indexOf(text)));
    if (at < 0) return [...names].some((name) => sent.includes(`\0${name}\0`));
    const name = [...sent.slice(0, at).matchAll(/(nova_\d+)\0/g)].at(-1)?.[1];
    if (name !== undefined) names.add(name);
    return true;
  };
}

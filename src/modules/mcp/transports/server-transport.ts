import type { Transport } from '@modelcontextprotocol/client';

/** The way to one server, which can say why it ended. */
export interface ServerTransport extends Transport {
  /** Why the connection ended, secrets included; empty while it stands, and where that is not known. */
  readonly farewell: string;
}

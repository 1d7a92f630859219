import type { IncomingHttpHeaders } from 'node:http';

export type Json = Record<string, unknown>;

/** A request as an endpoint reads it. */
export interface DialectRequest {
  body: Json;
  headers: IncomingHttpHeaders;
  path: string;
}

/** What a model means to say, before an endpoint puts it in its own form. */
export interface Meant {
  thought: string;
  text?: string;
  calls?: readonly { name: string; arguments: Json }[];
}

/** A body that an endpoint answers with. */
export interface Reply {
  status: number;
  /** JSON unless it is a text. */
  body: Json | readonly Json[] | string;
}

/** How one kind of endpoint takes requests and gives answers. */
export interface Dialect {
  name: string;
  /** As the service addresses it; the part behind a provider's prefix is the model id. */
  model: string;
  /**
   * The public documentation that describes the formats it imitates, and the month in which the dialect was written: from what
   * was known of those pages, not compared with them.
   */
  source: string;
  /** The end of the path at which it is asked. */
  path: string;
  /** Of the prompt's tokens of each call, those that it tells were read from a cache. */
  cachedTokens: number;
  /** Whether its streams tell no usage to a client that leaves out what it refuses. */
  hidesStreamedUsage?: boolean;
  /** What it refuses in a request, the first that applies; null is nothing. */
  refuses(request: DialectRequest): Reply | null;
  /** An error of its own kind for a model that it does not have. */
  unknownModel: Reply;
  whole(meant: Meant, request: DialectRequest): Json | string;
  /** The pieces of an event stream. */
  stream(meant: Meant, request: DialectRequest): string[];
  /** The texts of the tool results that stand at the end of a request. */
  results(request: DialectRequest): string[];
}

/** One thing that an endpoint refuses, in its own words. */
export type Refusal = (request: DialectRequest) => Reply | null | false;

export function firstOf(refusals: readonly Refusal[]): Dialect['refuses'] {
  return (request) => {
    for (const refuse of refusals) {
      const reply = refuse(request);
      if (reply) return reply;
    }
    return null;
  };
}

export function list(value: unknown): Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

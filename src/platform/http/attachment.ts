import { Readable } from 'node:stream';
import { applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { byteRange } from './byte-range.js';

/** Content that a reply sends; whoever makes it, the reply closes it. */
export interface Attachment {
  name: string;
  /** SHA-256 of all of it, hex. */
  sha256: string;
  size: number;
  read(start: number, end: number): AsyncIterable<Buffer>;
  /** May be called twice. */
  close(): Promise<void>;
}

/**
 * Sends bytes that nobody vouches for, whole or the range that is asked for: no browser shows them, runs them, or guesses what
 * they are.
 * @throws DomainError `range_not_satisfiable`.
 */
export async function sendAttachment(reply: FastifyReply, attachment: Attachment): Promise<void> {
  const { name, sha256, size } = attachment;
  const etag = `"${sha256}"`;
  const { range, 'if-range': ifRange } = reply.request.headers;
  try {
    const wanted = ifRange === undefined || ifRange === etag ? byteRange(range, size) : null;
    const { start, end } = wanted ?? { start: 0, end: size };
    void reply.code(wanted === null ? 200 : 206).headers({
      'content-type': 'application/octet-stream',
      'content-disposition': contentDisposition(name),
      'content-length': String(end - start),
      'x-content-type-options': 'nosniff',
      'content-security-policy': 'sandbox',
      'cache-control': 'private, no-store',
      'accept-ranges': 'bytes',
      etag,
      ...(wanted !== null && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    });
    const stream = Readable.from(attachment.read(start, end));
    // Also where nobody reads it: a stream is closed when its reply is, and a generator that never began has no end.
    stream.once('close', () => void attachment.close());
    await reply.send(stream);
  } catch (error) {
    await attachment.close();
    throw error;
  }
}

/** Names a file for browsers; the plain form is for those that do not read the encoded one (RFC 6266). */
function contentDisposition(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._-]/g, '_');
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

const BYTES = { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } };

/** Describes what `sendAttachment` answers. */
export const Attaches = (): MethodDecorator =>
  applyDecorators(
    ApiHeader({ name: 'Range', required: false, schema: { type: 'string', maxLength: 100 } }),
    ApiHeader({ name: 'If-Range', required: false, schema: { type: 'string', maxLength: 100 } }),
    ApiOkResponse({ description: 'The whole content.', content: BYTES }),
    ApiResponse({ status: 206, description: 'The range that was asked for.', content: BYTES }),
  );

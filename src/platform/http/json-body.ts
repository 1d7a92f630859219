import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { DomainError } from '../errors/index.js';
import { refuseVastJson } from './json-shape.js';

/**
 * The one body format: JSON in UTF-8. An empty body is no body, so that clients which label every request as JSON can
 * call routes that need none.
 * @throws DomainError `malformed_json`, or `validation_failed` for more values or levels than any body may have.
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new DomainError('malformed_json', 'The body is not valid UTF-8.');
  refuseVastJson(body);
  const text = body.toString('utf8').replace(/^\uFEFF/, '');
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new DomainError('malformed_json', 'The body is not valid JSON.', { cause: error });
  }
}

/** Makes `instance` take JSON bodies and nothing else. */
export function takeOnlyJson(instance: FastifyInstance): void {
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const encoding = request.headers['content-encoding']?.toLowerCase();
    try {
      if (encoding !== undefined && encoding !== 'identity') {
        throw new DomainError('unsupported_media_type', 'Compressed bodies are not taken.');
      }
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

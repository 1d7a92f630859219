import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { startService, type Service } from '../../support/service.js';

type Headers = Record<string, string>;

interface Answer {
  status: number;
  headers: Record<string, string | undefined>;
  code: string | undefined;
}

/** `fetch` would set Host and Origin itself. */
async function send(service: Service, method: string, path: string, headers: Headers): Promise<Answer> {
  const { port } = new URL(service.url);
  const request = httpRequest({ host: '127.0.0.1', port, method, path, headers, setHost: !('host' in headers) });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  const code =
    body !== '' && /problem\+json/.test(response.headers['content-type'] ?? '')
      ? (JSON.parse(body) as { code: string }).code
      : undefined;
  return { status: response.statusCode ?? 0, headers: response.headers as Headers, code };
}

const PREFLIGHT = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
const PATHS = ['/openapi.json', '/docs', '/metrics', '/api/v1/keys', '/api/v1/keys/validate', '/nope'];

describe('with auth off', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ CORS_ALLOWED_ORIGINS: '*,https://dash.example', ALLOWED_HOSTS: 'nova.internal' });
  });
  afterAll(() => service.stop());

  it.each(PATHS)('no foreign page gets anything from %s, whatever the method', async (path) => {
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
      for (const method of ['GET', 'POST', 'DELETE', 'HEAD']) {
        const answer = await send(service, method, path, { origin });
        expect([answer.status, answer.code ?? 'origin_not_allowed']).toEqual([403, 'origin_not_allowed']);
        expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      }
      const preflight = await send(service, 'OPTIONS', path, { origin, ...PREFLIGHT });
      expect([preflight.status, preflight.code]).toEqual([403, 'origin_not_allowed']);
      expect(preflight.headers['access-control-allow-methods']).toBeUndefined();
    }
  });

  it.each(PATHS)('no name that was rebound to this machine reaches %s', async (path) => {
    for (const host of ['evil.example', 'evil.example:8000', '10.1.2.3', 'localhost.evil.example']) {
      expect(await send(service, 'GET', path, { host })).toMatchObject({ status: 403, code: 'host_not_allowed' });
    }
  });

  it('refuses before it looks at credentials', async () => {
    const answer = await send(service, 'GET', '/api/v1/keys', {
      origin: 'https://evil.example',
      'x-admin-secret': service.adminSecret,
    });
    expect(answer.code).toBe('origin_not_allowed');
  });

  it.each([
    [{ origin: 'http://localhost:3000' }],
    [{ origin: 'http://127.0.0.1:5173' }],
    [{ origin: 'https://dash.example' }],
    [{ host: 'nova.internal:8000' }],
    [{ host: '[::1]:8000' }],
    [{}],
  ])('%j may come in', async (headers: Headers) => {
    expect((await send(service, 'GET', '/openapi.json', headers)).status).toBe(200);
  });

  it.each(['/health/live', '/health/ready'])('%s answers whoever asks: probes drive nothing', async (path) => {
    const strangers: Headers[] = [{ host: '10.0.0.7:8000' }, { host: 'pod-1' }, { origin: 'https://evil.example' }];
    for (const headers of strangers) {
      expect((await send(service, 'GET', path, headers)).status).toBe(200);
      expect((await send(service, 'HEAD', path, headers)).status).toBe(200);
    }
  });

  it('is no way round the rule that a URL spells a route otherwise', async () => {
    const host = 'evil.example';
    for (const path of [
      '/%68ealth/live',
      '/health/../api/v1/tools',
      '/%6Detrics',
      '/%61pi/v1/tools',
      '/health',
      '//health/live',
    ]) {
      expect(await send(service, 'GET', path, { host })).toMatchObject({
        status: path === '/%68ealth/live' ? 200 : path.startsWith('/health/') ? 404 : 403,
      });
    }
    expect(await send(service, 'GET', '/%61pi/v1/tools?no_such=1', {})).toMatchObject({ status: 422 });
  });

  it('answers preflights of those who may, and exposes what clients read', async () => {
    const origin = 'https://dash.example';
    const preflight = await send(service, 'OPTIONS', '/api/v1/keys', { origin, ...PREFLIGHT });
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-origin']).toBe('*');
    expect(preflight.headers['access-control-allow-methods']?.split(', ')).toEqual(
      expect.arrayContaining(['GET', 'POST', 'PATCH', 'DELETE']),
    );
    expect(preflight.headers['access-control-allow-headers']).toBe('content-type');
    const { headers } = await send(service, 'GET', '/health/live', { origin });
    const exposed = headers['access-control-expose-headers']?.split(', ');
    for (const name of [
      'X-Request-Id',
      'X-Session-Id',
      'X-Task-Id',
      'Location',
      'Link',
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
    ]) {
      expect(exposed).toContain(name);
    }
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });
});

describe('with auth on', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({
      REQUIRE_AUTH: 'true',
      CORS_ALLOWED_ORIGINS: 'https://dash.example, https://other.example',
    });
  });
  afterAll(() => service.stop());

  it('any name and any page may ask, since nothing is given without a key', async () => {
    expect(
      (await send(service, 'GET', '/health/live', { host: 'nova.example', origin: 'https://evil.example' })).status,
    ).toBe(200);
  });

  it('/metrics is for no page, by its origin, its site or a name rebound to this machine', async () => {
    const read = (headers: Headers, path = '/metrics'): Promise<Answer> => send(service, 'GET', path, headers);
    const secret = { 'x-admin-secret': service.adminSecret };
    for (const headers of [{}, secret, { 'sec-fetch-site': 'none' }, { origin: 'https://dash.example' }]) {
      expect((await read(headers as Headers)).status).toBe(200);
    }
    for (const path of ['/metrics', '/metrics?x=1', '/%6detrics']) {
      for (const headers of [{}, secret]) {
        const foreign = { ...headers, origin: 'https://evil.example' } as Headers;
        expect(await read(foreign, path)).toMatchObject({ status: 403, code: 'origin_not_allowed' });
        const crossSite = { ...headers, 'sec-fetch-site': 'cross-site' } as Headers;
        expect(await read(crossSite, path)).toMatchObject({ status: 403, code: 'origin_not_allowed' });
      }
      expect(await read({ host: '10.0.0.7:8000' }, path)).toMatchObject({ status: 403, code: 'host_not_allowed' });
      expect((await read({ ...secret, host: '10.0.0.7:8000' }, path)).status).toBe(200);
    }
    // A rebound page may set any header; what it shows is judged.
    const shownOnes: Headers[] = [{ 'x-admin-secret': 'x' }, { 'x-api-key': 'x' }, { authorization: 'Bearer x' }];
    for (const shown of shownOnes) {
      const answer = await read({ ...shown, host: 'evil.example' });
      expect([401, 403]).toContain(answer.status);
      expect(answer.code).not.toBe('host_not_allowed');
    }
  });

  it('only listed origins may read the answer', async () => {
    const allowed = async (origin: string): Promise<string | undefined> =>
      (await send(service, 'GET', '/health/live', { origin })).headers['access-control-allow-origin'];
    expect(await allowed('https://dash.example')).toBe('https://dash.example');
    expect(await allowed('https://other.example')).toBe('https://other.example');
    expect(await allowed('https://evil.example')).toBeUndefined();
    const { headers } = await send(service, 'GET', '/health/live', { origin: 'https://dash.example' });
    expect(headers['vary']).toMatch(/origin/i);
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });
});

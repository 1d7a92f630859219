import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { ForwardProxy } from '../../support/forward-proxy.js';
import { ModelServer, says } from '../../support/model-server.js';
import { temporaryFolder } from '../../support/servers/index.js';
import { TLS_IDENTITY } from '../../support/tls-identity.js';
import { callOf, createLlm, failureOf, type Llm } from './llm-setup.js';

const HERE = dirname(fileURLToPath(import.meta.url));

let models: ModelServer;
let proxy: ForwardProxy;
beforeAll(async () => {
  models = await ModelServer.start();
  proxy = await ForwardProxy.start(() => Number(new URL(models.url).port));
});
beforeEach(() => {
  proxy.refuses = null;
  proxy.asked.length = 0;
  proxy.credentials.clear();
  models.willAnswer(says('Hello'));
});
afterAll(async () => {
  await proxy.stop();
  await models.stop();
});

const llm = (env: Record<string, string>): Llm => createLlm({ LLM_BASE_URL: 'http://models.test/v1', ...env });
const ask = (service: Llm['service']): Promise<{ text: string }> => service.call(['m'], callOf());

it('carries calls to models, again on a kept connection, with the key for the model', async () => {
  const { service } = llm({ HTTP_PROXY: `http://us%20er:pass%40word@${proxy.address}`, LLM_API_KEY: 'sk-model-12345' });
  expect((await ask(service)).text).toBe('Hello');
  expect((await ask(service)).text).toBe('Hello');
  expect(proxy.asked).toEqual(Array(2).fill('POST http://models.test/v1/chat/completions'));
  expect([...proxy.credentials]).toEqual(['us er:pass@word']);
  expect(models.asked.at(-1)?.headers).toMatchObject({ authorization: 'Bearer sk-model-12345', host: 'models.test' });
});

it.each(['http_proxy', 'HTTP_PROXY'])('is taken from %s, also without a scheme', async (name) => {
  expect((await ask(llm({ [name]: proxy.address }).service)).text).toBe('Hello');
  expect(proxy.asked).toHaveLength(1);
});

it('is left out for this machine, for hosts of NO_PROXY and for the other scheme', async () => {
  const direct = { HTTP_PROXY: proxy.address, HTTPS_PROXY: proxy.address };
  expect((await ask(llm({ ...direct, LLM_BASE_URL: models.url }).service)).text).toBe('Hello');
  for (const env of [
    { ...direct, NO_PROXY: '10.0.0.0/8, models.test' },
    { ...direct, no_proxy: '.test' },
    { HTTPS_PROXY: proxy.address },
  ]) {
    // The name exists for the proxy only.
    expect(await failureOf(ask(llm(env).service))).toMatchObject({
      message: expect.stringContaining('could not be reached (ENOTFOUND)'),
    });
  }
  expect(proxy.asked).toEqual([]);
});

it('tunnels to a model that speaks TLS, and sees neither the key nor what is said', async () => {
  const secure = await ModelServer.start(TLS_IDENTITY);
  const tunnel = await ForwardProxy.start(() => Number(new URL(secure.url).port));
  const folder = temporaryFolder();
  try {
    secure.willAnswer(says('Hello'));
    const env = { HTTPS_PROXY: tunnel.address, LLM_BASE_URL: 'https://models.test/v1', LLM_API_KEY: 'sk-model-12345' };
    // A certificate that this process does not trust is refused in a tunnel too.
    expect((await failureOf(ask(llm(env).service))).message).toContain(
      'through the proxy (DEPTH_ZERO_SELF_SIGNED_CERT)',
    );
    expect(secure.asked).toEqual([]);

    // Node reads whom it trusts when it starts.
    const ca = join(folder.path, 'ca.pem');
    writeFileSync(ca, TLS_IDENTITY.cert);
    const script = `
      import { callOf, createLlm } from ${JSON.stringify(join(HERE, 'llm-setup.ts'))};
      const { service } = createLlm(JSON.parse(process.env.SETTINGS));
      for (let i = 0; i < 2; i += 1) console.log((await service.call(['m'], callOf())).text);
      process.exit();`;
    const loader = ['--import', join(HERE, '../../../scripts/typescript.mjs')];
    const { stdout } = await execa(process.execPath, [...loader, '--input-type=module', '-e', script], {
      env: { NODE_EXTRA_CA_CERTS: ca, SETTINGS: JSON.stringify(env), NODE_OPTIONS: '' },
    });
    expect(stdout).toBe('Hello\nHello');
    expect(secure.asked.map(({ headers }) => headers['authorization'])).toEqual(Array(2).fill('Bearer sk-model-12345'));
    // The second call takes the tunnel of the first.
    expect(tunnel.asked).toEqual(Array(2).fill('CONNECT models.test:443'));
    expect(tunnel.carried.length).toBeGreaterThan(500);
    expect(tunnel.carried).not.toMatch(/sk-model|authorization|completions/i);
  } finally {
    await tunnel.stop();
    await secure.stop();
    folder.remove();
  }
});

it('says that the proxy is at fault where it is', async () => {
  const dead = createServer().listen(0, '127.0.0.1');
  await once(dead, 'listening');
  const { port } = dead.address() as AddressInfo;
  dead.close();
  const reason = async (env: Record<string, string>): Promise<string> =>
    (await failureOf(ask(llm(env).service))).message;
  expect(await reason({ HTTP_PROXY: `127.0.0.1:${port}` })).toContain(
    'could not be reached through the proxy (ECONNREFUSED)',
  );
  const secure = { HTTPS_PROXY: proxy.address, LLM_BASE_URL: 'https://models.test/v1', LLM_API_KEY: 'sk-model-12345' };
  proxy.refuses = 407;
  expect(await reason({ HTTP_PROXY: proxy.address })).toContain('the proxy wants other credentials');
  expect(await reason(secure)).toContain('the proxy wants other credentials');
  proxy.refuses = 403;
  expect(await reason(secure)).toContain('the proxy answered with status 403');
  expect(proxy.asked).toContain('CONNECT models.test:443');
  expect(models.asked).toEqual([]);
});

import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { AppModule } from '../../../src/app.module.js';
import { AppConfig } from '../../../src/config/index.js';
import { accessByRoute, ProblemFilter, takeOnlyJson } from '../../../src/platform/http/edge.js';
import { Scrubber } from '../../../src/platform/logging/index.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';

describe('the guards, without the hook that refuses before bodies are read', () => {
  let folder: TemporaryFolder;
  let app: NestFastifyApplication;
  const routes: { method: string; url: string }[] = [];

  beforeAll(async () => {
    folder = temporaryFolder();
    const config = AppConfig.from({
      REQUIRE_AUTH: 'true',
      ADMIN_SECRET: 'an-admin-secret-of-this-test',
      NOVA_DATA_DIR: `${folder.path}/data`,
      NOVA_WORKSPACE: `${folder.path}/workspace`,
      DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none',
    });
    app = await NestFactory.create<NestFastifyApplication>(
      AppModule.with(config, Scrubber.of(config)),
      new FastifyAdapter(),
      { logger: false, bodyParser: false, abortOnError: false },
    );
    const instance = app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
    takeOnlyJson(instance);
    instance.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) if (one !== 'HEAD') routes.push({ method: one, url });
    });
    app.useGlobalFilters(new ProblemFilter());
    await app.init();
    await instance.ready();
  });
  afterAll(async () => {
    await app.close();
    folder.remove();
  });

  it('let nobody without a credential reach a route', async () => {
    const accessOf = accessByRoute(app);
    expect(routes.length).toBeGreaterThan(50);
    const passed: string[] = [];
    for (const { method, url } of routes) {
      // The hook knows every route too.
      expect([method, url, accessOf(method, url)]).toEqual([method, url, expect.any(String)]);
      const answer = await app.inject({
        method: method as 'GET',
        url: url.replace(/:\w+/g, '01890000-0000-7000-8000-000000000000'),
        // No caller on this machine.
        headers: { 'x-forwarded-for': '203.0.113.1', 'content-type': 'application/json' },
        ...(['POST', 'PATCH'].includes(method) ? { payload: '{}' } : {}),
      });
      if (answer.statusCode !== 401) passed.push(`${method} ${url}`);
    }
    expect(passed.sort()).toEqual(['GET /health/live', 'GET /health/ready']);
  });
});

import { Test } from '@nestjs/testing';
import { expect, it } from '@jest/globals';
import { AppConfig, ConfigModule } from '../../../src/config/index.js';
import { LlmModule, LlmService } from '../../../src/modules/llm/index.js';
import { ClockModule } from '../../../src/platform/clock/index.js';
import { Database, DatabaseModule } from '../../../src/platform/database/index.js';
import { LiveState } from '../../../src/platform/redis/index.js';
import { callOf, MapLiveState } from './llm-setup.js';

it('the module offers the service of the models', async () => {
  const config = AppConfig.from({ LLM_BASE_URL: 'http://127.0.0.1:9/v1' });
  const app = await Test.createTestingModule({
    imports: [ConfigModule.with(config), ClockModule, DatabaseModule, LlmModule],
  })
    .overrideProvider(LiveState)
    .useClass(MapLiveState)
    .overrideProvider(Database)
    .useValue({ query: () => Promise.resolve([]) })
    .compile();
  await app.init();
  const llm = app.get(LlmService);
  expect(llm.isConfigured('any/model')).toBe(true);
  expect(llm.isConfigured('script/nothing')).toBe(false);
  expect([llm.isPriced('script/demo'), llm.isPriced('gateway/gpt-4o'), llm.isPriced('unheard-of')]).toEqual([
    true,
    true,
    false,
  ]);
  expect(llm.worstCaseCostUsd('unheard-of', callOf())).toBeNull();
  expect(llm.worstCaseCostUsd('script/demo', callOf())).toBe(0);
  expect(llm.worstCaseCostUsd('gpt-4o', callOf({ maxOutputTokens: 1_000 }))).toBeCloseTo(0.01, 3);
  expect(llm.worstCaseCostUsd('gpt-4o', callOf())).toBeGreaterThan(0.16);
  expect((await llm.call(['script/echo'], callOf())).text).toContain('[scripted]');
  await app.close();
});

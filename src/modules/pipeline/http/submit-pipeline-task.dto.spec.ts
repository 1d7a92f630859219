import { describe, expect, it } from '@jest/globals';
import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import { SubmitPipelineTaskDto } from './submit-pipeline-task.dto.js';

function faults(body: Record<string, unknown>): string[] {
  return validateSync(plainToInstance(SubmitPipelineTaskDto, body)).map((error) => error.property);
}

describe('the body of a submission', () => {
  it('needs a request alone, and fills in the rest', () => {
    expect(faults({ user_input: 'x' })).toEqual([]);
    expect(plainToInstance(SubmitPipelineTaskDto, { user_input: 'x' })).toMatchObject({ max_retries: 2, priority: 5 });
  });

  it.each([
    [{}, 'user_input'],
    [{ user_input: '' }, 'user_input'],
    [{ user_input: 1 }, 'user_input'],
    [{ user_input: ['x'] }, 'user_input'],
    [{ user_input: 'x'.repeat(200_001) }, 'user_input'],
    [{ user_input: '\uFE0F'.repeat(200_001) }, 'user_input'],
    [{ user_input: 'x', priority: 10 }, 'priority'],
    [{ user_input: 'x', priority: -1 }, 'priority'],
    [{ user_input: 'x', priority: '5' }, 'priority'],
    [{ user_input: 'x', priority: null }, 'priority'],
    [{ user_input: 'x', max_retries: 11 }, 'max_retries'],
    [{ user_input: 'x', max_retries: 1.5 }, 'max_retries'],
    [{ user_input: 'x', pod_id: 'no-uuid' }, 'pod_id'],
    [{ user_input: 'x', pod_name: '' }, 'pod_name'],
    [{ user_input: 'x', pod_name: 'x'.repeat(101) }, 'pod_name'],
    [{ user_input: 'x', metadata: [] }, 'metadata'],
    [{ user_input: 'x', metadata: 'text' }, 'metadata'],
    [{ user_input: 'x', metadata: null }, 'metadata'],
    [{ user_input: 'x', metadata: { a: 'é'.repeat(8_192) } }, 'metadata'],
    [{ user_input: 'x', metadata: { model_override: 1 } }, 'metadata'],
    [{ user_input: 'x', metadata: { model_override: '' } }, 'metadata'],
    [{ user_input: 'x', metadata: { sandbox_override: 'root' } }, 'metadata'],
    [{ user_input: 'x', metadata: { sandbox_override: null } }, 'metadata'],
  ])('refuses %#', (body, field) => {
    expect(faults(body)).toEqual([field]);
  });

  it.each([
    { user_input: '😀'.repeat(200_000) },
    { user_input: 'x', pod_id: '00000000-0000-0000-0000-000000000001' },
    {
      user_input: 'x',
      metadata: { model_override: 'script/demo', sandbox_override: 'isolated', anything: { goes: [1] } },
    },
    { user_input: 'x', metadata: { a: 'x'.repeat(16 * 1024 - 8) } },
    { user_input: 'x', priority: 0, max_retries: 0 },
  ])('takes %#', (body) => {
    expect(faults(body)).toEqual([]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { documentFaults, unboundedInputs, type Document } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

let service: Service;
let document: Document;
beforeAll(async () => {
  service = await startService();
  document = (await (await service.fetch('/openapi.json')).json()) as Document;
});
afterAll(() => service.stop());

describe('the OpenAPI document', () => {
  it('is whole: every operation has an id, a tag, its security and a schema for every answer', () => {
    expect(documentFaults(document)).toEqual([]);
  });

  it('is whole in every reference', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, name]) => name,
    );
    expect(references.filter((name) => !((name as string) in document.components.schemas))).toEqual([]);
  });

  it('finds its own faults', () => {
    const broken = structuredClone(document);
    const [path = ''] = Object.keys(broken.paths).filter((one) => one.includes('{'));
    const operation = Object.values(broken.paths[path] ?? {})[0] as unknown as Record<string, unknown>;
    for (const field of ['operationId', 'tags', 'security', 'parameters']) delete operation[field];
    operation['responses'] = {
      200: { description: 'x' },
      404: { description: '', content: { 'application/json': {} } },
    };
    expect(documentFaults(broken).length).toBeGreaterThanOrEqual(8);
  });

  it('limits what callers send: numbers have ranges, texts lengths, lists a size', () => {
    expect(unboundedInputs(document)).toEqual([]);
    const broken = structuredClone(document);
    const schema = broken.components.schemas['CreatePodDto'] as { properties: Record<string, object> };
    Object.assign(schema.properties, { name: { type: 'string' }, routing_keywords: { type: 'array' } });
    expect(unboundedInputs(broken)).toEqual(['CreatePodDto.name: a text', 'CreatePodDto.routing_keywords: a list']);
  });

  it('tells whole numbers from others', () => {
    const numbers = Object.entries(document.components.schemas).flatMap(([name, schema]) =>
      Object.entries((schema['properties'] ?? {}) as Record<string, { type?: string | string[] }>)
        .filter(([, { type }]) => [type].flat().includes('number'))
        .map(([property]) => `${name}.${property}`),
    );
    // Money, sampling and durations with fractions are all that is not whole.
    expect(numbers.filter((name) => !/(_usd|\.temperature|\.duration_s|\.oldest_queued_seconds)$/.test(name))).toEqual(
      [],
    );
  });

  it('closes what has a known set of values', () => {
    const { schemas } = document.components;
    const enumOf = (name: string, property: string): unknown =>
      (schemas[name]?.['properties'] as Record<string, { enum?: unknown[] }> | undefined)?.[property]?.enum;
    for (const [name, property] of [
      ['ProblemDto', 'code'],
      ['PipelineFindingDto', 'finding_type'],
      ['PipelineReviewIssueDto', 'severity'],
      ['PipelineSummaryDto', 'review_verdict'],
      ['DeadLetterDto', 'stage'],
      ['RunConditionDto', 'type'],
    ] as const)
      expect([name, property, enumOf(name, property)]).toEqual([name, property, expect.any(Array)]);
  });
});

describe('the reference at /docs', () => {
  it('is served whole from here', async () => {
    const page = await service.fetch('/docs');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    const html = await page.text();
    expect(html).not.toMatch(/(src|href)="https?:/);
    const assets = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(
      ([, path]) => new URL(path ?? '', `${service.url}/docs`),
    );
    expect(assets.length).toBeGreaterThan(3);
    for (const { pathname } of assets)
      expect([pathname, (await service.fetch(pathname)).status]).toEqual([pathname, 200]);
  });

  it('may run under the policy that it is served with', async () => {
    const page = await service.fetch('/docs');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/default-src 'self'/);
    expect(policy).not.toMatch(/script-src[^;]*unsafe-inline/);
    // No inline script, which the policy would keep from running.
    expect(await page.text()).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>\s*\S/);
  });
});

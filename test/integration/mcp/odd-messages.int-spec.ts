import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerConnection } from '../../../src/modules/mcp/server-connection.js';
import type { McpServer } from '../../../src/modules/mcp/mcp-server.js';
import { ROOT, Setup } from './connection-setup.js';
import { eventually } from '../../support/eventually.js';

const ODD = join(ROOT, 'test/integration/mcp/servers/odd-server.mjs');

let setup: Setup;
beforeEach(() => {
  setup = new Setup();
});
afterEach(() => setup.end());

const connect = (options: object, fields: Partial<McpServer> = {}): Promise<ServerConnection> =>
  setup.connect(setup.server({ name: 'odd', args: [ODD, JSON.stringify(options)], ...fields }));
const call = async (answer: string): Promise<string> => {
  await connect({ answers: { odd: answer } });
  return (await setup.call('mcp__odd__odd')).text;
};
const said = '"content":[{"type":"text","text":"what was said"}]';

describe('an answer is not lost', () => {
  it.each([
    ['a null error', `{"jsonrpc":"2.0","id":$id,"result":{${said}},"error":null}`],
    ['an empty error', `{"jsonrpc":"2.0","id":$id,"result":{${said}},"error":{"code":0,"message":""}}`],
    ['a null _meta', `{"jsonrpc":"2.0","id":$id,"result":{${said},"_meta":null}}`],
    ['a _meta that is a text', `{"jsonrpc":"2.0","id":$id,"result":{${said},"_meta":"x"}}`],
    ['members that nobody knows', `{"jsonrpc":"2.0","id":$id,"result":{${said}},"elapsed":3,"method":null}`],
    ['no version', `{"id":$id,"result":{${said}}}`],
    ['its id as text', `{"jsonrpc":"2.0","id":"$id","result":{${said}}}`],
    ['a batch around it', `[{"jsonrpc":"2.0","id":$id,"result":{${said}}}]`],
    [
      'null annotations',
      `{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"what was said","annotations":null}]}}`,
    ],
    ['a block that is a text', `{"jsonrpc":"2.0","id":$id,"result":{"content":["what was said"]}}`],
    [
      'content that is one block',
      `{"jsonrpc":"2.0","id":$id,"result":{"content":{"type":"text","text":"what was said"}}}`,
    ],
    ['a result that is a text', `{"jsonrpc":"2.0","id":$id,"result":"what was said"}`],
    ['isError as text', `{"jsonrpc":"2.0","id":$id,"result":{${said},"isError":"false","structuredContent":null}}`],
    ['a code as text', '{"jsonrpc":"2.0","id":$id,"error":{"code":"-32000","message":"what was said"}}'],
    [
      'a null result beside its error',
      '{"jsonrpc":"2.0","id":$id,"result":null,"error":{"code":1,"message":"what was said"}}',
    ],
    ['an error that is a text', '{"jsonrpc":"2.0","id":$id,"error":"what was said"}'],
    ['an error without a code', '{"jsonrpc":"2.0","id":$id,"error":{"message":"what was said","data":null}}'],
    [
      'an array for structured content',
      '{"jsonrpc":"2.0","id":$id,"result":{"content":[],"structuredContent":["what was said"]}}',
    ],
    ['a byte order mark before it', `\ufeff{"jsonrpc":"2.0","id":$id,"result":{${said}}}`],
    ['words before it', `INFO sent: {"jsonrpc":"2.0","id":$id,"result":{${said}}}`],
    [
      'numbers that are none',
      `{"jsonrpc":"2.0","id":$id,"result":{${said},"structuredContent":{"NaN":[NaN,-Infinity,"NaN \\" NaN"]}}}`,
    ],
    ['lines of its own for each part', `{\n  "jsonrpc": "2.0",\n  "id": $id,\n  "result": {\n  ${said}\n  }\n}`],
    ['an error without an id', '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what was said"}}'],
  ])('for %s', async (_what, answer) => {
    expect(await call(answer)).toContain('what was said');
  });

  it('for a null result', async () => {
    expect(await call('{"jsonrpc":"2.0","id":$id,"result":null}')).toContain('The tool returned nothing');
  });

  it('for blocks that nobody knows among those that are known', async () => {
    const blocks = [
      '{"type":"hologram","depth":3}',
      '{"type":"text","text":"what was said"}',
      '{"type":"image","data":"AAAA"}',
      '{"type":"audio","mimeType":null,"data":null}',
      '{"type":"resource","resource":{"uri":null,"text":"inside"}}',
      '{"type":"resource_link","uri":"file:///x","name":null}',
      'null',
      '{"type":"text","text":null}',
      '{"type":"text","text":{"a":1}}',
    ];
    const text = await call(`{"jsonrpc":"2.0","id":$id,"result":{"content":[${blocks.join()}]}}`);
    for (const part of [
      '[content of a kind that is not known]',
      'what was said',
      '[image: unknown type, 3 bytes]',
      '[audio: unknown type, 0 bytes]',
      'inside',
      '[link to the resource file:///x]',
      '{"a":1}',
    ])
      expect(text).toContain(part);
  });
});

describe('a handshake', () => {
  it.each([
    [
      'nulls',
      '{"jsonrpc":"2.0","id":$id,"error":null,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":null},"serverInfo":null,"instructions":null}}',
    ],
    [
      'a version that is a number',
      '{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":null},"logging":null},"serverInfo":{"name":"x","version":1}}}',
    ],
  ])('may hold %s', async (_what, handshake) => {
    const connection = await connect({ handshake });
    expect(connection.state()).toMatchObject({ status: 'connected', activeTools: ['mcp__odd__whole'] });
  });

  it('that is not understood is told as that, not as the end that it led to', async () => {
    const connection = await connect({ handshake: '{"jsonrpc":"2.0","id":$id,"result":{"hello":"world"}}' });
    expect(connection.state()).toMatchObject({ status: 'failed', lastError: expect.stringContaining('initialize') });
    expect(connection.state().lastError).not.toMatch(/exit code/);
  });
});

describe('a server that sends what nobody asked for', () => {
  it.each([
    ['log messages', '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'],
    ['progress', '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}'],
    ['changes of its tools', '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'],
    ['questions', '{"jsonrpc":"2.0","id":"q","method":"ping"}'],
    ['answers to no question', '{"jsonrpc":"2.0","id":987654,"result":{}}'],
    ['large messages', '{"jsonrpc":"2.0","method":"x","params":{"x":"$big"}}'],
  ])('for ever is ended: %s', async (_what, flood) => {
    const connection = await connect({ flood });
    await eventually('it is not connected', () => connection.state().status !== 'connected');
    expect(connection.state().lastError).toContain('more messages than anybody asked for');
  });
});

it('takes no more of a list of tools than its bytes allow, and says so', async () => {
  const connection = await connect({ pages: 1_500_000 });
  expect(connection.state()).toMatchObject({
    status: 'connected',
    toolCount: 2,
    lastError: 'Left out: all tools after the first 2.',
  });
});

describe('a program that ends', () => {
  it.each([
    ['with a stack', "const f = () => { throw new Error('no key was given') }; f();", 'Error: no key was given'],
    [
      'with a cause of two lines',
      "throw new Error('no key was given:\\nset API_KEY')",
      'no key was given: set API_KEY',
    ],
    ['for a module that is not there', "require('./no-such-module')", "Cannot find module './no-such-module'"],
    ['with words behind its cause', "console.error('fatal: no key\\nbye'); process.exit(3)", 'fatal: no key bye'],
    ['with a rejection', "Promise.reject(new TypeError('no key was given'))", 'TypeError: no key was given'],
    [
      'as one in Python does',
      'console.error(\'Traceback (most recent call last):\\n  File "x.py", line 1, in <module>\\n    f()\\nValueError: no key\'); process.exit(1)',
      'exit code 1: ValueError: no key',
    ],
    [
      'as one in Go does',
      "console.error('panic: no key\\n\\ngoroutine 1 [running]:\\nmain.main()\\n\\t/tmp/x.go:4 +0x25\\nexit status 2'); process.exit(2)",
      'exit code 2: panic: no key',
    ],
  ])('tells why: %s', async (_what, script, reason) => {
    const connection = await connect({}, { args: ['-e', script] });
    expect(connection.state()).toMatchObject({ status: 'failed', lastError: expect.stringContaining(reason) });
    expect(connection.state().lastError).not.toMatch(/Node\.js v|\bat .*:\d+/);
  });
});

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmod, link, lstat, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Tool, ToolContext, ToolResult } from '../../../src/modules/tools/index.js';
import { AppConfig } from '../../../src/config/index.js';
import { Places } from '../../../src/modules/tools/files/places.js';
import { EditFileTool } from '../../../src/modules/tools/files/edit-file.tool.js';
import { ListDirTool } from '../../../src/modules/tools/files/list-dir.tool.js';
import { ReadFileTool } from '../../../src/modules/tools/files/read-file.tool.js';
import { SearchCodebaseTool } from '../../../src/modules/tools/files/search-codebase.tool.js';
import { WriteFileTool } from '../../../src/modules/tools/files/write-file.tool.js';
import { loopTurns } from '../../support/loop-turns.js';
import { contextFor, scratch } from './sandbox-folder.js';

let folder: string;
let root: string;
let remove: () => Promise<void>;
let context: ToolContext;
let places: Places;

beforeEach(async () => {
  ({ path: folder, remove } = await scratch());
  root = join(folder, 'workspace');
  await mkdir(root);
  await mkdir(join(folder, 'workspace-evil'));
  await writeFile(join(folder, 'secret'), 'SECRET');
  await writeFile(join(folder, 'workspace-evil', 'secret'), 'SECRET');
  context = contextFor(root);
  places = new Places(AppConfig.from({ NOVA_WORKSPACE: root }));
});
afterEach(() => remove());

async function call(tool: Tool, args: z.input<z.ZodType>): Promise<ToolResult> {
  return tool.run(tool.schema.parse(args), context);
}
const read = (path: string, more: object = {}): Promise<ToolResult> =>
  call(new ReadFileTool(places) as Tool, { path, ...more });
const write = (path: string, content = 'written'): Promise<ToolResult> =>
  call(new WriteFileTool(places) as Tool, { path, content });
const edit = (path: string, before: string, after: string): Promise<ToolResult> =>
  call(new EditFileTool(places) as Tool, { path, old: before, new: after });
const list = (path = '.', recursive = false): Promise<ToolResult> =>
  call(new ListDirTool(places) as Tool, { path, recursive });
const search = (pattern: string, more: object = {}): Promise<ToolResult> =>
  call(new SearchCodebaseTool(places) as Tool, { pattern, ...more });

it('writes nothing while the disk is nearly full, and reads all the same', async () => {
  await write('before');
  class Full extends Places {
    protected override readonly space = () => ({ bytes: 9, size: 1000, used: 991, names: 1, namesLeft: null });
  }
  places = new Full(AppConfig.from({ NOVA_WORKSPACE: root }));
  for (const refused of [await write('after'), await edit('before', 'written', 'x')]) {
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('nearly full') });
  }
  expect((await read('before')).text).toContain('written');
  expect(await readdir(root)).toEqual(['before']);
});

describe('the way out of the root', () => {
  it.each(
    [
      '../secret',
      'a/../../secret',
      '../workspace-evil/secret',
      '/etc/passwd',
      '/proc/self/root/etc/passwd',
      'link',
      'link-folder/secret',
      'link-folder/new',
      'link-up/secret',
      'loop',
      'nul\0',
      ['x'.repeat(300), 'a name that is too long'],
      ['deep/'.repeat(900), 'a path that is too long'],
    ].map((entry) =>
      typeof entry === 'string'
        ? { path: entry, label: JSON.stringify(entry) }
        : { path: entry[0] ?? '', label: entry[1] },
    ),
  )('is closed: $label', async ({ path }) => {
    await symlink('../secret', join(root, 'link'));
    await symlink('../workspace-evil', join(root, 'link-folder'));
    await symlink('..', join(root, 'link-up'));
    await symlink('loop', join(root, 'loop'));
    for (const result of [await read(path), await write(path), await edit(path, 'SECRET', 'x'), await list(path)]) {
      expect(result.isError).toBe(true);
      expect(result.text).not.toContain('SECRET');
      expect(result.text).not.toContain(folder);
    }
    expect((await search('SECRET', { path })).text).not.toContain('SECRET:');
    expect(await readFile(join(folder, 'secret'), 'utf8')).toBe('SECRET');
    expect(await readdir(join(folder, 'workspace-evil'))).toEqual(['secret']);
  });

  it('is closed for links that point inside, too, and says that they are links', async () => {
    await writeFile(join(root, 'file'), 'text');
    await symlink('file', join(root, 'link'));
    expect(await read('link')).toEqual({
      isError: true,
      text: '"link" is a symbolic link, and links are not followed.',
    });
    expect((await write('link')).isError).toBe(true);
    expect((await lstat(join(root, 'link'))).isSymbolicLink()).toBe(true);
  });

  it('is not a search: links are passed over', async () => {
    await symlink('..', join(root, 'up'));
    await symlink('../secret', join(root, 'link'));
    expect((await search('SECRET')).text).toBe('No match.');
    expect((await list('.', true)).text).toBe('link (symbolic link)\nup (symbolic link)');
  });

  it('does not block on, read or replace what is no regular file', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')]);
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      for (const path of ['fifo', 'socket', '.']) {
        expect((await read(path)).isError).toBe(true);
        expect((await write(path)).isError).toBe(true);
        expect((await edit(path, 'a', 'b')).isError).toBe(true);
      }
      expect((await search('x')).text).toBe('No match.');
      expect((await lstat(join(root, 'fifo'))).isFIFO()).toBe(true);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('does not write through a hard link', async () => {
    await link(join(folder, 'secret'), join(root, 'hard'));
    expect(await write('hard')).toMatchObject({ isError: true, text: expect.stringContaining('hard link') });
    expect((await edit('hard', 'SECRET', 'x')).isError).toBe(true);
    expect(await readFile(join(folder, 'secret'), 'utf8')).toBe('SECRET');
  });

  it('does not write into .git, however it is spelt', async () => {
    await mkdir(join(root, '.git', 'hooks'), { recursive: true });
    await writeFile(join(root, '.git', 'config'), '[core]');
    for (const name of ['.git', '.GIT', '.git.', 'sub/.git', 'git~1']) {
      expect((await write(`${name}/hooks/pre-commit`)).isError).toBe(true);
      expect((await write(name)).isError).toBe(true);
    }
    expect((await edit('.git/config', '[core]', '[x]')).isError).toBe(true);
    expect(await readdir(join(root, '.git', 'hooks'))).toEqual([]);
    expect((await read('.git/config')).text).toBe('[core]');
  });

  it('leads nowhere once the root has been moved', async () => {
    context = contextFor(join(folder, 'gone'));
    for (const result of [await read('a'), await write('a'), await list()]) expect(result.isError).toBe(true);
    expect(await readdir(folder)).toEqual(['secret', 'workspace', 'workspace-evil']);
  });
});

describe('write_file and edit_file', () => {
  it('create folders, replace the whole file, keep its mode and leave nothing else behind', async () => {
    expect(await write('a/b/c.txt', 'one')).toEqual({ text: 'Wrote 3 bytes to a/b/c.txt.' });
    await chmod(join(root, 'a/b/c.txt'), 0o4755);
    await write('a/b/c.txt', 'two');
    expect(await readFile(join(root, 'a/b/c.txt'), 'utf8')).toBe('two');
    expect((await stat(join(root, 'a/b/c.txt'))).mode & 0o7777).toBe(0o755);
    expect(await readdir(join(root, 'a/b'))).toEqual(['c.txt']);
  });

  it('keep both of two edits of one file that run together', async () => {
    await write('f', '0123456789');
    const digits = Array.from({ length: 10 }, (_, index) => `${index}`);
    const edits = digits.map((digit) => edit('f', digit, `<${digit}>`));
    for (const result of await Promise.all(edits)) expect(result.isError).toBeUndefined();
    expect(await readFile(join(root, 'f'), 'utf8')).toBe(digits.map((digit) => `<${digit}>`).join(''));
  });

  it('refuse what they cannot give back as it was', async () => {
    await writeFile(join(root, 'latin1'), Buffer.from([0x61, 0xe4]));
    await writeFile(join(root, 'bom'), '\uFEFFtext');
    expect((await edit('latin1', 'a', '€')).text).toContain('UTF-8');
    await edit('bom', 'text', 'more');
    expect(await readFile(join(root, 'bom'), 'utf8')).toBe('\uFEFFmore');
    await truncate(join(root, 'bom'), 5 * 1024 * 1024);
    expect((await edit('bom', 'a', 'b')).text).toContain('larger than');
  });

  it.each<[string, Buffer, string, Buffer, string]>([
    [
      'CRLF and a mark, without a last line end',
      Buffer.from('\ufeffa\r\nb'),
      'x\ny',
      Buffer.from('\ufeffx\r\ny'),
      'CRLF at the ends of lines, a byte order mark',
    ],
    [
      'UTF-16',
      Buffer.from('\ufeffa\n', 'utf16le'),
      'é€\n',
      Buffer.from('\ufeffé€\n', 'utf16le'),
      'a byte order mark, UTF-16LE',
    ],
    ['another encoding', Buffer.from('ä\n', 'latin1'), 'aä\n', Buffer.from('aä\n', 'latin1'), 'Latin-1'],
  ])('give a file that is written anew what its readers do not see: %s', async (_, before, text, after, kept) => {
    await writeFile(join(root, 'f'), before);
    expect((await write('f', text)).text).toBe(
      `Wrote ${after.length} bytes to f, with what the file had before: ${kept}.`,
    );
    expect(await readFile(join(root, 'f'))).toEqual(after);
  });

  it.each<[string, Buffer, string]>([
    ['mixed line ends', Buffer.from('a\r\nb\nc'), 'x\ny'],
    ['line ends that are asked for', Buffer.from('a\r\nb\r\n'), 'x\r\ny\nz'],
    ['an encoding that lacks a character', Buffer.from('ä', 'latin1'), '€'],
    ['no text', Buffer.from([0, 1, 2]), 'x\n'],
    ['nothing', Buffer.alloc(0), 'x\n'],
  ])('write what they are given where the file has %s', async (_, before, text) => {
    await writeFile(join(root, 'f'), before);
    expect((await write('f', text)).text).toBe(`Wrote ${Buffer.byteLength(text)} bytes to f.`);
    expect(await readFile(join(root, 'f'), 'utf8')).toBe(text);
  });

  it('write nothing once the call is cancelled', async () => {
    context = contextFor(root, { signal: AbortSignal.abort(new Error('cancelled')) });
    await expect(write('a')).rejects.toThrow('cancelled');
    expect(await readdir(root)).toEqual([]);
  });
});

describe('read_file', () => {
  it('pages through lines and says where to go on', async () => {
    await write('f', Array.from({ length: 10 }, (_, line) => `line ${line + 1}`).join('\n'));
    expect((await read('f', { offset: 9 })).text).toBe('line 9\nline 10');
    expect((await read('f', { offset: 3, limit: 2 })).text).toBe(
      'line 3\nline 4\n[… more follows: continue with offset 5 …]',
    );
    expect((await read('f', { offset: 11 })).text).toBe('The file has 10 lines.');
  });

  it('reads a huge file and a huge line without loading them', async () => {
    await write('big', 'x\n'.repeat(1_000_000));
    await truncate(join(root, 'big'), 64 * 1024 ** 3);
    const page = await read('big');
    expect(page.text).toContain('continue with offset 2001');
    await write('line', 'y'.repeat(3_000_000));
    const line = await read('line');
    expect(Buffer.byteLength(line.text)).toBeLessThan(32 * 1024);
    expect(line.text).toContain('the rest of this line is cut');
  });

  it('refuses what is not text', async () => {
    const unreadable = 'cannot be read as text: it is binary, or in an encoding that is not known.';
    await writeFile(join(root, 'bin'), Buffer.from([1, 0, 2]));
    expect((await read('bin')).text).toBe(`"bin" ${unreadable}`);
    for (const [name, bytes] of Object.entries({
      'utf-32': [0xff, 0xfe, 0, 0, 0x61, 0, 0, 0],
      'half a pair': [0xff, 0xfe, 0x00, 0xdc, 0x61, 0x00],
    })) {
      await writeFile(join(root, name), Buffer.from(bytes));
      for (const result of [await read(name), await edit(name, 'a', 'b'), await search('a', { path: name })])
        expect(result).toEqual({ isError: true, text: `"${name}" ${unreadable}` });
    }
  });

  it('reads what edit_file edits, and says in which encoding', async () => {
    const little = Buffer.from(`\ufeff${'größe €\r\n'.repeat(9_000)}end`, 'utf16le');
    await writeFile(join(root, 'little'), little);
    await writeFile(join(root, 'big'), Buffer.from(little).swap16());
    for (const [name, encoding] of [
      ['little', 'UTF-16LE'],
      ['big', 'UTF-16BE'],
    ] as const) {
      expect((await read(name, { offset: 8_999, limit: 1 })).text).toBe(
        `größe €\r\n[… ${encoding} …]\n[… more follows: continue with offset 9000 …]`,
      );
      expect((await read(name, { offset: 9_001 })).text).toBe(`end\n[… ${encoding} …]`);
      expect((await search('^end$')).text).toContain(`${name}:9001: end`);
      expect((await search('^größe', { path: name })).text).toContain(`[… ${encoding}: ${name} …]`);
      await edit(name, 'end', 'END');
      expect((await read(name, { offset: 9_001 })).text).toContain('END');
    }
    await writeFile(join(root, 'latin1'), Buffer.from('größe\n', 'latin1'));
    expect((await read('latin1')).text).toMatch(/^größe\n\[… not UTF-8, .* Latin-1 …]$/);
    expect((await edit('latin1', 'größe', 'größer')).text).toBe('Edited latin1.');
    await writeFile(join(root, 'marked'), '\ufefffirst\n');
    expect((await search('^first', { path: 'marked' })).text).toBe('marked:1: first');
  });

  it('shows no half of a character where it cuts a line', async () => {
    await write('line', `a${'é'.repeat(50_000)}`);
    expect((await read('line')).text).not.toContain('\ufffd');
  });
});

describe('list_dir', () => {
  it('stops at a thousand entries and says so', async () => {
    for (let index = 0; index < 1_100; index++) await writeFile(join(root, `f${index}`), '');
    const { text } = await list();
    expect(text.split('\n')).toHaveLength(1_001);
    expect(text).toContain('not all of it');
  });

  it('enters neither .git nor node_modules, nor for ever', async () => {
    await write('node_modules/m/index.js', '');
    await mkdir(join(root, '.git/objects'), { recursive: true });
    await mkdir(join(root, 'd/'.repeat(40)), { recursive: true });
    const { text } = await list('.', true);
    expect(text).not.toContain('index.js');
    expect(text).not.toContain('objects');
    expect(text).toContain('not all of it');
  });
});

it('shows names so that each is one line and can be seen', async () => {
  const names = ['a\nb (0 bytes)', 'c\u202ed', 'e"f', 'g h', 'ü'];
  for (const name of names) await write(name, 'needle');
  const shown = ['"a\\nb (0 bytes)"', '"c\\u{202e}d"', '"e\\"f"', 'g h', 'ü'];
  expect((await list()).text.split('\n').sort()).toEqual(shown.map((name) => `${name} (6 bytes)`).sort());
  expect((await search('needle')).text.split('\n').sort()).toEqual(shown.map((name) => `${name}:1: needle`).sort());
});

describe('what list_dir says of what it does not show', () => {
  it('is true where all fits, nothing may be shown, or a name cannot be', async () => {
    for (let index = 0; index < 1_000; index++) await writeFile(join(root, `f${index}`), '');
    expect((await list()).text.split('\n')).toHaveLength(1_000);
    await mkdir(join(root, 'only'));
    await writeFile(Buffer.concat([Buffer.from(`${root}/only/`), Buffer.from([0xff])]), '');
    expect((await list('only')).text).toBe(
      'The folder holds nothing that can be shown.\n[… not shown, names that are not UTF-8: 1 …]',
    );
    await write('only/secret', '');
    context = contextFor(root, { shows: (path) => path === 'only' || path.startsWith('f') });
    expect((await list('only')).text).toContain('holds only what the repository ignores');
    expect((await list()).text.split('\n')).toHaveLength(1_001);
  });
});

describe('search_codebase', () => {
  it('finds lines by pattern and glob', async () => {
    await write('src/a.ts', 'const Alpha = 1;\nlet beta;\r\n');
    await write('src/b.js', 'alpha');
    expect((await search('alpha')).text.split('\n').sort()).toEqual([
      'src/a.ts:1: const Alpha = 1;',
      'src/b.js:1: alpha',
    ]);
    expect((await search('alpha', { case_sensitive: true })).text).toBe('src/b.js:1: alpha');
    expect((await search('alpha', { file_glob: '*.ts' })).text).toBe('src/a.ts:1: const Alpha = 1;');
    expect((await search('beta;$', { path: 'src/a.ts' })).text).toBe('src/a.ts:2: let beta;');
    expect((await search('alpha', { path: 'src', file_glob: 'src/*.js' })).text).toBe('src/b.js:1: alpha');
  });

  it('compiles beside the event loop', async () => {
    // Repetitions whose program is known to be too large only once it is made.
    let answers: { isError?: boolean }[] = [];
    const turns = await loopTurns(async () => {
      answers = await Promise.all(Array.from({ length: 4 }, () => search('a{0,1000}'.repeat(111))));
    });
    expect(answers.map(({ isError }) => isError)).toEqual(Array(4).fill(true));
    expect(turns).toBeGreaterThan(1_000);
  });

  it('refuses patterns that are wrong or too large, and is not slowed down by hostile ones', async () => {
    await write('f', `${'a'.repeat(100_000)}\n`.repeat(5));
    expect((await search('(')).text).toContain('not valid');
    expect((await search('(a{100}){100}')).isError).toBe(true);
    const start = performance.now();
    expect((await search('(a+a+)+b')).text).toMatch(/^No match in what was searched\.\n/);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it('stops after two hundred matches, where there are more', async () => {
    await write('f', 'x\n'.repeat(201));
    const { text } = await search('x');
    expect(text.split('\n')).toHaveLength(201);
    expect(text).toContain('more than 200 matches');
    await write('f', 'x\n'.repeat(200));
    expect((await search('x')).text.split('\n')).toHaveLength(200);
    expect((await search('x')).text).not.toContain('more than');
  });

  it('reads UTF-16 that does not say what it is, and tells of what it cannot read', async () => {
    await writeFile(join(root, 'little'), Buffer.from('let größe = 1;\r\n', 'utf16le'));
    await writeFile(join(root, 'big'), Buffer.from('a\nlet größe = 2;\n', 'utf16le').swap16());
    expect((await search('größe = \\d')).text.split('\n').sort()).toEqual([
      '[… UTF-16BE: big …]',
      '[… UTF-16LE: little …]',
      'big:2: let größe = 2;',
      'little:1: let größe = 1;',
    ]);
    expect((await read('little')).text).toBe('let größe = 1;\r\n[… UTF-16LE …]');
    await writeFile(join(root, 'bin'), 'alpha\0');
    await writeFile(join(root, 'utf-32'), Buffer.from('\ufeffa\0l\0p\0h\0a\0', 'utf16le'));
    const unread = 'not searched, binary or in an unknown encoding';
    expect((await search('alpha')).text).toMatch(
      new RegExp(`^No match in what was searched\\.\n\\[… ${unread}: (bin, utf-32|utf-32, bin) …\\]$`),
    );
    expect((await search('alpha', { path: 'bin' })).text).toContain('is binary, or in an encoding that is not known');
  });

  it('says what it did not search', async () => {
    await write('long', `${'a'.repeat(3_000)}needle\n`);
    expect((await search('needle')).text).toBe(
      'No match in what was searched.\n[… long lines, searched in their first 2048 bytes only: long:1 …]',
    );
    await write('huge', 'needle');
    await truncate(join(root, 'huge'), 9 * 1024 * 1024);
    await mkdir(join(root, 'd/'.repeat(40)), { recursive: true });
    const { text } = await search('needle');
    expect(text).toContain('larger than 8388608 bytes: huge');
    expect(text).toContain('nested too deeply: d/d/');
    expect((await search('needle', { path: 'huge' })).isError).toBe(true);
  });

  it('shows a long line around its match', async () => {
    await write('f', `${'b'.repeat(900)}needle${'c'.repeat(900)}`);
    const { text } = await search('needle');
    expect(text).toMatch(/^f:1: …b+needlec+…$/);
    expect(text.length).toBeLessThan(320);
  });
});

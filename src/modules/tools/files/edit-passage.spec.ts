import { describe, expect, it } from '@jest/globals';
import { edit } from './edit-file.tool.js';
import { decodeText } from './text-encoding.js';

describe('an edit keeps', () => {
  it.each([
    ['CRLF, of two lines', 'one\r\ntwo\r\nthree\r\n', 'one\ntwo', 'uno\ndos', 'uno\r\ndos\r\nthree\r\n'],
    ['CRLF, of one line', 'one\r\ntwo\r\n', 'two', 'two\nthree', 'one\r\ntwo\r\nthree\r\n'],
    ['CRLF, where the old text has it', 'one\r\ntwo\r\n', 'one\r\ntwo', 'a\nb', 'a\r\nb\r\n'],
    ['CRLF at the last line', 'one\r\ntwo', 'two', 'two\nthree', 'one\r\ntwo\r\nthree'],
    ['LF, where the new text has CRLF', 'one\ntwo\n', 'two', 'two\r\nthree', 'one\ntwo\nthree\n'],
    ['mixed line ends, of the lines around', 'a\nb\nc\r\nd\r\n', 'c', 'c\nx', 'a\nb\nc\r\nx\r\nd\r\n'],
    ['a mark at the beginning', '\ufeffone\r\ntwo', 'one\ntwo', 'x', '\ufeffx'],
    [
      'tabs',
      'if (a) {\n\tb();\n\tc();\n}\n',
      '    b();\n    c();',
      '    b();\n    x();\n    c();',
      'if (a) {\n\tb();\n\tx();\n\tc();\n}\n',
    ],
    ['tabs two deep', '\t\tb();\n', '        b();', '        x();\n        b();', '\t\tx();\n\t\tb();\n'],
    ['spaces, where tabs were read', '    b();\n', '\tb();', '\tb();\n\t\tx();', '    b();\n        x();\n'],
    [
      'a no-break space',
      'price: 10\u00a0EUR now',
      'price: 10 EUR now',
      'price: 10 EUR then',
      'price: 10\u00a0EUR then',
    ],
    ['spaces at ends of lines that stay', 'one  \ntwo\nthree', 'one\ntwo', 'one\n2', 'one  \n2\nthree'],
    ['line ends that are to change', 'one\r\ntwo\r\n', 'one\r\n', 'one\n', 'one\ntwo\r\n'],
  ])('%s', (_what, text, before, after, edited) => {
    expect(edit(text, before, after)).toBe(edited);
  });

  it.each([
    ['in LF and in CRLF', 'a\nb\r\na\r\nb', 'a\nb'],
    ['by how it reads', 'x\ty and x\u00a0y', 'x y'],
  ])('nothing where the passage stands twice, %s', (_what, text, before) => {
    expect(() => edit(text, before, 'z')).toThrow(/more than once/);
  });

  it('what was done already', () => {
    expect(edit('uno\r\ndos\r\n', 'one\ntwo', 'uno\ndos')).toBeNull();
    expect(edit('\tx();\n', '    b();', '    x();')).toBeNull();
    expect(() => edit('a\tb', 'a b', '')).toThrow(/does not occur/);
  });
});

describe('what a model does not see of a text', () => {
  it.each([
    ['accents for themselves', 'cafe\u0301 = 1\nx', 'caf\u00e9 = 1', 'caf\u00e9 = 2', 'caf\u00e9 = 2\nx'],
    [
      'accents that the model writes for themselves',
      'caf\u00e9 = 1',
      'cafe\u0301 = 1',
      'caf\u00e9 = 2',
      'caf\u00e9 = 2',
    ],
    ['Hangul by its parts', '\u1112\u1161\u11ab\u1100\u1173\u11af = 1', '\ud55c\uae00 = 1', 'x = 2', 'x = 2'],
    ['a zero-width space', 'a\u200bb = 1\nc', 'ab = 1', 'ab = 2', 'ab = 2\nc'],
    ['a soft hyphen in a line that stays', 'so\u00adft\nhard', 'soft\nhard', 'soft\nh', 'so\u00adft\nh'],
    ['a byte order mark within', 'a\ufeffb', 'ab', 'c', 'c'],
    ['lines that end with CR alone', 'one\rtwo\rthree', 'one\ntwo', '1\n2', '1\r2\rthree'],
    ['lines that end with CR alone, as they are', 'one\rtwo', 'one\rtwo', '1\r2\r', '1\r2\r'],
    ['the ends of lines that are to change', 'one\rtwo', 'one\rtwo', 'one\ntwo', 'one\ntwo'],
  ])('is matched by how it reads: %s', (_what, text, before, after, then) => {
    expect(edit(text, before, after)).toBe(then);
  });

  it('is no reason to take one character for another', () => {
    for (const [text, before] of [
      ['cafe\u0301', 'cafe'],
      ['\u1112\u1161\u11ab', '\ud558'],
      ['\u0915\u093c', '\u0915'],
    ] as const)
      expect(() => edit(`${text} = 1`, `${before} = 1`, 'x')).toThrow(/does not occur/);
  });
});

describe('the encoding of a file', () => {
  const changed = (content: Buffer, before: string, after: string): Buffer => {
    const source = decodeText(content, 'f');
    return source.encode(edit(source.text, before, after) ?? source.text);
  };

  it('stays: UTF-8 with a mark, UTF-16 of both kinds, and whatever else', () => {
    const mark = Buffer.from([0xef, 0xbb, 0xbf]);
    expect(changed(Buffer.concat([mark, Buffer.from('größe: 1\r\n')]), 'größe: 1', 'größe: 2')).toEqual(
      Buffer.concat([mark, Buffer.from('größe: 2\r\n')]),
    );
    const little = Buffer.from('\ufeffone\r\ntwo', 'utf16le');
    expect(changed(little, 'one\ntwo', '1 €\n2')).toEqual(Buffer.from('\ufeff1 €\r\n2', 'utf16le'));
    expect(changed(Buffer.from(little).swap16(), 'one', '1')).toEqual(
      Buffer.from('\ufeff1\r\ntwo', 'utf16le').swap16(),
    );
    const bare = Buffer.from('größe: 1\r\n漢', 'utf16le');
    expect(changed(bare, ': 1', ': 2')).toEqual(Buffer.from('größe: 2\r\n漢', 'utf16le'));
    expect(changed(Buffer.from(bare).swap16(), ': 1', ': 2')).toEqual(
      Buffer.from('größe: 2\r\n漢', 'utf16le').swap16(),
    );
    const latin = Buffer.from('gr\u00f6\u00dfe: 1\n', 'latin1');
    expect(changed(latin, ': 1', ': 2')).toEqual(Buffer.from('gr\u00f6\u00dfe: 2\n', 'latin1'));
  });

  it('is not guessed at', () => {
    const latin = Buffer.from('gr\u00f6\u00dfe: 1\n', 'latin1');
    expect(() => changed(latin, ': 1', ': 1 €')).toThrow(/its encoding may lack "€"/);
    const others = ['alpha\0', 'a\0b\0\0\0', '\u0001\0\u0002\0', 'a\0b\0\xfe\xff', '漢字漢字漢字\0'].map((bytes) =>
      Buffer.from(bytes, 'latin1'),
    );
    const wide = Buffer.concat([Buffer.from('one', 'utf16le'), Buffer.from('two', 'utf16le').swap16()]);
    for (const bytes of [...others, wide, Buffer.from([0xff, 0, 0xfe]), Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0])])
      expect(() => decodeText(bytes, 'f')).toThrow(/cannot be read as text/);
  });
});

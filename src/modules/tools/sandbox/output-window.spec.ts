import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { OutputWindow } from './output-window.js';

describe('OutputWindow', () => {
  it('keeps both ends of any output, however it arrives', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 30, unit: fc.constantFrom('a', 'b', '\n') })), (chunks) => {
        const window = new OutputWindow(10);
        for (const chunk of chunks) window.add(Buffer.from(chunk));
        const whole = chunks.join('');
        expect(window.total).toBe(whole.length);
        const expected =
          whole.length <= 20
            ? whole
            : `${whole.slice(0, 10)}\n[… ${whole.length - 20} bytes cut …]\n${whole.slice(-10)}`;
        expect(window.toString()).toBe(expected);
      }),
    );
  });

  it('counts what it cuts, also of what is no text, and cuts through no character', () => {
    const window = new OutputWindow(30);
    window.add(Buffer.alloc(1_000, 0xff));
    expect(window.toString()).toBe(`${'\ufffd'.repeat(10)}\n[… 980 bytes cut …]\n${'\ufffd'.repeat(10)}`);
    const letters = new OutputWindow(9);
    letters.add(Buffer.from('€a'.repeat(1_000)));
    expect(letters.toString()).toBe('€a€a\n[… 3983 bytes cut …]\na€a€a');
  });
});

import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { UnsavedText } from './unsaved-text.js';

it('stores every word once, whichever checkpoints are lost, late or confirmed out of order', () => {
  const step = fc.oneof(
    fc.record({ say: fc.string({ unit: 'binary', maxLength: 5 }) }),
    fc.record({ checkpoint: fc.constantFrom('confirmed', 'lost', 'answer lost', 'confirmed late') }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let all = '';
      const words = new UnsavedText((from) => all.slice(from));
      let stored: string[] = [];
      const late: (() => void)[] = [];
      const store = ({ said, after }: { said: string; after: number }): void => {
        stored = [...stored.slice(0, after), ...Array.from(said)];
      };
      for (const each of steps) {
        if ('say' in each) {
          all += each.say;
          continue;
        }
        const progress = words.read();
        if (each.checkpoint !== 'lost') store(progress);
        if (each.checkpoint === 'confirmed') words.confirm(progress.end);
        if (each.checkpoint === 'confirmed late') late.unshift(() => words.confirm(progress.end));
      }
      for (const confirm of late) confirm();
      const last = words.read();
      store(last);
      words.confirm(last.end);
      expect(stored.join('')).toBe(all);
      expect(words.read().said).toBe('');
    }),
  );
});

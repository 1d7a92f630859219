import { expect, it } from '@jest/globals';
import { outputText } from './output-text.js';

const nothing = { output: '', explanation: '', files_changed: [], commands_run: [] };

it('is the output alone where there is nothing else', () => {
  expect(outputText({ ...nothing, output: ' as it was\n' })).toBe(' as it was\n');
  expect(outputText(nothing)).toBe('');
});

it('adds what there is as sections, in this order', () => {
  expect(
    outputText({ output: 'Done.', explanation: 'Because.', files_changed: ['a.ts', 'b c.ts'], commands_run: ['ls'] }),
  ).toBe(
    'Done.\n\n## Explanation\n\nBecause.\n\n## Files changed\n\n- `a.ts`\n- `b c.ts`\n\n## Commands run\n\n- `ls`',
  );
  expect(outputText({ ...nothing, commands_run: ['ls'] })).toBe('## Commands run\n\n- `ls`');
});

it.each([
  ['````md\n```\ncode', '````'],
  ['~~~\n```', '~~~'],
  ['   ```ts\ncode\n```x', '```'],
])('closes the fence that a part leaves open: %j', (output, fence) => {
  expect(outputText({ ...nothing, output, explanation: 'why' })).toBe(`${output}\n${fence}\n\n## Explanation\n\nwhy`);
  expect(outputText({ ...nothing, output })).toBe(output);
});

it.each(['```\ncode\n```', '~~~~\n~~~\n~~~~~ ', '    ```\ncode', '```a`b', 'a ``` b'])(
  'closes no fence that is closed or none: %j',
  (output) => {
    expect(outputText({ ...nothing, output, explanation: 'why' })).toBe(`${output}\n\n## Explanation\n\nwhy`);
  },
);

it('keeps backticks and line breaks of names and commands inside their code', () => {
  const commands = ['echo `date`', '``x', 'a\nb', '```\r\nb', ' padded '];
  expect(
    outputText({ ...nothing, commands_run: commands })
      .split('\n')
      .slice(2),
  ).toEqual([
    '- `` echo `date` ``',
    '- ``` ``x ```',
    '- ```',
    '  a',
    '  b',
    '  ```',
    '- ````',
    '  ```',
    '  b',
    '  ````',
    '- `  padded  `',
  ]);
});

import { expect, it } from '@jest/globals';
import { withFacts } from './task.js';

const claimed = { output: 'o', explanation: 'e', files_changed: ['claimed'], commands_run: ['claimed'] };
const shell = (command: string, text: string, status = 'ok'): object => ({
  name: 'run_shell',
  arguments: { command },
  result: `<tool_output id="a1" tool="run_shell" status="${status}">\n${text}\n</tool_output id="a1">`,
});

it('counts the commands that ran, however they ended, and none that was refused', () => {
  const toolCalls = [
    shell('ok', '[exit code 0; sandbox workspace, network off]\n'),
    shell('fails', '[exit code 1; sandbox nova, network off]\n', 'error'),
    shell('hangs', '[killed after 30 s; sandbox workspace, network off]\n', 'error'),
    shell('bare', '[exit code 0; UNCONFINED on the host]\n'),
    shell(
      'refused',
      'The sandbox tier "workspace" cannot be enforced on this machine: bubblewrap is not installed.',
      'error',
    ),
    shell('nul', 'The command holds a NUL.', 'error'),
    shell('said', 'Not run; think [exit code 0; sandbox workspace]', 'error'),
    { name: 'run_shell', arguments: { command: 'no such tool' }, result: 'There is no tool of this name.' },
    { name: 'read_file', arguments: { command: 'x' }, result: '<tool_output id="a1">\n[exit code 0; sandbox x]' },
  ];
  const facts = { toolCalls, changedFiles: ['f'], hadTools: true } as unknown as Parameters<typeof withFacts>[1];
  expect(withFacts(claimed, facts)).toEqual({
    ...claimed,
    files_changed: ['f'],
    commands_run: ['ok', 'fails', 'hangs', 'bare'],
  });
});

it('names no more files and commands than a row should hold', () => {
  const name = (index: number): string => `${'long/'.repeat(740)}${index}`;
  const changedFiles = Array.from({ length: 50_000 }, (_, index) => name(index));
  const toolCalls = Array.from({ length: 200 }, () =>
    shell('x'.repeat(10_000), '[exit code 0; sandbox workspace, network off]\n'),
  );
  for (const hadTools of [true, false]) {
    const facts = { toolCalls, changedFiles, hadTools } as unknown as Parameters<typeof withFacts>[1];
    const bounded = withFacts(claimed, facts);
    expect(bounded.files_changed[0]).toBe(name(0));
    expect(JSON.stringify(bounded).length).toBeLessThan(1.5 * 2 ** 20);
    expect(bounded.files_changed.length).toBeGreaterThan(100);
  }
  const short = Array.from({ length: 6_000 }, (_, index) => `${index}`);
  const facts = { toolCalls: [], changedFiles: short, hadTools: true } as unknown as Parameters<typeof withFacts>[1];
  expect(withFacts(claimed, facts).files_changed).toEqual(short.slice(0, 5_000));
});

// `npm run check`: every check of the sources, some at a time, the longest first. A failed one shows what it wrote.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

const CHECKS = [
  'npm run -s typecheck',
  'prettier --check . --log-level warn',
  'npm run -s generate:charts -- --check',
  'npm run -s lint',
  'npm run -s deps',
  'npm run -s names',
  'npm run -s generate:rows -- --check',
];

function run(command) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    child.once('close', (code) => {
      console.log(`${code === 0 ? 'passed' : 'FAILED'}: ${command}`);
      if (code !== 0) {
        console.log(output);
        process.exitCode = 1;
      }
      resolve();
    });
  });
}

const left = [...CHECKS];
async function runInTurn() {
  for (let next = left.shift(); next !== undefined; next = left.shift()) await run(next);
}
await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, runInTurn));

// Builds `dist` when it is absent or older than what it is made of, so that start, demo and test need no build step.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const built = join(root, 'dist', 'main.js');

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

const sources = ['src', 'tsconfig.json', 'nest-cli.json', 'package.json'].map((name) => join(root, name));
const hasSources = existsSync(sources[0]);
if (hasSources && (!existsSync(built) || Math.max(...sources.map(newest)) > statSync(built).mtimeMs)) {
  const nest = join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  if (!existsSync(nest)) {
    // As after `npm ci` under NODE_ENV=production.
    process.stderr.write('What builds the service is not installed: run `npm ci --include=dev`.\n');
    process.exit(1);
  }
  const run = spawnSync(process.execPath, [nest, 'build'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (run.status !== 0) process.exit(run.status ?? 1);
}

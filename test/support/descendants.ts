import { execFileSync } from 'node:child_process';

export interface Descendant {
  pid: number;
  args: string;
}

/** The processes that `pid` started, those that they started, and so on; what outlived its parent is not found. */
export function descendants(pid: number): Descendant[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  const children = new Map<number, Descendant[]>();
  for (const line of lines) {
    const [, own = '', parent = '', args = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    children.set(Number(parent), [...(children.get(Number(parent)) ?? []), { pid: Number(own), args }]);
  }
  const below = (parent: number): Descendant[] =>
    (children.get(parent) ?? []).flatMap((child) => [child, ...below(child.pid)]);
  return below(pid);
}

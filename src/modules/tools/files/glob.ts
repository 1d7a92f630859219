import { RE2JS } from 're2js';
import { PathRefusedError } from '../boundary/path-refused.js';

/**
 * A test for relative paths from a glob of `*`, `**`, `?` and `{a,b}`. A glob without `/` is matched with the name alone.
 * @throws PathRefusedError when braces do not pair, or the glob is too long.
 */
export function globTest(glob: string): (path: string) => boolean {
  if (glob.length > 500) throw new PathRefusedError('The file_glob is too long.');
  let source = '';
  let open = 0;
  for (let index = 0; index < glob.length; index++) {
    const char = glob[index] ?? '';
    if (glob.startsWith('**/', index)) {
      source += '(?:.*/)?';
      index += 2;
    } else if (glob.startsWith('**', index)) {
      source += '.*';
      index += 1;
    } else if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '{') {
      source += '(?:';
      open++;
    } else if (char === '}' && open > 0) {
      source += ')';
      open--;
    } else if (char === ',' && open > 0) source += '|';
    else source += RE2JS.quote(char);
  }
  if (open > 0) throw new PathRefusedError('The file_glob has a { without a }.');
  const pattern = RE2JS.compile(source, RE2JS.DOTALL);
  return glob.includes('/')
    ? (path) => pattern.matches(path)
    : (path) => pattern.matches(path.slice(path.lastIndexOf('/') + 1));
}

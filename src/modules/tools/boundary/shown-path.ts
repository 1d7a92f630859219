/** `path` as people and models are shown it: a name that would end its line, or not be seen, is quoted and escaped as in JSON. */
export function shownPath(path: string): string {
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}"\\]/u.test(path)
    ? JSON.stringify(path).replace(/[\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
    : path;
}

function escaped(char: string): string {
  return `\\u{${char.codePointAt(0)?.toString(16) ?? ''}}`;
}

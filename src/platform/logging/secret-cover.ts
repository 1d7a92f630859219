const HIDDEN = '[redacted]';

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1);

/** Takes secrets that are known by value out of text, also as they stand in JSON, in JSON inside JSON and in URLs. */
export class SecretCover {
  private forms: readonly string[] = [];

  constructor(secrets: readonly string[] = []) {
    this.cover(secrets);
  }

  /** Hides `secrets` from now on, and nothing else. */
  cover(secrets: readonly string[]): void {
    const forms = secrets.flatMap((secret) => [
      secret,
      inJson(secret),
      inJson(inJson(secret)),
      encodeURIComponent(secret.toWellFormed()),
    ]);
    // Longest first: a secret that begins like another one must not leave its tail behind.
    this.forms = [...new Set(forms)].sort((a, b) => b.length - a.length);
  }

  /** `text` without the secrets. Safe on serialized JSON: what it puts in needs no escape. */
  hide(text: string): string {
    let clean = text;
    for (const form of this.forms) {
      if (!clean.includes(form)) continue;
      const pieces = clean.split(form);
      const last = pieces.pop() ?? '';
      clean = [...pieces.map(closed), last].join(HIDDEN);
    }
    return clean;
  }
}

/** `piece` without the backslash at its end whose escape went with the secret behind it: `\n` before a secret `n…`. */
function closed(piece: string): string {
  const backslashes = piece.length - piece.replace(/\\+$/, '').length;
  return backslashes % 2 === 0 ? piece : piece.slice(0, -1);
}

/** Reads a `Prefer` header (RFC 7240); unknown and invalid preferences are ignored. */
export interface Preferences {
  /** Seconds that the answer may take. */
  waitSeconds: number | null;
  respondAsync: boolean;
}

/** Reads a `Prefer` header. Of a preference given twice the first one counts. */
export function preferencesOf(header: string | undefined): Preferences {
  const preferences: Preferences = { waitSeconds: null, respondAsync: false };
  for (const item of (header ?? '').split(',')) {
    const [, name = '', value = ''] = /^\s*([\w-]+)\s*(?:=\s*"?([^";]*)"?\s*)?(?:;.*)?$/.exec(item) ?? [];
    if (name.toLowerCase() === 'respond-async') preferences.respondAsync = true;
    const seconds = value.trim();
    if (name.toLowerCase() === 'wait' && preferences.waitSeconds === null && /^\d{1,9}$/.test(seconds)) {
      preferences.waitSeconds = Number(seconds);
    }
  }
  return preferences;
}

const BY_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was lost',
  EPIPE: 'the connection was lost',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the host cannot be reached',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up',
  ETIMEDOUT: 'the connection timed out',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is not trusted',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another host',
};

const BY_REPLY: Readonly<Record<string, string>> = {
  WRONGPASS: 'the credentials were refused',
  NOAUTH: 'credentials are required',
  NOPERM: 'the user lacks a permission',
  LOADING: 'it is still loading its data',
  READONLY: 'it is a read-only replica',
  MASTERDOWN: 'it is a replica without its master',
  OOM: 'it is out of memory',
  MISCONF: 'it cannot write its data to disk',
  BUSY: 'it is busy with a script',
  WRONGTYPE: 'a key holds a value of another type',
};

const BY_TEXT: readonly (readonly [text: string, reason: string])[] = [
  ['Command timed out', 'it does not answer in time'],
  ['Socket timeout', 'it does not answer in time'],
  ['DB index is out of range', 'it has no database of that number'],
  ['Connection is closed', 'the connection was lost'],
  ['Command aborted', 'the connection was lost'],
  ["Stream isn't writeable", 'there is no connection'],
  ['invalid password', 'the credentials were refused'],
];

/**
 * Why Redis did not do as asked, in words of our own: its errors quote hosts, keys, values and even passwords, so nothing of
 * them is passed on.
 */
export function describeFault(error: unknown): string {
  const { code, message } = asFault(error);
  const known = own(BY_CODE, code) ?? own(BY_REPLY, replyCode(message));
  return known ?? BY_TEXT.find(([text]) => message.includes(text))?.[1] ?? 'it cannot be reached';
}

/** Whether a command met a value of another type. */
export function isWrongType(error: unknown): boolean {
  return replyCode(asFault(error).message) === 'WRONGTYPE';
}

/** Whether the server left a command without an answer. */
export function isTimeout(error: unknown): boolean {
  return asFault(error).message === 'Command timed out';
}

/** The capital word that a server's error begins with; the client puts a sentence of its own before some. */
function replyCode(message: string): string {
  return /^(?:Ready check failed: )?([A-Z]+)\b/.exec(message)?.[1] ?? '';
}

function asFault(error: unknown): { code: string; message: string } {
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  return { code: typeof code === 'string' ? code : '', message: typeof message === 'string' ? message : '' };
}

function own(table: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** Outside of texts: numbers that are none in JSON, and that Python writes all the same. */
const NO_NUMBER = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/**
 * The JSON in `text`, also behind a byte order mark or, for an answer, behind words that a server writes in front of it, and with null for numbers
 * that are none.
 * @throws SyntaxError when it holds none.
 */
export function jsonIn(text: string): unknown {
  // White space, to which the byte order mark belongs.
  const whole = text.trim();
  try {
    return JSON.parse(whole);
  } catch (error) {
    const start = whole.search(/\{\s*"(?:jsonrpc|id|result|error|method)"/);
    if (start === -1) throw error;
    const message = whole.slice(start);
    const json = JSON.parse(
      /\b(?:NaN|Infinity)\b/.test(message) ? message.replace(NO_NUMBER, asNull) : message,
    ) as object;
    // Words before a request: the server tells what it was sent.
    if (start > 0 && 'method' in json) throw error;
    return json;
  }
}

function asNull(piece: string): string {
  return piece.startsWith('"') ? piece : 'null';
}

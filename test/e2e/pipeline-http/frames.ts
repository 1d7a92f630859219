/** One server-sent event as it came. */
export interface Frame {
  id?: string;
  event?: string;
  // eslint-disable-next-line typescript/no-explicit-any -- specs assert on fields
  data: any;
}

/** The events of a stream, comments left out, until it ends. */
export async function* framesOf(response: Response): AsyncGenerator<Frame, void, undefined> {
  if (response.body === null) return;
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      const frame = frameOf(block);
      if (frame !== null) yield frame;
    }
  }
}

/** The next `count` events, fewer when the stream ends first. */
export async function take(frames: AsyncIterator<Frame, void>, count: number): Promise<Frame[]> {
  const taken: Frame[] = [];
  while (taken.length < count) {
    const next = await frames.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}

function frameOf(block: string): Frame | null {
  const fields = new Map<string, string[]>();
  for (const line of block.split('\n')) {
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (name !== '') fields.set(name, [...(fields.get(name) ?? []), value]);
  }
  const data = fields.get('data');
  if (data === undefined) return null;
  const [id] = fields.get('id') ?? [];
  const [event] = fields.get('event') ?? [];
  return { ...(id !== undefined && { id }), ...(event !== undefined && { event }), data: JSON.parse(data.join('\n')) };
}

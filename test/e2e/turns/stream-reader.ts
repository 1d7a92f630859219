/** Reads a response's bytes as they come. */
export class StreamReader {
  text = '';
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly decoder = new TextDecoder();

  constructor(response: Response) {
    if (response.body === null) throw new Error('the response has no body');
    this.reader = response.body.getReader();
  }

  /** Reads on until the text so far holds `needle`. */
  async until(needle: string): Promise<string> {
    while (!this.text.includes(needle)) {
      const { done, value } = await this.reader.read();
      if (done) throw new Error(`the stream ended without ${needle}:\n${this.text}`);
      this.text += this.decoder.decode(value, { stream: true });
    }
    return this.text;
  }

  /** Everything, once the stream has ended. */
  async all(): Promise<string> {
    for (;;) {
      const { done, value } = await this.reader.read();
      if (done) return this.text;
      this.text += this.decoder.decode(value, { stream: true });
    }
  }

  /** Goes away. */
  async leave(): Promise<void> {
    await this.reader.cancel();
  }
}

/** What a client builds out of the frames of one or more connections, as the events' documentation says. */
export interface Told {
  ids: number[];
  /** Words since the last reset. */
  text: string;
  resets: number;
  payloads: unknown[];
  done: boolean;
}

/** Reads frames; pings are skipped. */
export function told(text: string, before?: Told): Told {
  const all: Told = before ?? { ids: [], text: '', resets: 0, payloads: [], done: false };
  for (const block of text.split('\n\n')) {
    const lines = block.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
    const data = lines.find((line) => line.startsWith('data: '))?.slice(6);
    if (data === undefined) continue;
    const id = lines.find((line) => line.startsWith('id: '))?.slice(4);
    if (id !== undefined) all.ids.push(Number(id));
    if (data === '[DONE]') {
      all.done = true;
      continue;
    }
    const payload = JSON.parse(data) as { t?: string; reset?: boolean };
    all.payloads.push(payload);
    if (payload.reset) {
      all.text = '';
      all.resets += 1;
    }
    all.text += payload.t ?? '';
  }
  return all;
}

/** The part of a turn's stream that one reader has. */
export interface ReadWords {
  words: string;
  /** Id of the last event; null where events have none, or none came. */
  lastId: string | null;
  /** Whether the stream came to its end. */
  done: boolean;
}

/**
 * Reads an event stream of a turn on from `read`, until it ends, breaks off, or `enough` says so. A reset takes back what was
 * read. Never rejects: a stream that breaks off is one of the faults.
 */
export async function readTurn(
  response: Response,
  read: ReadWords,
  enough: (read: ReadWords) => boolean = () => false,
): Promise<void> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const frames = rest.split('\n\n');
      rest = frames.pop() ?? '';
      for (const frame of frames) take(frame, read);
      if (read.done || enough(read)) return;
    }
  } catch {
    // It broke off.
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function take(frame: string, read: ReadWords): void {
  const data = /^data: ?(.*)$/m.exec(frame)?.[1];
  if (data === undefined) return;
  const id = /^id: ?(.*)$/m.exec(frame)?.[1];
  if (data === '[DONE]') read.done = true;
  else {
    const event = JSON.parse(data) as { t?: string; reset?: boolean };
    if (event.reset) read.words = '';
    read.words += event.t ?? '';
  }
  if (id !== undefined) read.lastId = id;
}

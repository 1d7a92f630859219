import { chunk, END, type Answer } from '../../support/model-server.js';

/** A model that says words when it is told to. */
export interface HangingModel {
  readonly answer: Answer;
  /** Sends a further piece to everybody who has asked. */
  readonly say: (word: string) => void;
  /** Ends the answer. */
  readonly finish: () => void;
}

/** Says `word` at once, and the rest when it is told to. */
export function hangingModel(word = 'Wait'): HangingModel {
  const said: string[] = [chunk({ content: word })];
  const open = new Set<(piece: string, last: boolean) => void>();
  let ended = false;
  const send = (piece: string, last: boolean): void => {
    said.push(piece);
    ended ||= last;
    for (const tell of open) tell(piece, last);
  };
  return {
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(said.join(''));
      if (ended) return void response.end();
      const tell = (piece: string, last: boolean): void => {
        response.write(piece);
        if (last) response.end();
      };
      open.add(tell);
      response.on('close', () => open.delete(tell));
    },
    say: (next) => send(chunk({ content: next }), false),
    finish: () => send(END.join(''), true),
  };
}

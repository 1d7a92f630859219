import { randomBytes } from 'node:crypto';

/** Characters of a core that must not turn up; a cut secret shows up by its halves. */
const HALF = 12;

/**
 * Secrets that exist nowhere else, to be looked for wherever a service writes. Each has a random core of letters and digits
 * with what its format asks for around it, so that escapes of the surroundings hide nothing.
 */
export class Canaries {
  private readonly cores = new Map<string, string>();

  /** Makes the canary `name`; `dress` puts what belongs around its core. */
  make(name: string, dress: (core: string) => string = (core) => core): string {
    const core = randomBytes(24)
      .toString('base64')
      .replace(/[+/=]/g, 'x')
      .slice(0, HALF * 2);
    this.cores.set(name, core);
    return dress(core);
  }

  /** Takes a secret that a service made up for a canary. */
  adopt(name: string, secret: string): void {
    this.cores.set(name, secret);
  }

  get names(): string[] {
    return [...this.cores.keys()];
  }

  /** The names of the canaries in `text`, in whatever form: as they are, halved, in base64 at any offset, in hex. */
  in(text: string): string[] {
    return this.names.filter((name) => formsOf(this.cores.get(name) ?? '').some((form) => text.includes(form)));
  }
}

function formsOf(core: string): string[] {
  const halves = [core.slice(0, HALF), core.slice(-HALF)];
  const hex = Buffer.from(core).toString('hex');
  return [...halves, ...[0, 1, 2].map((shift) => base64Of(core, shift)), hex, hex.toUpperCase(), reversed(core)];
}

/** The characters of base64 that `core` alone decides, when it stands `shift` bytes behind a group of three. */
function base64Of(core: string, shift: number): string {
  const whole = Buffer.concat([Buffer.alloc(shift), Buffer.from(core)]).toString('base64');
  return whole.slice(shift === 0 ? 0 : shift + 1).replace(/.?=+$/, '');
}

function reversed(text: string): string {
  return Array.from(text).reverse().join('');
}

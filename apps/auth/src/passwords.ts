import { Algorithm, hash, verify } from '@node-rs/argon2';
import { Refusal } from '#domain';

/** OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane. */
const cost = { algorithm: Algorithm.Argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const together = 2;
const mostWaiting = 32;

/** Two hashes at a time and a short queue: a flood of logins is refused instead of starving everything else. */
class Turnstile {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.running < together) this.running++;
    else {
      if (this.waiting.length >= mostWaiting)
        throw new Refusal('limited', 'TOO_MANY_LOGINS', 'Too many logins at once; try again');
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      // The place is handed on: nobody who comes meanwhile slips in.
      if (next) next();
      else this.running--;
    }
  }
}

const turnstile = new Turnstile();
let dummy: Promise<string> | undefined;

export const hashPassword = (password: string): Promise<string> => turnstile.pass(() => hash(password, cost));

/** Takes as long whether or not there is such a user. */
export async function isPassword(stored: string | null, password: string): Promise<boolean> {
  dummy ??= hash('no such user', cost);
  const against = stored ?? (await dummy);
  const same = await turnstile.pass(() => verify(against, password));
  return same && stored !== null;
}

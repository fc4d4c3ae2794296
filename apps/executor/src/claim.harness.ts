import { expect } from '@jest/globals';
import { report } from '#admission';
import { newId } from '#domain';
import { systemMeta, type Context } from '#service';
import { shell, World } from '../../../libs/testing/src/context.js';
import { ended, type Claimed } from './attempt.js';
import { Claimer } from './claimer.js';
import { Lease } from './lease.js';

export interface Answer {
  claimed?: Claimed[];
  more?: { heavy: boolean; light: boolean };
  capped?: boolean;
  wait?: number | null;
  fenced?: boolean;
}

export const work = shell('true');
export const ids = ({ claimed = [] }: Answer) => claimed.map(({ run }) => run);

/** Three services on one database, with leases for executors `a`, `b` and `c`, which claim by hand. */
export class Claims {
  private constructor(
    private readonly world: World,
    readonly contexts: Context[],
    readonly context: Context,
  ) {}

  static async open(): Promise<Claims> {
    const world = await World.create();
    const contexts = await Promise.all([world.open(), world.open(), world.open()]);
    const context = contexts[0]!;
    for (const name of ['a', 'b', 'c']) await new Lease(context.pool, name, 'host').take();
    return new Claims(world, contexts, context);
  }

  close = () => this.world.close();

  claim = async (slots: number, light = 0, executor = 'a', from = this.context): Promise<Answer> =>
    ((await from.ledger.call({ claim: [{ executor, slots, light }] })).claim ?? {}) as Answer;

  finish = async ({ run, attempt, epoch }: Claimed, exitCode = 0, from = this.context): Promise<void> => {
    const data = { attempt, epoch, outcome: ended({ exitCode }) };
    await report(from.ledger, run, { type: 'FinishRun', meta: systemMeta(newId(), newId()), data });
  };

  finishAll = async ({ claimed = [] }: Answer): Promise<void> => {
    await Promise.all(claimed.map((each) => this.finish(each)));
  };

  /** A claimer for executor `b`; what it took goes into `taken`. */
  claiming(slots: () => number, taken: Claimed[]): Claimer {
    const room = () => ({ slots: slots(), light: 0, all: 1 });
    return new Claimer(this.context.ledger, () => 'b', room, {
      claimed: (runs) => void taken.push(...runs),
      fenced: () => expect('it').toBe('not fenced'),
      trouble: (error) => expect(error).toBeNull(),
    });
  }
}

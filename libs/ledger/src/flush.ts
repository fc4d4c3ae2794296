import { type Pool } from 'pg';
import { write, type Alongside, type Append, type Verdict, type Written } from './append.js';
import { compose, verdictsOf, type Answer } from './flush-call.js';
import { type StoredEvent } from './stored.js';

export interface Flushed {
  first: string;
  last: string;
  /** Each type of event in it, once; what a hook appended included, if the hook's answer names its `types`. */
  types: string[];
  /** The hooks that were called. */
  hooks: string[];
  /** Stream and type of each event of the flush; left out when it is long, or when a hook appended by itself. */
  heads?: [stream: string, type: string][];
}

export interface Settled<V = Verdict | null> {
  /** Null for an entry without an append. */
  verdict: V;
  /** What the hooks said that this entry called: one answer a hook and flush, for all who called it. */
  hooks: Record<string, unknown>;
}

interface Entry extends Written {
  resolve(result: Settled): void;
  reject(error: unknown): void;
}

const mostAppends = 2_000;
const mostFlights = 2;
/** How much must wait for a second flush to pay for its own commit. */
const worthTwo = 16;
const mostCharacters = 4_000_000;
const mostHeads = 50;
const triesOfDeadlock = 3;

/**
 * Group commit without a timer: what gathers while a flush is in flight goes out in the next. One append a stream and
 * flush, so the function need not judge an append by its neighbours. When much waits, a second flush is made ready and
 * parsed while the first holds the lock; never with a stream of the first, so a stream's appends keep their order.
 */
export class Flusher {
  /** What goes out together or not at all: mostly one entry. */
  private waiting: Entry[][] = [];
  private readonly flying = new Set<string>();
  private flights = 0;
  private starting = false;
  private idlers: (() => void)[] = [];

  constructor(
    private readonly pool: Pool,
    private readonly onFlushed: (flushed: Flushed, hooks: Record<string, unknown>) => void,
    private readonly onAppended: (first: bigint, events: StoredEvent[], size: number) => void = () => undefined,
  ) {}

  append(append: Append): Promise<Settled<Verdict>> {
    return this.enter([write(append, append.alongside ?? {})])[0] as Promise<Settled<Verdict>>;
  }

  /** All in one commit, or none when the store fails; each of another stream. */
  appendAll(appends: readonly Append[]): Promise<Settled[]> {
    return Promise.all(this.enter(appends.map((append) => write(append, append.alongside ?? {}))));
  }

  /** Calls hooks under the ledger's lock with no append of the caller's own (the claim, a renewed watermark). */
  call(alongside: Alongside): Promise<Settled> {
    return this.enter([write(null, alongside)])[0]!;
  }

  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void> {
    if (this.flights === 0 && this.waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.idlers.push(resolve));
  }

  private enter(together: Written[]): Promise<Settled>[] {
    const unit: Entry[] = [];
    const answers = together.map(
      (written) => new Promise<Settled>((resolve, reject) => unit.push({ ...written, resolve, reject })),
    );
    this.waiting.push(unit);
    if (this.flights === 0 || this.waiting.length >= worthTwo) this.start();
    return answers;
  }

  /** Leaves the current turn first, so that everything ordered in it shares the flush. */
  private start(): void {
    if (this.starting) return;
    this.starting = true;
    setImmediate(() => {
      this.starting = false;
      while (this.flights < mostFlights && this.waiting.length >= (this.flights === 0 ? 1 : worthTwo)) {
        const taken = this.take(this.share());
        if (taken.length === 0) return;
        void this.fly(taken);
      }
    });
  }

  /** Half of much, so that the two take turns: one is parsed or answered while the other holds the lock. */
  private share(): number {
    const { length } = this.waiting;
    return this.flights === 0 && length >= 2 * worthTwo ? Math.ceil(length / 2) : length;
  }

  private async fly(units: Entry[][]): Promise<void> {
    this.flights++;
    try {
      await this.attempt(units);
    } finally {
      this.flights--;
      for (const unit of units) for (const { append } of unit) if (append) this.flying.delete(append.stream);
      if (this.waiting.length > 0) this.start();
      else if (this.flights === 0) this.idlers.splice(0).forEach((resolve) => resolve());
    }
  }

  private take(most: number): Entry[][] {
    const taken: Entry[][] = [];
    const left: Entry[][] = [];
    let [count, size] = [0, 0];
    for (const unit of this.waiting) {
      const fits =
        taken.length < most &&
        count < mostAppends &&
        size < mostCharacters &&
        unit.every((entry) => this.isFree(entry));
      (fits ? taken : left).push(unit);
      if (!fits) continue;
      for (const { append, size: more } of unit) {
        if (append) this.flying.add(append.stream);
        size += more;
      }
      count += unit.length;
    }
    this.waiting = left;
    return taken;
  }

  private isFree({ append }: Entry): boolean {
    if (!append) return true;
    return !this.flying.has(append.stream) && !append.requires?.some(({ stream }) => this.flying.has(stream));
  }

  /** A call that raises is halved until the unit that made it raise stands alone. */
  private async attempt(units: Entry[][]): Promise<void> {
    const entries = units.flat();
    let answer: Answer;
    try {
      answer = await this.send(entries);
    } catch (error) {
      if (units.length === 1 || !isFaultOfData(error)) return entries.forEach((entry) => entry.reject(error));
      const half = units.length >> 1;
      await this.attempt(units.slice(0, half));
      return this.attempt(units.slice(half));
    }
    this.settle(entries, answer);
  }

  /** A deadlock with somebody who works outside the ledger's lock undid all of it: again. */
  private async send(entries: Entry[]): Promise<Answer> {
    const call = compose(entries);
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.pool.query<{ answer: Answer }>(call)).rows[0]!.answer;
      } catch (error) {
        if (!/^40/.test(codeOf(error)) || attempt === triesOfDeadlock) throw error;
      }
    }
  }

  private settle(entries: Entry[], answer: Answer): void {
    const { first, last } = answer;
    const called = answer.hooks ?? {};
    const verdicts = verdictsOf(entries, answer);
    const names = new Set<string>();
    let at = BigInt(answer.base ?? 0);
    entries.forEach(({ rows, size, datas, resolve }, n) => {
      const verdict = verdicts[n]!;
      if (verdict?.verdict === 'appended') {
        this.onAppended(at, asStored(verdict.events, datas), size);
        at += BigInt(verdict.events.length);
      }
      const hooks: Record<string, unknown> = {};
      for (const [hook] of rows) {
        names.add(hook);
        if (hook in called) hooks[hook] = called[hook];
      }
      resolve({ verdict, hooks });
    });
    if (first === null || last === null) return;
    const heads = headsOf(verdicts, Number(BigInt(last) - BigInt(first)) + 1);
    const types = typesOf(verdicts, called);
    this.onFlushed(
      { first: String(first), last: String(last), types, hooks: [...names], ...(heads ? { heads } : {}) },
      called,
    );
  }
}

/** Where the text says something else than the value did (half of a surrogate pair), what counts is the text. */
function asStored(events: StoredEvent[], datas: readonly string[]): StoredEvent[] {
  return datas.some((data) => data.includes('\\u') || data.includes('\ufffd'))
    ? events.map((event, i) => ({ ...event, data: JSON.parse(datas[i]!) as object }))
    : events;
}

function typesOf(verdicts: (Verdict | null)[], hooks: Record<string, unknown>): string[] {
  const types = new Set<string>();
  for (const verdict of verdicts) {
    if (verdict?.verdict === 'appended') for (const { type } of verdict.events) types.add(type);
  }
  for (const answer of Object.values(hooks)) {
    for (const type of (answer as { types?: string[] } | null)?.types ?? []) types.add(type);
  }
  return [...types];
}

function headsOf(verdicts: (Verdict | null)[], all: number): [string, string][] | undefined {
  if (all > mostHeads) return undefined;
  const heads = verdicts.flatMap((verdict) =>
    verdict?.verdict === 'appended' ? verdict.events.map(({ stream, type }): [string, string] => [stream, type]) : [],
  );
  return heads.length === all ? heads : undefined;
}

const codeOf = (error: unknown) => String((error as { code?: unknown }).code ?? '');

/** Class 22 and 23 and the like: the data's fault, so a neighbour may still be good. A lost connection is nobody's. */
const isFaultOfData = (error: unknown) => /^(21|22|23|P0|54|42)/.test(codeOf(error));

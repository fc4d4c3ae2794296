/** Milliseconds; slower than that, a name's server is not to be relied upon. */
const prompt = 1_000;
const mostKnown = 10_000;

interface UnderWay {
  /** Of all who wait for it. */
  signals: AbortSignal[];
  found: Promise<string[]>;
}

/**
 * Names looked up one after another, each once for all who ask meanwhile: a lookup holds one of the few threads that files need
 * too. Names that were found promptly the last time have a line of their own, so that servers that hang hold up nobody but each
 * other; whose askers have all gone meanwhile is not looked up any more.
 */
export class Lookups {
  private readonly lines = { prompt: Promise.resolve(), other: Promise.resolve() };
  private readonly known = new Set<string>();
  private readonly underWay = new Map<string, UnderWay>();

  constructor(private readonly ask: (name: string) => Promise<string[]>) {}

  find(name: string, signal: AbortSignal): Promise<string[]> {
    const underWay = this.underWay.get(name) ?? this.queued(name);
    underWay.signals.push(signal);
    return underWay.found;
  }

  private queued(name: string): UnderWay {
    const line = this.known.has(name) ? 'prompt' : 'other';
    const signals: AbortSignal[] = [];
    const found = this.lines[line].then(() => {
      if (!signals.every(({ aborted }) => aborted)) return this.timed(name);
      throw new Error('nobody waits for it');
    });
    const over = () => void this.underWay.delete(name);
    this.lines[line] = found.then(over, over);
    const underWay = { signals, found };
    this.underWay.set(name, underWay);
    return underWay;
  }

  private async timed(name: string): Promise<string[]> {
    const slow = setTimeout(() => this.known.delete(name), prompt);
    const began = performance.now();
    try {
      const found = await this.ask(name);
      if (this.known.size >= mostKnown) this.known.clear();
      if (performance.now() - began < prompt) this.known.add(name);
      return found;
    } catch (error) {
      this.known.delete(name);
      throw error;
    } finally {
      clearTimeout(slow);
    }
  }
}

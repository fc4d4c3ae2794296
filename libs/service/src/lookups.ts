/** Slower than that, a name's server is not to be relied upon. */
const prompt = 1_000;
const mostKnown = 10_000;

/**
 * Names looked up one after another: a lookup holds one of the few threads that files need too. Names that were found promptly
 * the last time have a line of their own, so that servers that hang hold up nobody but each other; whose asker has gone
 * meanwhile is not looked up any more.
 */
export class Lookups {
  private readonly lines = { prompt: Promise.resolve(), other: Promise.resolve() };
  private readonly known = new Set<string>();

  constructor(private readonly ask: (name: string) => Promise<string[]>) {}

  find(name: string, signal: AbortSignal): Promise<string[]> {
    const line = this.known.has(name) ? 'prompt' : 'other';
    const asked = this.lines[line].then(() => {
      signal.throwIfAborted();
      return this.timed(name);
    });
    this.lines[line] = asked.then(
      () => undefined,
      () => undefined,
    );
    return asked;
  }

  private async timed(name: string): Promise<string[]> {
    const began = performance.now();
    this.known.delete(name);
    const found = await this.ask(name);
    if (this.known.size >= mostKnown) this.known.clear();
    if (performance.now() - began < prompt) this.known.add(name);
    return found;
  }
}

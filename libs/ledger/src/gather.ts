/** Gathers single questions into one: what is asked while a query is in flight goes out together in the next. */
export class Gatherer<K, V> {
  private waiting = new Map<K, { resolve: (value: V) => void; reject: (error: unknown) => void }[]>();
  private busy = false;

  constructor(
    private readonly ask: (keys: K[]) => Promise<Map<K, V>>,
    private readonly most = 500,
  ) {}

  get(key: K): Promise<V> {
    return new Promise((resolve, reject) => {
      const askers = this.waiting.get(key);
      if (askers) askers.push({ resolve, reject });
      else this.waiting.set(key, [{ resolve, reject }]);
      if (this.busy) return;
      this.busy = true;
      setImmediate(() => void this.run());
    });
  }

  private async run(): Promise<void> {
    while (this.waiting.size > 0) {
      const keys = [...this.waiting.keys()].slice(0, this.most);
      const askers = keys.map((key) => this.waiting.get(key)!);
      keys.forEach((key) => this.waiting.delete(key));
      try {
        const found = await this.ask(keys);
        keys.forEach((key, i) => askers[i]!.forEach(({ resolve }) => resolve(found.get(key) as V)));
      } catch (error) {
        askers.flat().forEach(({ reject }) => reject(error));
      }
    }
    this.busy = false;
  }
}

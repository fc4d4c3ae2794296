/** A sleep that can be cut short: of whoever looks again after a while, or as soon as a bell rings. */
export class Nap {
  private end: () => void = () => undefined;

  /** For so many milliseconds, or until it is ended. */
  take(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake(): void {
    this.end();
  }
}

/** What a suite did and found: faults by kind, figures, and every check with what it saw. */
interface Check {
  readonly where: string;
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

const longest = 1_200;

export class Report {
  private readonly faults = new Map<string, number>();
  private readonly figures: string[] = [];
  private readonly checks: Check[] = [];
  private readonly skips: string[] = [];

  /** Counts injected faults of one kind. */
  fault(kind: string, times = 1): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + times);
  }

  figure(where: string, text: string): void {
    this.figures.push(`${where}: ${text}`);
    console.log(`    ${text}`);
  }

  /** Goes on after a failure: one round shall say all that is wrong. */
  check(where: string, what: string, ok: boolean, all = ''): boolean {
    const detail = all.slice(0, longest);
    this.checks.push({ where, what, ok, detail });
    if (ok) console.log(`    ok    ${what}${detail ? ` (${detail})` : ''}`);
    else console.log(`    FAIL  ${what}${detail ? `: ${detail}` : ''}`);
    return ok;
  }

  skip(where: string, why: string): void {
    this.skips.push(`${where}: ${why}`);
    console.log(`    skipped: ${why}`);
  }

  get failed(): number {
    return this.checks.filter(({ ok }) => !ok).length;
  }

  print(seed: number): void {
    console.log(`\nSeed ${seed}. Faults injected:`);
    for (const [kind, times] of [...this.faults].toSorted()) console.log(`  ${String(times).padStart(7)}  ${kind}`);
    console.log('Figures:');
    for (const line of this.figures) console.log(`  ${line}`);
    for (const line of this.skips) console.log(`  skipped ${line}`);
    const bad = this.checks.filter(({ ok }) => !ok);
    console.log(`${this.checks.length - bad.length} of ${this.checks.length} checks hold`);
    for (const { where, what, detail } of bad) console.log(`  FAIL  ${where}: ${what}: ${detail}`);
  }
}

import { misuse } from './failure.js';

export interface BatchDocument {
  name?: string;
  description?: string;
  jobs: unknown[];
}

/** One document `{name?, jobs}`, or one job a line. */
export function readBatch(text: string): BatchDocument {
  const whole = jsonOf(text);
  const batch = isDocument(whole) ? whole : { jobs: linesOf(text) };
  if (batch.jobs.length === 0) throw misuse('There are no jobs in it.');
  return batch;
}

const isDocument = (value: unknown): value is BatchDocument =>
  typeof value === 'object' && value !== null && Array.isArray((value as Partial<BatchDocument>).jobs);

function linesOf(text: string): unknown[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const job = jsonOf(line);
    if (typeof job === 'object' && job !== null && !Array.isArray(job)) return [job];
    throw misuse(
      `Line ${index + 1} is no job: wanted is {"command": ["make", "test"]} in each, or {"jobs": [...]} in all.`,
    );
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { type ClientBase } from 'pg';
import { type FoldedEvent } from './stored.js';

/** Runs a statement inside the batch's transaction; `table` gives the name of the live table or of its shadow. */
export interface Target {
  client: ClientBase;
  table(name: string): string;
}

/** A disposable read model: nothing in its tables that the ledger lacks. */
export interface Projection {
  name: string;
  /** Its tables, so that a rebuild can make their shadows. */
  tables: string[];
  /** Stream categories that it reads. */
  categories: string[];
  /** Applies a batch, oldest first, with a few set-based statements. Must be deterministic. */
  apply(target: Target, events: FoldedEvent[]): Promise<void>;
}

import { type RungOutput } from '#bus';
import { type Piece } from './recent.js';

/** Somebody's connection, as whoever tells him of output sees it. */
export interface Line {
  readonly id: string;
  readonly group: Group;
  /** He has not yet taken what he was told. */
  isFull(): boolean;
  hasRoom(): boolean;
  /** Does the work once he has taken something; he may have unheard: look now and then. */
  onDrain(work: () => void): void;
}

/** Those who are told together, so that a piece is encoded once for all of them. */
export interface Group {
  tell(ids: string[], piece: Piece): void;
  /** A sample that is never repeated: only to those who can take it now. */
  show(ids: string[], piece: RungOutput): void;
}

/** Fifty slow watchers may hold this each; what is sent to many at once is held once for all. */
export const mostHeld = 96 * 1024;
export const fewHeld = 48 * 1024;

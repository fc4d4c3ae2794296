import { type RungOutput } from '#bus';
import { type Group, type Line } from './line.js';
import { isAfter, keyOf, Recent, type Piece, type Place } from './recent.js';

export interface Page {
  pieces: Piece[];
  more: boolean;
}

export interface Watcher {
  readonly line: Line;
  /** Null while his line is full, and once he is gone. */
  stand: Stand | null;
  gone: boolean;
  /** What is to be done once he was told all that is stored. */
  done: (() => void) | null;
}

/** All who were told exactly this much and can take more. */
interface Stand {
  readonly place: Place;
  readonly key: string;
  readonly watchers: Set<Watcher>;
  reading: boolean;
  /** There may be more than was heard of: the store is to be asked. */
  unsure: boolean;
  /** How often it had rung when the store last had nothing for them. */
  nothingAt: number;
  /** The store did not answer: asked again at the next look. */
  failed: boolean;
}

interface Ports {
  read: (after: Place) => Promise<Page>;
  /** There is something to do. */
  wake: () => void;
  trouble: (error: unknown) => void;
}

const ringBytes = 1_048_576;
const pagesBytes = 524_288;
/** Told in one go: a piece is encoded once for all of them, and the event loop is theirs meanwhile. */
const sliceBytes = 512 * 1024;
const mostInSlice = 64;
/** The bell of a last piece may be lost, and no later one shows the gap: the store is asked this often. */
const quiet = 2_000;

/**
 * One run's output for its watchers. They stand in groups at places; a step tells one group the piece that follows, from
 * what was rung lately or else from a page of the store, so everybody is told everything once and in order at his pace.
 */
export class RunFeed {
  private readonly stands = new Map<string, Stand>();
  /** Those who cannot take more now, and where they stood. */
  private readonly full = new Map<Watcher, Place>();
  private readonly ring = new Recent(ringBytes);
  /** Apart, or a flood of bells would push a page out before anybody was told it. */
  private readonly pages = new Recent(pagesBytes);
  /** There is something up to here. */
  private known: Place = { attempt: 1, seq: 0 };
  private bells = 0;
  private heardAt = performance.now();
  /** Watchers. */
  size = 0;

  constructor(private readonly ports: Ports) {}

  join(line: Line, after: Place): Watcher {
    const watcher: Watcher = { line, stand: null, gone: false, done: null };
    const stand = this.standAt(after.attempt === 0 ? { attempt: 1, seq: 0 } : after);
    this.enter(watcher, stand);
    stand.unsure ||= !isAfter(this.known, stand.place);
    this.size++;
    this.ports.wake();
    return watcher;
  }

  /** The store is asked once more, where nothing is left to tell. */
  finish(watcher: Watcher, done: () => void): void {
    if (watcher.gone) return;
    watcher.done = done;
    if (watcher.stand) watcher.stand.unsure = true;
    this.ports.wake();
  }

  leave(watcher: Watcher): void {
    if (watcher.gone) return;
    watcher.gone = true;
    watcher.done = null;
    this.size--;
    this.full.delete(watcher);
    if (watcher.stand) this.quit(watcher, watcher.stand);
  }

  rung(pieces: readonly RungOutput[]): void {
    this.heardAt = performance.now();
    for (const piece of pieces) {
      if (piece.live) {
        this.show(piece);
        continue;
      }
      this.bells++;
      const { text } = piece;
      if (isAfter(this.known, piece)) continue;
      if (text !== undefined) this.ring.add(keyOf({ ...piece, seq: piece.seq - 1 }), { ...piece, text });
      this.known = placeOf(piece);
    }
    this.ports.wake();
  }

  /** Tells one piece to one slice, or has a page read; false when there is nothing to do. */
  step(): boolean {
    const stand = this.hindmost();
    if (!stand) return false;
    const piece = this.next(stand);
    if (piece) this.tell(stand, piece);
    else void this.read(stand);
    return true;
  }

  /** Now and then: whoever drained unheard, whatever failed, and what may have been lost. */
  look(): void {
    for (const watcher of this.full.keys()) this.tryAgain(watcher);
    for (const stand of this.stands.values()) stand.failed = false;
    if (performance.now() - this.heardAt > quiet) {
      this.heardAt = performance.now();
      this.ring.clear();
      this.pages.clear();
      for (const stand of this.stands.values()) stand.unsure = true;
    }
    this.ports.wake();
  }

  private next(stand: Stand): Piece | undefined {
    return this.ring.after(stand.key) ?? this.pages.after(stand.key);
  }

  /** The last go first, so that groups meet and share what is read. */
  private hindmost(): Stand | undefined {
    let found: Stand | undefined;
    for (const stand of this.stands.values()) {
      if (this.hasWork(stand) && (!found || isAfter(found.place, stand.place))) found = stand;
    }
    return found;
  }

  private hasWork(stand: Stand): boolean {
    if (stand.reading || stand.watchers.size === 0) return false;
    if (this.next(stand)) return true;
    if (stand.failed) return false;
    return stand.unsure || (isAfter(this.known, stand.place) && stand.nothingAt !== this.bells);
  }

  private tell(stand: Stand, piece: Piece): void {
    const [first] = stand.watchers;
    const { group } = first!.line;
    const slice = Math.min(mostInSlice, Math.max(8, Math.floor(sliceBytes / piece.text.length)));
    const told: Watcher[] = [];
    for (const watcher of stand.watchers) {
      if (watcher.line.group !== group) continue;
      this.quit(watcher, stand);
      if (watcher.line.isFull()) this.wait(watcher, stand.place);
      else if (told.push(watcher) === slice) break;
    }
    if (told.length === 0) return;
    group.tell(
      told.map(({ line }) => line.id),
      piece,
    );
    const next = this.standAt(placeOf(piece));
    for (const watcher of told) this.enter(watcher, next);
  }

  private show(piece: RungOutput): void {
    const told = new Map<Group, string[]>();
    for (const { line } of this.stands.get(keyOf(this.known))?.watchers ?? []) {
      const ids = told.get(line.group);
      if (ids) ids.push(line.id);
      else told.set(line.group, [line.id]);
    }
    for (const [group, ids] of told) group.show(ids, piece);
  }

  private wait(watcher: Watcher, place: Place): void {
    this.full.set(watcher, place);
    this.onceDrained(watcher);
  }

  private onceDrained(watcher: Watcher): void {
    watcher.line.onDrain(() => this.tryAgain(watcher) || this.onceDrained(watcher));
  }

  /** False when his line is still too full. */
  private tryAgain(watcher: Watcher): boolean {
    const place = this.full.get(watcher);
    if (!place) return true;
    if (!watcher.line.hasRoom()) return false;
    this.full.delete(watcher);
    this.enter(watcher, this.standAt(place));
    this.ports.wake();
    return true;
  }

  private async read(stand: Stand): Promise<void> {
    const { bells } = this;
    const ending = [...stand.watchers].filter(({ done }) => done !== null);
    stand.reading = true;
    try {
      const { pieces, more } = await this.ports.read(stand.place);
      let at = stand.place;
      for (const piece of pieces) {
        this.pages.add(keyOf(at), piece);
        at = placeOf(piece);
      }
      const upTo = more ? { ...at, seq: at.seq + 1 } : at;
      if (isAfter(upTo, this.known)) this.known = upTo;
      stand.unsure = false;
      if (pieces.length === 0) {
        stand.nothingAt = bells;
        this.end(ending);
      }
      stand.unsure ||= [...stand.watchers].some(({ done }) => done !== null);
    } catch (error) {
      stand.failed = true;
      this.ports.trouble(error);
    } finally {
      stand.reading = false;
      if (stand.watchers.size === 0) this.stands.delete(stand.key);
      this.ports.wake();
    }
  }

  /** Those who waited for it before the store said that there is nothing more. */
  private end(watchers: Watcher[]): void {
    for (const watcher of watchers) {
      const { done } = watcher;
      watcher.done = null;
      done?.();
    }
  }

  private standAt(place: Place): Stand {
    const key = keyOf(place);
    const known = this.stands.get(key);
    if (known) return known;
    const state = { reading: false, unsure: false, nothingAt: -1, failed: false };
    const stand: Stand = { place, key, watchers: new Set(), ...state };
    this.stands.set(key, stand);
    return stand;
  }

  private enter(watcher: Watcher, stand: Stand): void {
    watcher.stand = stand;
    stand.watchers.add(watcher);
    if (watcher.done) stand.unsure = true;
  }

  private quit(watcher: Watcher, stand: Stand): void {
    watcher.stand = null;
    stand.watchers.delete(watcher);
    if (stand.watchers.size === 0 && !stand.reading) this.stands.delete(stand.key);
  }
}

const placeOf = ({ attempt, seq }: Place): Place => ({ attempt, seq });

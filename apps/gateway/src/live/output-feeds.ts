import { Injectable } from '@nestjs/common';
import { bells, subjects, type OutputChunk } from '#bus';
import { newId } from '#domain';
import { Context } from '#service';
import { type Line } from './line.js';
import { type Piece, type Place } from './recent.js';
import { RunFeed, type Page } from './run-feed.js';

interface Watched {
  feed: RunFeed;
  stop: () => void;
}

/** Somebody's stay with a run's output. */
export interface Joined {
  leave(): void;
  /** Nothing more is printed: does the work once he was told all that is stored. */
  finish(done: () => void): void;
}

/** In base64 a string that V8 makes among the young ones: larger ones stay until the whole heap is collected. */
const pageBytes = 64 * 1024;
const mostReads = 4;
const look = 250;
/** How long watchers are told things before everybody else gets his turn. */
const turnMs = 3;
/** While somebody waits for an answer, one step is made in so long. */
const restMs = 8;

/** Live output of runs that somebody watches: one feed a run, one turn of the event loop after another for all of them. */
@Injectable()
export class OutputFeeds {
  private readonly runs = new Map<string, Watched>();
  private readonly due = new Set<RunFeed>();
  private scheduled = false;
  private timer: NodeJS.Timeout | null = null;
  /** Pages being read. */
  private asking = 0;
  private readonly readers: (() => void)[] = [];

  constructor(private readonly context: Context) {}

  join(run: string, after: Place, line: Line): Joined {
    const watched = this.runs.get(run) ?? this.open(run);
    const watcher = watched.feed.join(line, after);
    return {
      leave: () => {
        watched.feed.leave(watcher);
        if (watched.feed.size === 0 && this.runs.get(run) === watched) this.close(run, watched);
      },
      finish: (done) => watched.feed.finish(watcher, done),
    };
  }

  private open(run: string): Watched {
    const feed = new RunFeed({
      read: (after) => this.page(run, after),
      wake: () => this.wake(feed),
      trouble: (err) => this.context.log.warn({ err, run }, 'watchers are read to again later'),
    });
    const stop = this.context.bus.listen(bells.output, (pieces) => feed.rung(pieces), run);
    const watched = { feed, stop };
    this.runs.set(run, watched);
    this.timer ??= setInterval(() => this.runs.forEach((each) => each.feed.look()), look);
    return watched;
  }

  private close(run: string, { feed, stop }: Watched): void {
    stop();
    this.runs.delete(run);
    this.due.delete(feed);
    if (this.runs.size > 0 || !this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  private wake(feed: RunFeed): void {
    this.due.add(feed);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled || this.due.size === 0) return;
    this.scheduled = true;
    if (this.othersWait) setTimeout(() => this.turn(), restMs);
    else setImmediate(() => this.turn());
  }

  private get othersWait(): boolean {
    return this.context.bus.unanswered > this.asking;
  }

  /** A step of each feed by turns, so that a loud run does not keep the others waiting. */
  private turn(): void {
    const until = performance.now() + (this.othersWait ? 0 : turnMs);
    for (const feed of this.due) {
      this.due.delete(feed);
      if (feed.step()) this.due.add(feed);
      if (performance.now() > until) break;
    }
    this.scheduled = false;
    this.schedule();
  }

  private async page(run: string, after: Place): Promise<Page> {
    if (this.asking >= mostReads) await new Promise<void>((resolve) => this.readers.push(resolve));
    else this.asking++;
    try {
      const question = { run, after, limit: pageBytes };
      const { chunks, more } = await this.context.bus.send(subjects.readOutput, question, meta());
      return { pieces: chunks.map((chunk) => asPiece(run, chunk)), more };
    } finally {
      const next = this.readers.shift();
      if (next) next();
      else this.asking--;
    }
  }
}

function asPiece(run: string, { attempt, seq, stream, bytes }: OutputChunk): Piece {
  return { run, attempt, seq, stream, text: Buffer.from(bytes, 'base64').toString('utf8') };
}

const meta = () => ({ actor: 'system', correlationId: newId() });

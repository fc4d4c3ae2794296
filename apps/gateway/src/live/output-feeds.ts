import { Injectable } from '@nestjs/common';
import { type Socket } from 'socket.io';
import { bells, subjects, type LiveOutput, type OutputChunk } from '#bus';
import { newId } from '#domain';
import { Context } from '#service';

export interface Place {
  attempt: number;
  seq: number;
}

interface Watcher {
  socket: Socket;
  at: Place;
  /** Gets what is told to all; otherwise he is read to from the store, at his own pace. */
  live: boolean;
  reading: boolean;
  /** Something was rung during the read, which may have come too late for it. */
  again: boolean;
  /** When he was last read to, or told. */
  since: number;
  gone: boolean;
}

interface Feed {
  watchers: Set<Watcher>;
  stop: () => void;
  timer: NodeJS.Timeout;
  /** How often something stored was rung. */
  bells: number;
}

interface Page {
  pieces: LiveOutput[];
  more: boolean;
}

const pageBytes = 64 * 1024;
/** Fifty slow watchers may hold this each. */
const mostBuffered = 256 * 1024;
const look = 100;
/** The bell of a last piece may be lost, and no later one shows the gap: a quiet watcher is read to this often. */
const quiet = 2_000;

const isAfter = (a: Place, b: Place) => a.attempt > b.attempt || (a.attempt === b.attempt && a.seq > b.seq);

/**
 * Live output of runs that somebody watches. Whoever has caught up gets each piece as it is rung; whoever is behind (a
 * newcomer, a slow reader, a lost bell) is read to from the store until he has caught up, so nothing is missed or held.
 */
@Injectable()
export class OutputFeeds {
  private readonly runs = new Map<string, Feed>();
  private readonly pages = new Map<string, Promise<Page>>();

  constructor(private readonly context: Context) {}

  join(run: string, after: Place, socket: Socket): () => void {
    const watcher: Watcher = { socket, at: after, live: false, reading: false, again: false, since: 0, gone: false };
    let feed = this.runs.get(run);
    if (!feed) {
      const stop = this.context.bus.listen(bells.output, (pieces) => this.rung(run, pieces), run);
      const timer = setInterval(() => this.look(run), look);
      this.runs.set(run, (feed = { watchers: new Set(), stop, timer, bells: 0 }));
    }
    feed.watchers.add(watcher);
    void this.readTo(run, watcher);
    return () => this.leave(run, watcher);
  }

  private leave(run: string, watcher: Watcher): void {
    watcher.gone = true;
    const feed = this.runs.get(run);
    feed?.watchers.delete(watcher);
    if (!feed || feed.watchers.size > 0) return;
    feed.stop();
    clearInterval(feed.timer);
    this.runs.delete(run);
  }

  private rung(run: string, pieces: LiveOutput[]): void {
    const feed = this.runs.get(run);
    if (feed && pieces.some(({ live }) => !live)) feed.bells++;
    for (const piece of pieces) {
      for (const watcher of this.runs.get(run)?.watchers ?? []) this.offer(run, watcher, piece);
    }
  }

  private offer(run: string, watcher: Watcher, piece: LiveOutput): void {
    if (!watcher.live) return void this.readTo(run, watcher);
    if (piece.live) {
      watcher.socket.volatile.emit('output', piece);
      return;
    }
    const follows =
      piece.attempt === watcher.at.attempt
        ? piece.seq === watcher.at.seq + 1
        : piece.seq === 1 && piece.attempt > watcher.at.attempt;
    if (follows) this.tell(watcher, piece);
    else if (isAfter(piece, watcher.at)) {
      watcher.live = false;
      void this.readTo(run, watcher);
    }
  }

  private tell(watcher: Watcher, piece: LiveOutput): void {
    watcher.at = { attempt: piece.attempt, seq: piece.seq };
    watcher.since = performance.now();
    watcher.socket.emit('output', piece);
  }

  /** Slow readers leave the live ones before they fill our memory; those behind read on when they have drained. */
  private look(run: string): void {
    for (const watcher of this.runs.get(run)?.watchers ?? []) {
      if (buffered(watcher.socket) > mostBuffered) watcher.live = false;
      else if (!watcher.live || performance.now() - watcher.since > quiet) void this.readTo(run, watcher);
    }
  }

  /** Watchers at one place share its read: fifty newcomers cost the store and the bus what one does. Never one older than a bell. */
  private page(run: string, after: Place): Promise<Page> {
    const key = `${run} ${this.runs.get(run)?.bells} ${after.attempt} ${after.seq}`;
    const underWay = this.pages.get(key);
    if (underWay) return underWay;
    const page = this.context.bus
      .send(subjects.readOutput, { run, after, limit: pageBytes }, meta())
      .then(({ chunks, more }) => ({ pieces: chunks.map((chunk) => asPiece(run, chunk)), more }))
      .finally(() => this.pages.delete(key));
    this.pages.set(key, page);
    return page;
  }

  private async readTo(run: string, watcher: Watcher): Promise<void> {
    watcher.again = true;
    if (watcher.reading || watcher.gone) return;
    watcher.reading = true;
    watcher.live = false;
    try {
      for (let more = true; more && !watcher.gone && buffered(watcher.socket) <= mostBuffered;) {
        watcher.again = false;
        const answer = await this.page(run, watcher.at);
        watcher.since = performance.now();
        if (watcher.gone) return;
        for (const piece of answer.pieces) this.tell(watcher, piece);
        more = answer.more || watcher.again;
        watcher.live = !more;
      }
    } catch (err) {
      this.context.log.warn({ err, run }, 'a watcher is read to again later');
    } finally {
      watcher.reading = false;
    }
  }
}

function asPiece(run: string, { attempt, seq, stream, bytes }: OutputChunk): LiveOutput {
  return { run, attempt, seq, stream, text: Buffer.from(bytes, 'base64').toString('utf8') };
}

/** What the socket has not taken yet, in engine.io's queue and in the WebSocket's. */
function buffered({ conn }: Socket): number {
  const { writeBuffer, transport } = conn as unknown as {
    writeBuffer: { data?: unknown }[];
    transport: { socket?: { bufferedAmount?: number } };
  };
  const queued = writeBuffer.reduce((sum, { data }) => sum + (typeof data === 'string' ? data.length : 0), 0);
  return queued + (transport.socket?.bufferedAmount ?? 0);
}

const meta = () => ({ actor: 'system', correlationId: newId() });

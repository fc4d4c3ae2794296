/** The connection to the one executor that is listened to, and the order in which runs get its attention. */
import { type Socket } from 'node:net';
import { FrameWriter, type ToExecutor } from './protocol.js';
import { type Frame, type Run } from './run.js';

/** More in flight would only move the chunks from their spools into memory. */
const backlogLimit = 1024 * 1024;
/** What the executor may hold unacknowledged of one run, and of all; a run with nothing under way may always send a chunk. */
const runWindow = 1024 * 1024;
const window = 2 * 1024 * 1024;

export class Link {
  private socket: Socket | undefined;
  private writer: FrameWriter | undefined;
  /** Have frames that the executor was too slow for. */
  private readonly waiting = new Set<Run>();
  private inFlight = 0;

  get connected(): boolean {
    return this.socket !== undefined;
  }

  isFrom(socket: Socket): boolean {
    return this.socket === socket;
  }

  /** The newest executor is the right one: an older connection is a dead or fenced one. */
  take(socket: Socket, hello: ToExecutor): void {
    const older = this.socket;
    this.socket = socket;
    this.writer = new FrameWriter(socket);
    this.waiting.clear();
    this.inFlight = 0;
    if (older && older !== socket) older.destroy();
    socket.on('drain', () => this.isFrom(socket) && this.resume());
    this.writer.send(hello);
  }

  lose(socket: Socket): boolean {
    if (!this.isFrom(socket)) return false;
    this.socket = undefined;
    this.writer = undefined;
    this.waiting.clear();
    return true;
  }

  /** Sends what the run has to say, as far as the executor keeps up. */
  pump(run: Run): void {
    const { writer } = this;
    if (!writer) return;
    while (writer.backlog < backlogLimit && this.maySend(run)) {
      const before = run.inFlight;
      const frame = run.nextFrame();
      if (!frame) {
        this.waiting.delete(run);
        return;
      }
      this.inFlight += run.inFlight - before;
      writer.send(frame.header, frame.body);
    }
    this.waiting.add(run);
  }

  /** What `work` acknowledges makes room for others. */
  freeing(run: Run | undefined, work: (run: Run) => void): void {
    if (!run) return;
    const before = run.inFlight;
    work(run);
    this.inFlight += run.inFlight - before;
    this.resume();
  }

  /** For frames that nobody misses. */
  sendIfIdle(frame: Frame): void {
    if (this.writer && this.writer.backlog < backlogLimit) this.writer.send(frame.header, frame.body);
  }

  private maySend({ inFlight }: Run): boolean {
    return inFlight === 0 || (inFlight < runWindow && this.inFlight < window);
  }

  private resume(): void {
    for (const run of [...this.waiting]) {
      // To the end of the line, so that one gigabyte does not starve a hundred small runs.
      this.waiting.delete(run);
      this.pump(run);
    }
  }
}

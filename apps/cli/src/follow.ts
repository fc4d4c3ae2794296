/** Stays with a run until it is over and passes on what it prints, over lost lines and restarts of the server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Socket } from 'socket.io-client';
import { patiently, type Api } from './api.js';
import { Failure } from './failure.js';
import { say } from './print.js';
import { type Piece, type RunOutput } from './run-output.js';
import { isOver, type Run } from './shapes.js';

type Acknowledged = { position: string; error?: undefined } | { error: { message: string } };

const awayAtMost = 120_000;
/** Reading bytes anew costs the server more the more there are. */
const catchUpEvery = 1_000;

/** Answers the run as it ended; all of its output has been passed on. */
export async function follow(api: Api, id: string, output: RunOutput): Promise<Run> {
  const { io } = await import('socket.io-client');
  const { origin, pathname } = new URL(api.url);
  const socket = io(origin, {
    path: `${pathname.replace(/\/$/, '')}/socket.io`,
    transports: ['websocket'],
    reconnectionDelayMax: 2_000,
    auth: { token: api.token },
  });
  const follower = new Follower(api, id, output, socket);
  try {
    return await follower.end;
  } finally {
    follower.leave();
  }
}

class Follower {
  readonly end: Promise<Run>;
  private resolve!: (run: Run) => void;
  private reject!: (error: Error) => void;
  /** One thing after another: pieces keep their order, and the last look comes after them. */
  private turn: Promise<void> = Promise.resolve();
  private over = false;
  private awaySince: number | null = null;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly api: Api,
    private readonly id: string,
    private readonly output: RunOutput,
    private readonly socket: Socket,
  ) {
    this.end = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    socket.on('connect', () => this.subscribe());
    socket.on('output', (piece: Piece) => this.inTurn(() => this.output.pass(piece)));
    socket.on('event', ({ position }: { position: string }) => this.inTurn(() => this.look(position)));
    socket.on('disconnect', () => this.away());
    socket.on('connect_error', () => this.away());
    this.timer = setInterval(() => this.inTurn(() => this.output.catchUp()), catchUpEvery);
  }

  leave(): void {
    this.over = true;
    clearInterval(this.timer);
    this.socket.disconnect();
  }

  private inTurn(work: () => Promise<void>): void {
    this.turn = this.turn.then(() => (this.over ? undefined : patiently(work))).catch(this.reject);
  }

  private subscribe(): void {
    if (this.awaySince !== null) say(`Back at ${this.api.url}.`);
    this.awaySince = null;
    const wanted = { room: `run:${this.id}`, output: this.output.place };
    this.socket.emit('subscribe', wanted, (answer: Acknowledged) => {
      if (answer.error) this.reject(new Failure(`The run cannot be followed: ${answer.error.message}.`));
      else this.inTurn(() => this.look(answer.position));
    });
  }

  private async look(after: string): Promise<void> {
    const run = await this.api.get<Run>(`/api/v1/runs/${this.id}`, { after });
    if (!isOver(run)) return;
    await this.output.finish(run.attempt);
    this.over = true;
    this.resolve(run);
  }

  private away(): void {
    if (this.over) return;
    if (this.awaySince === null) say(`Lost the line to ${this.api.url}; waiting for it. The run goes on.`);
    this.awaySince ??= performance.now();
    if (performance.now() - this.awaySince > awayAtMost) {
      this.reject(new Failure(`${this.api.url} stays away. Go on with "runledger logs -f ${this.id}".`));
    } else if (!this.socket.active) void this.comeBack();
  }

  /** Shown the door: by a server that stops, or for good because the session has ended. */
  private async comeBack(): Promise<void> {
    try {
      await patiently(() => this.api.get('/api/v1/me'));
      await sleep(500);
      if (!this.over) this.socket.connect();
    } catch (error) {
      this.reject(error as Error);
    }
  }
}

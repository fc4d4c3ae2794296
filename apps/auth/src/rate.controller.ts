import { Controller, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Answers, subjects, type Request, type Taken } from '#bus';
import { derivedId } from '#domain';
import { withStore } from '#ledger';
import { Context } from '#service';

const sweepEvery = 60_000;

/** Counts for the gateways' limits: one count, however many gateways there are. */
@Controller()
export class RateController implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout;

  constructor(private readonly context: Context) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.sweep(), sweepEvery);
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Under the words' hash: what somebody typed where his name belongs may be his password. */
  @Answers(subjects.takeRate)
  async take({ data: { key, seconds } }: Request<{ key: string; seconds: number }>): Promise<Taken> {
    const query = {
      name: 'rate-take',
      text: 'select count, wait from rate_take($1, $2)',
      values: [derivedId('rate', key), seconds],
    };
    const { rows } = await withStore(() => this.context.pool.query<{ count: number; wait: number }>(query));
    const { count, wait } = rows[0]!;
    return { count, resetInSeconds: Math.max(1, Math.ceil(wait)) };
  }

  /** Forgets windows that are over. */
  async sweep(): Promise<void> {
    const text = 'delete from rate_window where resets_at < clock_timestamp()';
    await this.context.pool.query(text).catch((err: unknown) => this.context.log.warn({ err }, 'rates were not swept'));
  }
}

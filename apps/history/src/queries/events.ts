import { Controller } from '@nestjs/common';
import { Answers, subjects, type EventFilter, type EventMessage, type Request } from '#bus';
import { verify, withStore, type StoredEvent } from '#ledger';
import { Context } from '#service';

const mostScanned = 20_000;
const together = 2_000;

@Controller()
export class EventQueries {
  constructor(private readonly context: Context) {}

  /** From a position, oldest first. `scanned` is how far it has looked: the next question goes on there. */
  @Answers(subjects.listEvents)
  async list({ data }: Request<EventFilter>): Promise<{ items: EventMessage[]; scanned: string; head: string }> {
    const { ledger } = this.context;
    const { after, limit, stream } = data;
    const head = await withStore(() => ledger.head());
    if (stream !== undefined) {
      const events = (await ledger.read(stream)).filter((event) => BigInt(event.position) > BigInt(after));
      return this.page(events, data, head);
    }
    const selective = data.type !== undefined || data.actor !== undefined;
    const items: StoredEvent[] = [];
    let scanned = after;
    for (let seen = 0; items.length < limit && seen < mostScanned;) {
      const events = await withStore(() => ledger.readFrom(scanned, selective ? together : limit));
      for (const event of events) {
        if (items.length === limit) break;
        scanned = event.position;
        if (matches(event, data)) items.push(event);
      }
      seen += events.length;
      if (events.length < (selective ? together : limit)) break;
    }
    return { items, scanned, head };
  }

  @Answers(subjects.verifyLedger)
  verify({ data: { from, to } }: Request<{ from?: string; to?: string }>) {
    const { pool } = this.context;
    return withStore(() =>
      verify(pool, from === undefined ? undefined : BigInt(from), to === undefined ? undefined : BigInt(to)),
    );
  }

  private page(events: StoredEvent[], filter: EventFilter, head: string) {
    const items = events.filter((event) => matches(event, filter)).slice(0, filter.limit);
    return { items, scanned: items.at(-1)?.position ?? filter.after, head };
  }
}

function matches({ type, meta }: StoredEvent, filter: EventFilter): boolean {
  return (
    (filter.type === undefined || type === filter.type) && (filter.actor === undefined || meta.actor === filter.actor)
  );
}

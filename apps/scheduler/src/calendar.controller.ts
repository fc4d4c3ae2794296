import { Controller } from '@nestjs/common';
import { Answers, subjects, type CalendarCard, type Committed, type OnOne, type Request } from '#bus';
import {
  calendar,
  calendarId,
  fold,
  streamParts,
  type CalendarCommand,
  type CalendarEvent,
  type CalendarSettings,
} from '#domain';
import { handle, withStore, type StoredEvent } from '#ledger';
import { committed, Context, metaOf } from '#service';

type Answer = Promise<Committed<CalendarEvent>>;
type Shown = Promise<Committed<CalendarEvent> & { card: CalendarCard }>;

/** Blackout calendars, by name. They are few: a list folds them all. */
@Controller()
export class CalendarController {
  constructor(private readonly context: Context) {}

  @Answers(subjects.defineCalendar)
  define({ data, meta }: Request<CalendarSettings>): Shown {
    return this.shown(calendarId(data.name), { type: 'DefineCalendar', meta: metaOf(meta), data });
  }

  @Answers(subjects.reviseCalendar)
  revise({ data: { id, ...data }, meta }: Request<OnOne & { change: Partial<CalendarSettings> }>): Shown {
    return this.shown(id, { type: 'ReviseCalendar', meta: metaOf(meta), data });
  }

  @Answers(subjects.retireCalendar)
  retire({ data: { id, any }, meta }: Request<OnOne>): Answer {
    return this.order(id, { type: 'RetireCalendar', meta: metaOf(meta), data: { any } });
  }

  @Answers(subjects.listCalendars)
  async list(_request: Request<Record<string, never>>): Promise<CalendarCard[]> {
    const { ledger, pool } = this.context;
    const text = `select stream from event where stream > 'calendar-' and stream < 'calendar.' and version = 1 order by position`;
    const { rows } = await withStore(() => pool.query<{ stream: string }>({ name: 'calendar-streams', text }));
    const histories = await Promise.all(rows.map(({ stream }) => ledger.read(stream)));
    return histories.flatMap((history, i) => {
      const card = cardOf(streamParts(rows[i]!.stream).id, history);
      return card ? [card] : [];
    });
  }

  /** With the calendar as the order left it: one that is repeated by its key is answered so whatever became of the calendar. */
  private async shown(id: string, command: CalendarCommand): Shown {
    const answer = await this.order(id, command);
    const history = await this.context.ledger.read(answer.stream);
    return { ...answer, card: cardOf(id, history.slice(0, answer.version))! };
  }

  private async order(id: string, command: CalendarCommand): Answer {
    return committed(await handle(this.context.ledger, calendar, id, command));
  }
}

function cardOf(id: string, history: StoredEvent[]): CalendarCard | null {
  const { settings, owner } = fold(calendar, history as unknown as CalendarEvent[]);
  return settings && { id, owner, ...settings };
}

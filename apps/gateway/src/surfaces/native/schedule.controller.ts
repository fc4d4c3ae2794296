import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { type z } from 'zod';
import { subjects, type CalendarCard } from '#bus';
import { calendarBody, scheduleOf, type CalendarSettings } from '#domain';
import { Caller, hasRight } from '../../caller.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { findProcess } from '../../rows.js';
import { emptyBody, listOf } from './native.shapes.js';
import {
  calendarChange,
  nativeCalendar,
  nativePause,
  pauseBody,
  preview,
  previewBody,
  rangeOf,
  tick,
  ticksQuery,
} from './schedule.shapes.js';

type List<S extends z.ZodType> = Promise<{ items: z.infer<S>[]; next: string | null }>;

/** RFC 3339 has four digits for a year. */
const lastWritable = new Date('9999-12-31T23:59:59.999Z');

/** When things are due, what that came to, and what keeps them from firing. */
@Controller()
export class NativeScheduleController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/v1/schedule/preview', {
    policy: 'session',
    summary: 'The next instants of a trigger, in words too, with what the clocks do to them',
    body: previewBody,
    answer: preview,
  })
  preview(@Req() request: FastifyRequest): z.infer<typeof preview> {
    const { trigger, count, from } = bodyOf(previewBody, request);
    const schedule = scheduleOf(trigger);
    const next: z.infer<typeof preview>['next'] = [];
    let at: Date | null = from ? new Date(from) : new Date();
    while (next.length < count && (at = schedule.next(at)) && at <= lastWritable)
      next.push({ at: at.toISOString(), note: schedule.note(at) });
    return { words: schedule.words, next };
  }

  @Route('GET', '/api/v1/processes/:id/ticks', {
    policy: 'processes:read',
    summary: 'What each due instant came to, oldest first: fired, skipped or held, and why',
    query: ticksQuery,
    answer: listOf(tick),
  })
  async ticks(@Req() request: FastifyRequest): List<typeof tick> {
    const query = queryOf(ticksQuery, request);
    const { id } = await findProcess(this.caller, request, paramOf(request), query.after);
    const asked = { process: id, limit: query.limit, ...rangeOf(query, new Date()) };
    const items = await this.caller.send(request, subjects.listTicks, asked);
    return { items, next: items.length === query.limit ? items.at(-1)!.at : null };
  }

  @Route('GET', '/api/v1/pause', {
    policy: 'processes:read',
    summary: 'Whether everything is paused',
    answer: nativePause,
  })
  async pause(@Req() request: FastifyRequest): Promise<z.infer<typeof nativePause>> {
    const found = await this.caller.send(request, subjects.getPause, {});
    if (!found) return { paused: false, reason: null, since: null, until: null, by: null };
    const { reason, from: since, to: until, by } = found;
    return { paused: true, reason, since, until, by };
  }

  @Route('POST', '/api/v1/pause', {
    policy: 'schedule:pause',
    summary: 'Keeps every trigger of every process from firing, until an instant or until it is ended',
    body: pauseBody,
    answer: nativePause,
  })
  async begin(@Req() request: FastifyRequest): Promise<z.infer<typeof nativePause>> {
    const { reason, until } = bodyOf(pauseBody, request);
    const order = { reason, until: until && new Date(until).toISOString() };
    await this.caller.send(request, subjects.beginPause, order);
    return this.pause(request);
  }

  @Route('DELETE', '/api/v1/pause', {
    policy: 'schedule:pause',
    summary: 'Lets triggers fire again',
    answer: nativePause,
  })
  async end(@Req() request: FastifyRequest): Promise<z.infer<typeof nativePause>> {
    bodyOf(emptyBody, request);
    await this.caller.send(request, subjects.endPause, {});
    return this.pause(request);
  }

  @Route('POST', '/api/v1/calendars', {
    policy: 'calendars:write',
    summary: 'Defines a blackout calendar, which processes name in policies.blackouts',
    status: 201,
    body: calendarBody,
    answer: nativeCalendar,
  })
  async define(@Req() request: FastifyRequest): Promise<CalendarCard> {
    const settings = bodyOf(calendarBody, request);
    return (await this.caller.send(request, subjects.defineCalendar, settings)).card;
  }

  @Route('GET', '/api/v1/calendars', {
    policy: 'processes:read',
    summary: 'Blackout calendars',
    answer: listOf(nativeCalendar),
  })
  async list(@Req() request: FastifyRequest): List<typeof nativeCalendar> {
    return { items: await this.caller.send(request, subjects.listCalendars, {}), next: null };
  }

  @Route('PATCH', '/api/v1/calendars/:id', {
    policy: 'calendars:write',
    summary: 'Changes a calendar; what is under way by then is not decided anew',
    body: calendarChange,
    answer: nativeCalendar,
  })
  async revise(@Req() request: FastifyRequest): Promise<CalendarCard> {
    const given = bodyOf(calendarChange, request);
    const change = JSON.parse(JSON.stringify(given)) as Partial<CalendarSettings>;
    const order = { id: paramOf(request), any: hasRight(request, 'any:write'), change };
    return (await this.caller.send(request, subjects.reviseCalendar, order)).card;
  }

  @Route('DELETE', '/api/v1/calendars/:id', {
    policy: 'calendars:write',
    summary: 'Retires a calendar: it blocks nothing any more',
    status: 204,
  })
  async retire(@Req() request: FastifyRequest): Promise<void> {
    const order = { id: paramOf(request), any: hasRight(request, 'any:write') };
    await this.caller.send(request, subjects.retireCalendar, order);
  }
}

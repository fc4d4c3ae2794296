import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects } from '#bus';
import { Caller, ownOnly } from '../../caller.js';
import { queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { activityLog, logShape, logsQuery, type ActivityLog } from './logs.shapes.js';

/** The activity log: one's own entries, newest first; admins see all. */
@Controller()
export class TaskLogsController {
  constructor(private readonly caller: Caller) {}

  @Route('GET', '/api/logs', {
    policy: 'runs:read',
    summary: 'The activity log, newest first, and how many entries there are',
    query: logsQuery,
    answer: z.object({ logs: z.array(activityLog), total: z.int() }),
  })
  logs(@Req() request: FastifyRequest): Promise<{ logs: ActivityLog[]; total: number }> {
    return this.page(request);
  }

  @Route('GET', '/api/activity-logs', {
    policy: 'runs:read',
    summary: 'The activity log, newest first, as a bare array',
    query: logsQuery,
    answer: z.array(activityLog),
  })
  async activityLogs(@Req() request: FastifyRequest): Promise<ActivityLog[]> {
    return (await this.page(request)).logs;
  }

  private async page(request: FastifyRequest): Promise<{ logs: ActivityLog[]; total: number }> {
    const filter = { ...queryOf(logsQuery, request), ...ownOnly(request), after: this.caller.heard };
    const { entries, total } = await this.caller.see(request, subjects.listActivity, filter);
    return { logs: entries.map(logShape), total };
  }
}

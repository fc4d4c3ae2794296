import { Controller, Req, Res } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Refusal } from '#domain';
import { Context } from '#service';
import { hasRight } from '../caller.js';
import { describeApi } from '../openapi.js';
import { Route } from '../route.js';

export const version = '0.1.0';

@Controller()
export class PagesController {
  private description: object | null = null;

  constructor(private readonly context: Context) {}

  @Route('GET', '/', { policy: 'public', summary: 'Where people start', status: 302 })
  start(@Res({ passthrough: true }) reply: FastifyReply): void {
    void reply.header('location', '/docs');
  }

  @Route('GET', '/api/v1/openapi.json', {
    policy: 'public',
    summary: 'This description',
    answer: z.looseObject({ openapi: z.literal('3.1.0') }),
  })
  openapi(): object {
    return (this.description ??= describeApi(version, this.context.config.RUNLEDGER_JOBS_PREFIX));
  }

  /** For whoever may read metrics, or holds `RUNLEDGER_METRICS_TOKEN`. */
  @Route('GET', '/metrics', {
    policy: 'public',
    summary: 'Prometheus metrics of this process',
    produces: ['text/plain'],
    refuses: ['unauthenticated'],
  })
  async metrics(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    const { config, metrics } = this.context;
    const token = config.RUNLEDGER_METRICS_TOKEN;
    const scraper = token !== undefined && request.headers.authorization === `Bearer ${token}`;
    if (!scraper && !(request.session && hasRight(request, 'metrics:read'))) {
      throw new Refusal('unauthenticated', 'UNAUTHENTICATED', 'Unauthorized');
    }
    void reply.header('content-type', metrics.registry.contentType);
    return metrics.text();
  }
}

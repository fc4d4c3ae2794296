import { createServer, type Server } from 'node:http';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The process's Prometheus registry and the measures that every service takes. */
export class Metrics {
  readonly registry = new Registry();
  readonly flushes = new Counter({
    name: 'runledger_flushes_total',
    help: 'Group commits',
    registers: [this.registry],
  });
  readonly events = new Counter({
    name: 'runledger_events_appended_total',
    help: 'Events appended by this process',
    registers: [this.registry],
  });
  readonly requests = new Histogram({
    name: 'runledger_http_request_seconds',
    help: 'HTTP requests by surface, method and status class',
    labelNames: ['surface', 'method', 'status'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [this.registry],
  });
  readonly running = new Gauge({
    name: 'runledger_runs_running',
    help: 'Runs in hand of this executor',
    registers: [this.registry],
  });
  readonly lag = new Gauge({
    name: 'runledger_view_lag_events',
    help: 'Events between the ledger and a read model',
    labelNames: ['view'] as const,
    registers: [this.registry],
  });

  constructor(service: string) {
    this.registry.setDefaultLabels({ service });
    // The event loop's lag is looked at ten times a second: a hundred times, as is usual, was three quarters of what an idle process cost.
    collectDefaultMetrics({ register: this.registry, prefix: 'runledger_', eventLoopMonitoringPrecision: 100 });
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}

/** A service without HTTP of its own answers `/metrics`, `/livez` and `/readyz` on loopback. */
export async function serveOps(port: number, metrics: Metrics, ready: () => Promise<boolean>): Promise<Server> {
  const server = createServer((request, response) => {
    void (async () => {
      if (request.url === '/metrics') {
        response.setHeader('content-type', metrics.registry.contentType).end(await metrics.text());
      } else if (request.url === '/livez') response.end('ok\n');
      else if (request.url === '/readyz') response.writeHead((await ready()) ? 200 : 503).end();
      else response.writeHead(404).end();
    })();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return server;
}

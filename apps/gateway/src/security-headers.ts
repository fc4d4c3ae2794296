import { ServerResponse, IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';

/** Swagger's page brings its own inline start; nothing else does. */
const contentSecurityPolicy = {
  directives: {
    defaultSrc: ["'self'"],
    scriptSrc: ["'self'", "'unsafe-inline'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:'],
    connectSrc: ["'self'", 'ws:', 'wss:'],
    objectSrc: ["'none'"],
    frameAncestors: ["'none'"],
    upgradeInsecureRequests: null,
  },
};

/** What matters where no document is made of an answer (OWASP, REST Security Cheat Sheet). */
const ofData = new Set([
  'cross-origin-resource-policy',
  'strict-transport-security',
  'x-content-type-options',
  'x-frame-options',
]);

/** What helmet sets on an answer, asked once: nothing in it depends on the request, and computing it took a tenth of one. */
export function securityHeaders(strictTransportSecurity: boolean): Record<'pages' | 'data', Record<string, string>> {
  const answer = new ServerResponse(new IncomingMessage(new Socket()));
  helmet({ contentSecurityPolicy, strictTransportSecurity })(answer.req, answer, (error?: unknown) => {
    if (error) throw error;
  });
  const pages = answer.getHeaders() as Record<string, string>;
  const data = Object.fromEntries(Object.entries(pages).filter(([name]) => ofData.has(name)));
  return { pages, data: { 'content-security-policy': "default-src 'none';frame-ancestors 'none'", ...data } };
}

import { z } from 'zod';
import { paths, type Surface } from '../../surface.js';

const refusal = z.object({ error: z.string() }).meta({ id: 'ViewerRefusal' });

/** Batch Process Info Viewer: `{"error": text}`, malformed input is 400. */
export const viewerSurface: Surface = {
  name: 'viewer',
  owns: paths('/api/auth', '/api/processes'),
  statuses: { malformed: 400 },
  body: ({ message }) => ({ error: message }),
  bodyShape: () => refusal,
};

/** `YYYY-MM-DD HH:MM:SS` in UTC. */
export const viewerDate = (iso: string | null): string | null => (iso ? iso.slice(0, 19).replace('T', ' ') : null);

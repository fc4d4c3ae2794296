export type PauseEvent =
  | { type: 'PauseBegun'; data: { reason: string; until: string | null; by: string; at: string } }
  | { type: 'PauseEnded'; data: { by: string; at: string } };

export type LimitEvent = { type: 'LimitChanged'; data: { most: number; by: string; at: string } };

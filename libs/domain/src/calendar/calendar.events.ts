/** From an instant up to another one (ISO, UTC); or each time that `cron` names in `zone`, `for` so long. */
export type Window = { from: string; to: string } | { cron: string; zone: string; for: string };

export interface CalendarSettings {
  name: string;
  description: string | null;
  windows: Window[];
}

export type CalendarEvent =
  | { type: 'CalendarDefined'; data: CalendarSettings & { owner: string; by: string; at: string } }
  | { type: 'CalendarRevised'; data: CalendarSettings & { by: string; at: string } }
  | { type: 'CalendarRetired'; data: { by: string; at: string } };

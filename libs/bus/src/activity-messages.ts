export interface ActivityFilter {
  /** Entries of these owners' processes only; everybody's when left out. */
  owner?: string;
  type?: string;
  limit: number;
  offset: number;
  after?: string;
}
/** One line of the activity log; `metadata` is JSON. */
export interface ActivityEntry {
  id: string;
  owner: string;
  type: string;
  process: string;
  run: string | null;
  at: string;
  message: string;
  metadata: string;
}

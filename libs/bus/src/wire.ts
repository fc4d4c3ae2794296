/** What travels: text between processes, and within one a copy that says what the text would. */
export type Carried = string | object;

/** What moves messages between services. Everything above it is the same for both transports. */
export interface Wire {
  readonly kind: 'in-process' | 'nats';
  connect(): Promise<void>;
  close(): Promise<void>;
  /** Resolves when what was served and listened to until now is reached by others. */
  settled(): Promise<void>;
  stats(): { connected: boolean; version: string | null };
  /** At once: what is done to the value afterwards does not travel. */
  carry(value: object): Carried;
  /** The reply, or the lack of one, is settled in `Calls` under this id. */
  request(wireName: string, carried: Carried, callId: number): void;
  publish(wireName: string, text: string): void;
  /** One instance of the group gets each message. The returned function takes what is under way, then no more. */
  serve(wireName: string, group: string, handle: RequestHandler): () => Promise<void>;
  /** Every instance gets each message. */
  listen(wireName: string, hear: (text: string) => void): () => void;
}

export type RequestHandler = (carried: Carried, respond: (carried: Carried) => void) => void;

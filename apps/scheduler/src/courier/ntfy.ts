import { type Outbound, post } from '#service';
import { Unsent, type Channel, type Message } from './notice.receiver.js';

/** Longer than 4,096 bytes a message is an attachment, which most servers refuse. */
const mostBytes = 4_000;
/** It will not be taken later either; credentials (401, 403) and limits (408, 429) may be mended. */
const isFinal = (status: number) => status >= 400 && status < 500 && ![401, 403, 408, 429].includes(status);

function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= mostBytes) return text;
  // A character that is cut in two is left out.
  return `${new TextDecoder().decode(bytes.subarray(0, mostBytes), { stream: true })}…`;
}

/** A topic of an ntfy server, by its address; a name and password in that are for basic authentication. */
export class Ntfy implements Channel {
  readonly name = 'ntfy';
  private readonly url: URL;
  private readonly authorization: Record<string, string>;

  constructor(
    private readonly outbound: Outbound,
    url: string,
    token: string | undefined,
  ) {
    this.url = new URL(url);
    const { username, password } = this.url;
    const basic = [username, password].map(decodeURIComponent).join(':');
    const credential = token ? `Bearer ${token}` : `Basic ${Buffer.from(basic).toString('base64')}`;
    this.authorization = token || username ? { authorization: credential } : {};
  }

  /** Whoever knows a topic reads it, and an answer names it: nothing of that is recorded. */
  private withoutTopic(answer: string): string {
    const topics = this.url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    return topics.reduce((text, topic) => text.replaceAll(topic, '…'), answer);
  }

  async send({ title, text, urgency, tags }: Message, signal: AbortSignal): Promise<string> {
    const headers = {
      'content-type': 'text/plain; charset=utf-8',
      ...{ 'x-title': title, 'x-priority': urgency, 'x-tags': tags.join(',') },
      ...this.authorization,
    };
    const { status, body } = await post(this.outbound, this.url, { headers, body: cut(text), signal });
    if (status >= 200 && status <= 299) return String(status);
    throw new Unsent(this.withoutTopic(`${status} ${body}`.trim()), isFinal(status));
  }
}

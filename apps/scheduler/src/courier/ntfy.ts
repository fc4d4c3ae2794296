import { type Outbound, post } from '#service';
import { Unsent, type Channel, type Message } from './notice.receiver.js';

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

  async send({ title, text, urgency, tags }: Message, signal: AbortSignal): Promise<string> {
    const headers = {
      'content-type': 'text/plain; charset=utf-8',
      ...{ 'x-title': title, 'x-priority': urgency, 'x-tags': tags.join(',') },
      ...this.authorization,
    };
    const { status, body } = await post(this.outbound, this.url, { headers, body: text, signal });
    const answer = `${status} ${body}`.trim();
    if (status < 200 || status > 299) throw new Unsent(answer);
    return answer;
  }
}

import { isIP } from 'node:net';
import { createTransport } from 'nodemailer';
import { type Outbound, within } from '#service';
import { Unsent, type Channel, type Message } from './notice.receiver.js';

export interface Letter {
  from: string;
  to: string;
}

const patience = 10_000;
const waits = { connectionTimeout: patience, greetingTimeout: patience, socketTimeout: patience, dnsTimeout: patience };

/** This letter is refused for good (RFC 5321, 4.2.2); credentials (53x) and a server that will not talk at all may be mended. */
const isFinal = (code: number, command: unknown) => code >= 550 && command !== 'CONN';

/** Mail over one SMTP server: `smtp://` with STARTTLS where it is offered, `smtps://` encrypted from the start. */
export class Mail implements Channel {
  readonly name = 'mail';
  private readonly url: URL;

  constructor(
    private readonly outbound: Outbound,
    url: string,
    private readonly letter: Letter,
  ) {
    this.url = new URL(url);
  }

  async send({ title, text, urgency }: Message, signal: AbortSignal): Promise<string> {
    const priority = urgency === 'low' ? 'low' : urgency === 'default' ? 'normal' : 'high';
    const ending = AbortSignal.any([signal, AbortSignal.timeout(3 * patience)]);
    const transport = await within(ending, this.transport(ending));
    try {
      const mail = { ...this.letter, subject: `${title}: ${text}`.slice(0, 200), text, priority } as const;
      const { response } = await within(ending, transport.sendMail(mail));
      return response.slice(0, 1_024);
    } catch (error) {
      const { responseCode, command } = error as { responseCode?: unknown; command?: unknown };
      if (typeof responseCode === 'number')
        throw new Unsent(`refused: ${responseCode}`, isFinal(responseCode, command));
      throw error;
    } finally {
      transport.close();
    }
  }

  private async transport(signal: AbortSignal) {
    const { hostname, protocol, username, password } = this.url;
    const secure = protocol === 'smtps:';
    const port = Number(this.url.port) || (secure ? 465 : 25);
    const host = await this.outbound.addressOf(hostname, port, signal);
    const auth = username ? { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } } : {};
    // Connected to by its address, known by its name.
    const tls = isIP(hostname) || hostname.startsWith('[') ? {} : { tls: { servername: hostname } };
    const closed = { disableFileAccess: true, disableUrlAccess: true };
    return createTransport({ host, port, secure, ...auth, ...tls, ...waits, ...closed });
  }
}

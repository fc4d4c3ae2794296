/** AES-256-GCM: each value has a key of its own, and that key is wrapped by a master key. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export interface Envelope {
  /** The value's key, under the master key. */
  wrapped: Buffer;
  /** The value, under its own key. */
  value: Buffer;
}

const [ivBytes, tagBytes] = [12, 16];

/** `place` says where the value belongs: in any other it cannot be opened. */
export function seal(master: Buffer, id: string, place: string, text: string): Envelope {
  const own = randomBytes(32);
  return { wrapped: wrap(master, id, own), value: encrypt(own, aadOf(id, place), Buffer.from(text)) };
}

export function open(master: Buffer, id: string, place: string, { wrapped, value }: Envelope): string {
  return decrypt(unwrap(master, id, wrapped), aadOf(id, place), value).toString('utf8');
}

export const wrap = (master: Buffer, id: string, own: Buffer): Buffer => encrypt(master, aadOf(id, 'key'), own);
export const unwrap = (master: Buffer, id: string, wrapped: Buffer): Buffer =>
  decrypt(master, aadOf(id, 'key'), wrapped);

const aadOf = (id: string, place: string) => Buffer.from(`runledger secret 1\n${id}\n${place}`);

function encrypt(key: Buffer, aad: Buffer, clear: Buffer): Buffer {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes }).setAAD(aad);
  const sealed = [cipher.update(clear), cipher.final()];
  return Buffer.concat([iv, cipher.getAuthTag(), ...sealed]);
}

function decrypt(key: Buffer, aad: Buffer, sealed: Buffer): Buffer {
  const iv = sealed.subarray(0, ivBytes);
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes }).setAAD(aad);
  decipher.setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes));
  return Buffer.concat([decipher.update(sealed.subarray(ivBytes + tagBytes)), decipher.final()]);
}

/** A secret as events and queues hold it: `sealed` names the row in which it stands encrypted. */
export interface Sealed {
  sealed: string;
}

/** In a revision: the variable keeps the value that it has. */
export interface Kept {
  secret: true;
}

/** A secret as it travels from the door to the store: nobody reads it without the master key. Bytes are base64. */
export interface SealedSecret {
  id: string;
  /** The master key that `wrapped` was made with. */
  keyId: string;
  /** The value's own key, encrypted. */
  wrapped: string;
  value: string;
}

const secretName = /TOKEN|PASSWORD|SECRET|KEY|CREDENTIAL/i;

/** Variables of such a name hold secrets, whether or not they are marked so. */
export const isSecretName = (name: string): boolean => secretName.test(name);

/** Never to be answered: sealed, or named so. */
export const isSecret = (name: string, value: unknown): boolean => typeof value !== 'string' || isSecretName(name);

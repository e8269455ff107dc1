import type { Secret } from '../secret.js'

/** What a source hands over, as found: any order, any repeats, any key encoding. It decides nothing. */
export interface IssuedMaterial {
  /** The source's own name for it: certbot's lineage, acme.sh's main domain. Absent: the certificate's first name. */
  readonly name?: string | undefined
  /** Text that holds the leaf and its intermediates somewhere in it. Bytes that are not text: one character a byte. */
  readonly certificates: string
  /** Text that holds the private key somewhere in it; it may be the same text. */
  readonly privateKey: Secret
}

/** More than any chain needs, and little enough to be read whole. */
export const materialLimit = 1024 * 1024

import type { IssuedMaterial } from '../certificate/material.js'
import type { Secret } from '../secret.js'

/** Where fresh material comes from: files, a renewer's hook, our own issuer. It hands over and decides nothing. */
export interface Source {
  /** @throws CertError FILE_UNREADABLE, INPUT_TOO_LARGE, or what keeps it from issuing */
  collect(signal: AbortSignal): Promise<IssuedMaterial>
}

/** What was issued, and by whom. */
export interface IssuedByCa {
  readonly certificates: string
  readonly privateKey: Secret
  readonly directory: string
  readonly ca: string
  /** To be called when it is in the state folder, with the id of its version. */
  stored(id: string): Promise<void>
  /** To be called when nothing more hangs on the order: until then a later run fetches it again. */
  kept(): Promise<void>
}

/** What is renewed. */
export interface Previous {
  /** Its key, PEM, where it is at hand and may be used once more. */
  readonly key: Secret | undefined
  /** The certificate by its id (RFC 9773), and the CA that issued it. */
  readonly replaces: { readonly id: string; readonly directory: string } | undefined
}

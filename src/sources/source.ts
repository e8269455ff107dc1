import type { IssuedMaterial } from '../certificate/material.js'

/** Where fresh material comes from: files, a renewer's hook, our own issuer. It hands over and decides nothing. */
export interface Source {
  /** @throws CertError FILE_UNREADABLE, INPUT_TOO_LARGE, or what keeps it from issuing */
  collect(signal: AbortSignal): Promise<IssuedMaterial>
}

import type { CredentialSource } from '../aliyun/credentials.js'
import { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import type { HttpsPlace } from './https-place.js'

/** What places reach the world with; none of it is part of what they are. */
export interface HttpsContext {
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly trace?: ((line: string) => void) | undefined
}

export type HttpsSettings = Readonly<Record<string, string | boolean>>

/**
 * Makes a place out of what was given, or of what was recorded in an earlier run. The domains of a bucket that are meant
 * stand in `domains`, with commas between them.
 * @throws CertError USAGE
 */
export const createHttpsPlace = (kind: string, _settings: HttpsSettings, _context: HttpsContext): HttpsPlace => {
  throw new CertError('INTERNAL', `not built yet: ${kind}`)
}

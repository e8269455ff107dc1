import type { CertError } from './errors.js'
import type { Secret } from './secret.js'

export interface StoredObject {
  readonly key: string
  readonly body: string | Secret
  readonly contentType: string
  readonly cacheControl?: string | undefined
  /** Kept beside the object and handed out with it; ASCII, names in lower case. */
  readonly metadata: Readonly<Record<string, string>>
  /** `create` leaves an object that is already there alone; `replace` overwrites it. */
  readonly write: 'create' | 'replace'
}

/** What an attempt to look at an object found out. Being refused is an answer, not a failure. */
export type Look<T> =
  | { readonly status: 'found'; readonly value: T }
  | { readonly status: 'absent' }
  | {
      readonly status: 'refused'
      /** What was said to that, where somebody said something. */
      readonly error?: CertError
    }

export interface ObjectHead {
  /** As given when it was stored. */
  readonly metadata: Readonly<Record<string, string>>
  /** Hexadecimal, lower case, where the place tells it. */
  readonly md5: string | undefined
}

export interface PutOptions {
  /** Readable by the owner alone, whatever the place's own rule is. May need a right beyond that of putting. */
  readonly ownerOnly?: boolean
}

/** A place that keeps objects by key. Only `put` can be relied upon: the right to do anything else may be missing. */
export interface ObjectStore {
  /** How a reader would name the place, e.g. `oss://my-ssl-certs`. */
  readonly name: string
  /** @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING */
  put(object: StoredObject, options: PutOptions, signal: AbortSignal): Promise<'written' | 'exists'>
  read(key: string, signal: AbortSignal): Promise<Look<string>>
  head(key: string, signal: AbortSignal): Promise<Look<ObjectHead>>
  /** The names of the folders directly below a prefix that is empty or ends in a slash. */
  folders(prefix: string, signal: AbortSignal): Promise<Look<readonly string[]>>
  /** May anybody read what is in it, as far as can be known? */
  exposure(signal: AbortSignal): Promise<'public' | 'private' | 'unknown'>
}

import type { CertError } from '../errors.js'
import type { HttpsWish } from './https-wish.js'

/** A place whose HTTPS can be forced, loosened and put back: a bucket, or a domain of CDN or DCDN. */
export interface HttpsPlace {
  readonly kind: 'oss' | 'cdn' | 'dcdn'
  /** Which place it is, whatever options it is reached with. */
  readonly identity: string
  /** As the reader would name it: `bucket my-site`, `CDN domain www.example.com`. */
  readonly name: string
  /** What it takes, besides credentials, to make this place again another day. */
  readonly settings: Readonly<Record<string, string | boolean>>
  /** The host names that visitors come by. @throws CertError */
  hosts(signal: AbortSignal): Promise<readonly string[]>
  /**
   * What stands there now.
   * @param scope `plain HTTP`: only what says whether that is answered, whatever keeps the rest from being read
   * @throws CertError: it cannot be found out
   */
  read(signal: AbortSignal, scope?: 'plain HTTP'): Promise<HttpsState>
  /** What has to be done, in order; nothing where all is as it is to be. No network, no clock. @throws CertError USAGE */
  plan(aim: HttpsAim, state: HttpsState): HttpsPlan
  /** The parts that hold a certificate: one that stands there is newer than one that was taken away. */
  certificatesIn(parts: HttpsParts): readonly string[]
  /** Do these two texts of a part mean the same, although they are not equal? */
  isAlike?(part: string, one: string | null, other: string | null): boolean
  /** What else would break if plain HTTP ended here, one sentence each: asked for before, and shown as warnings. */
  hazards(signal: AbortSignal): Promise<readonly string[]>
}

export type HttpsAim =
  | { readonly verb: 'enforce'; readonly wish: HttpsWish }
  | { readonly verb: 'relax' }
  | { readonly verb: 'disable' }
  /** Byte for byte what was read before: parts that are not named stay as they are. */
  | { readonly verb: 'restore'; readonly parts: HttpsParts }

/**
 * What a place holds, part by part, such as the text of a bucket's policy or the arguments of one function of CDN: byte
 * for byte, or spelled so that equal texts mean equal things; null where there is none.
 */
export type HttpsParts = Readonly<Record<string, string | null>>

export interface HttpsState {
  readonly parts: HttpsParts
  /** Parts that could not be read, and why: nothing of them is changed, and nothing is known of them. */
  readonly unread: Readonly<Record<string, CertError>>
  readonly facts: HttpsFacts
}

/** The same for people and programs; null where a thing is not known, or not to be had at this kind of place. */
export interface HttpsFacts {
  /** Does it answer by HTTPS under its own domains? */
  readonly https: boolean | null
  /** What becomes of plain HTTP. */
  readonly plainHttp: 'answered' | 'redirected' | 'denied' | null
  /** Of the redirect. */
  readonly redirectCode: number | null
  /** Such as `1.2`; null where the product's own choice holds, too. */
  readonly tls: readonly string[] | null
  readonly hsts: HstsFacts | null
  readonly http2: boolean | null
  readonly gzip: boolean | null
  readonly brotli: boolean | null
}

export interface HstsFacts {
  /** In seconds. */
  readonly maxAge: number
  readonly includeSubdomains: boolean
  readonly preload: boolean
}

export interface HttpsPlan {
  readonly changes: readonly HttpsChange[]
  /** What a person should know, one sentence each. */
  readonly warnings: readonly string[]
}

export interface HttpsChange {
  /** The part that is changed. */
  readonly part: string
  /** Imperative, one line: this is what a dry run prints. */
  readonly does: string
  readonly before: string | null
  /** What `read` gives for the part when it is done. */
  readonly after: string | null
  /** Safe to run twice. @throws CertError */
  run(signal: AbortSignal): Promise<void>
}

export const tlsVersions = ['1.0', '1.1', '1.2', '1.3'] as const
export type TlsVersion = (typeof tlsVersions)[number]

export const redirectCodes = [301, 308] as const
export type RedirectCode = (typeof redirectCodes)[number]

/** What HTTPS is to be like where it is enforced. What a place does not have is passed over there. */
export interface HttpsWish {
  /** Sorted, without repeats, and never without 1.2 or 1.3. */
  readonly tls: readonly TlsVersion[]
  readonly redirect: RedirectCode
  /** Undefined leaves HSTS as it is. */
  readonly hsts: HstsWish | undefined
  /** Each is switched on where it is true, and left as it is where not. */
  readonly http2: boolean
  readonly gzip: boolean
  readonly brotli: boolean
}

export interface HstsWish {
  /** In seconds; undefined begins with `firstMaxAge`, and leaves a longer one as it is. */
  readonly maxAge: number | undefined
  readonly includeSubdomains: boolean
  readonly preload: boolean
}

/** In seconds. Browsers hold a site to it whatever becomes of it: one that begins small can be taken back. */
export const firstMaxAge = 300

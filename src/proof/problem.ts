export type ProblemKind =
  | 'not-covered'
  | 'other-certificate'
  | 'expired'
  | 'not-yet-valid'
  | 'chain-incomplete'
  | 'untrusted'
  | 'refused'
  | 'unreachable'
  | 'timeout'
  | 'unresolved'

/** As Chromium calls it; other browsers have words of their own for the same. */
export type BrowserError =
  | 'ERR_CERT_DATE_INVALID'
  | 'ERR_CERT_COMMON_NAME_INVALID'
  | 'ERR_CERT_AUTHORITY_INVALID'
  | 'ERR_CERT_REVOKED'
  | 'ERR_CERT_INVALID'
  | 'ERR_SSL_PROTOCOL_ERROR'
  | 'ERR_SSL_UNRECOGNIZED_NAME_ALERT'
  | 'ERR_SSL_VERSION_OR_CIPHER_MISMATCH'
  | 'ERR_CONNECTION_REFUSED'
  | 'ERR_CONNECTION_RESET'
  | 'ERR_CONNECTION_TIMED_OUT'
  | 'ERR_CONNECTION_FAILED'
  | 'ERR_ADDRESS_UNREACHABLE'
  | 'ERR_NAME_NOT_RESOLVED'

/** What is likely behind something, and what to do about it. */
export interface Explanation {
  readonly cause: string
  readonly hint: string
}

/** Why a host is not served as it ought to be. */
export interface Problem extends Explanation {
  readonly kind: ProblemKind
  /** What a browser shows; absent where it would show the page. */
  readonly browser?: BrowserError | undefined
  /** What is the case, without capital or full stop, and without host and address. */
  readonly sentence: string
}

const inputCodes = [
  'USAGE',
  'CONFIG_INVALID',
  'HOOK_INCOMPLETE',
  'FILE_UNREADABLE',
  'INPUT_TOO_LARGE',
  'INPUT_IS_DER',
  'INPUT_IS_PKCS7',
  'INPUT_IS_PKCS12',
  'PEM_UNREADABLE',
  'CERTIFICATE_MISSING',
  'CERTIFICATE_UNREADABLE',
  'CERTIFICATE_IS_CA',
  'CERTIFICATE_EXPIRED',
  'CERTIFICATE_NOT_YET_VALID',
  'LEAF_AMBIGUOUS',
  'CHAIN_BROKEN',
  'KEY_MISSING',
  'KEY_UNREADABLE',
  'KEY_UNSUPPORTED',
  'KEY_DAMAGED',
  'KEY_ENCRYPTED',
  'KEY_AMBIGUOUS',
  'KEY_MISMATCH',
  'NAME_INVALID',
  'NAME_NOT_COVERED',
  'WILDCARD_NEEDS_DNS',
  'TERMS_NOT_AGREED',
  'ARCHIVE_UNUSABLE',
] as const

/**
 * What was given cannot be used: the command line, the configuration or the certificate material. Nothing has been
 * touched when one of these is thrown, and trying again without a change is of no use.
 */
export type InputCode = (typeof inputCodes)[number]

/** Something that was tried did not work. */
export type FailureCode =
  | 'CREDENTIALS_MISSING'
  | 'CLOUD_REFUSED'
  | 'CLOUD_UNAVAILABLE'
  | 'CERTIFICATE_UNTRUSTED'
  | 'KEY_WOULD_BE_PUBLIC'
  | 'LAYOUT_IS_PUBLIC'
  | 'LAYOUT_MISSING'
  | 'LAYOUT_INVALID'
  | 'LAYOUT_MIXED'
  | 'FOLDER_UNWRITABLE'
  | 'STATE_UNUSABLE'
  | 'LOCKED'
  | 'OVERTAKEN'
  | 'PROGRAM_FAILED'
  | 'CA_REFUSED'
  | 'CA_UNAVAILABLE'
  | 'ORDER_BUDGET_SPENT'
  | 'CHALLENGE_FAILED'
  | 'SOLVER_FAILED'
  | 'NOT_SERVED'
  | 'HTTP_NEEDED'
  | 'HTTPS_CHANGED_SINCE'
  | 'ALERT_FAILED'
  | 'INTERRUPTED'
  | 'INTERNAL'

export type ErrorCode = InputCode | FailureCode

/** What the other side said of it, in its own words' code, for its support and for scripts. */
export interface VendorRefusal {
  readonly code: string
  readonly requestId?: string | undefined
}

export interface CertErrorOptions {
  readonly hint?: string | undefined
  readonly cause?: unknown
  readonly vendor?: VendorRefusal | undefined
  /** True when the same request may succeed later without anybody changing anything. */
  readonly passing?: boolean
  /** How long the other side asked to be left alone, in ms. */
  readonly retryAfter?: number | undefined
}

/**
 * The one error of this house. `message` is one sentence without capital or full stop that names the thing;
 * `hint` says what to do about it. No secret is ever in either, nor in the cause.
 */
export class CertError extends Error {
  override readonly name = 'CertError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly vendor: VendorRefusal | undefined
  readonly passing: boolean
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, message: string, options: CertErrorOptions = {}) {
    super(
      // What users and vendors wrote may hold line breaks and escape sequences.
      message.replace(/\p{Cc}+/gu, ' '),
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.hint = options.hint
    this.vendor = options.vendor
    this.passing = options.passing ?? false
    this.retryAfter = options.retryAfter
  }
}

/** Is the input to blame, rather than something that was tried? Then nothing has been touched. */
export const isInputError = (error: CertError): boolean => (inputCodes as readonly string[]).includes(error.code)

/** The `code` of an error that Node threw (`ENOENT`, `ECONNRESET`, …), if it is one. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Any thrown thing as a CertError; what is not one already is a fault of ours and says so. */
export const toCertError = (error: unknown): CertError =>
  error instanceof CertError
    ? error
    : new CertError('INTERNAL', `unexpected failure: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
        hint: 'this is a fault in acme-oss; run it again with --verbose and report what it prints',
      })

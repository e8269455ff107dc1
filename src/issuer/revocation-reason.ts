// As numbered by RFC 5280, 5.3.1: those that CAs take from whom a certificate was issued to.
const codes = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
} as const

export type RevocationReason = keyof typeof codes

export const revocationReasons = Object.keys(codes) as readonly RevocationReason[]

/** Undefined for `unspecified`, which is said by saying nothing. */
export const reasonCode = (reason: RevocationReason): number | undefined => codes[reason] || undefined

import type { CertificateBundle } from '../certificate/bundle.js'
import type { Outcome, Validity } from './target.js'

/**
 * Why `bundle` must not replace any of `others` (what stands there, what is known to be wanted there), or undefined if
 * it may: an older one never replaces a newer one. Older means that it both begins and ends earlier; a short-lived
 * certificate may well replace a long-lived one.
 */
export const newerThan = (bundle: CertificateBundle, others: readonly (Validity | undefined)[]): string | undefined => {
  const newer = others.find(
    (other) => other !== undefined && bundle.notBefore < other.notBefore && bundle.notAfter < other.notAfter,
  )
  return newer === undefined
    ? undefined
    : `a newer certificate is there (${day(newer.notBefore)} to ${day(newer.notAfter)}); --allow-older replaces it`
}

/** What has come of it where a newer one stays. @param newer as `newerThan` says it */
export const standBack = (newer: string): Outcome => ({ status: 'unchanged', note: newer, standsBack: true })

/**
 * A sentence for when `bundle` and what stands in its place have no name in common: two certificates that were given
 * one place push each other out.
 */
export const strangerIn = (
  place: string,
  bundle: CertificateBundle,
  standing: { readonly names: readonly string[] } | undefined,
): string | undefined =>
  standing === undefined || standing.names.some((name) => bundle.names.includes(name))
    ? undefined
    : `${place} holds the certificate of another site (${standing.names.slice(0, 3).join(', ')}): give each a place of its own (--prefix, --directory), or they push each other out`

const day = (date: Date): string => date.toISOString().slice(0, 10)

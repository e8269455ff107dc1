import tls from 'node:tls'
import { type CertificateBundle, fullchain } from '../certificate/bundle.js'
import { haveSameIssuer, type Trust, trustOf } from '../certificate/trusted.js'
import { type Certificate, firstCertificate } from '../certificate/x509.js'
import { CertError } from '../errors.js'
import type { OnRecord } from './target.js'

/** What is to be kept to where the certificate of a CA that browsers do not know is to replace another. */
export interface TrustRule {
  /** Replace a trusted one by it. */
  readonly allowUntrusted: boolean
  readonly now: () => Date
  /** The roots that browsers trust, PEM; those that Node brings, where it is absent. */
  readonly roots?: (() => readonly string[]) | undefined
}

/** One that stands where another is about to be put. */
export interface Replaced {
  /** As the reader would name where it stands. */
  readonly place: string
  /** What is known of it already; undefined where it may not be looked at. */
  readonly standing: { readonly notAfter?: Date | undefined } | undefined
  /** Where to find it with its intermediates, PEM: the first that tells is believed. */
  readonly ways: readonly Way[]
}

export type Way = () => Promise<string | undefined>

/**
 * Refuses to replace a trusted certificate by one that is not, such as that of a CA for trials. One that is trusted pays
 * for none of the ways.
 * @returns what to say where it could not be found out
 * @throws CertError CERTIFICATE_UNTRUSTED
 */
export const requireTrust = async (
  bundle: CertificateBundle,
  { allowUntrusted, now, roots = publicRoots }: TrustRule,
  { place, standing, ways }: Replaced,
): Promise<string[]> => {
  const isOver = (notAfter: Date | undefined): boolean => notAfter !== undefined && notAfter <= now()
  if (allowUntrusted || isOver(standing?.notAfter) || trustIn(bundle, roots) === 'trusted') return []
  for (const way of ways) {
    const pem = await way()
    const leaf = pem === undefined ? undefined : firstCertificate(pem)
    if (pem === undefined || leaf === undefined) continue
    if (isOver(leaf.notAfter) || haveSameIssuer(pem, fullchain(bundle))) return []
    const trust = trustOf(pem, roots())
    if (trust === 'trusted') throw untrusted(bundle, place, leaf)
    if (trust === 'untrusted') return []
  }
  // Where it may not be looked at, that is nothing new.
  if (standing === undefined) return []
  return [
    `${place}: the certificate that stood there was replaced by one that browsers do not trust (issued by ${issuerOf(bundle)}); whether they trusted the old one could not be found out`,
  ]
}

/** A certificate with this fingerprint as this machine has it on record. */
export const recordedAs =
  (onRecord: OnRecord | undefined, fingerprint: string | undefined): Way =>
  async () =>
    fingerprint === undefined ? undefined : await onRecord?.withFingerprint(fingerprint)

const publicRoots = (): readonly string[] => tls.rootCertificates

const known = new WeakMap<CertificateBundle, Trust>()

/** The same for every place that it goes to. */
const trustIn = (bundle: CertificateBundle, roots: () => readonly string[]): Trust => {
  const before = known.get(bundle)
  if (before !== undefined) return before
  const found = trustOf(fullchain(bundle), roots())
  known.set(bundle, found)
  return found
}

const untrusted = (bundle: CertificateBundle, place: string, standing: Certificate): CertError =>
  new CertError(
    'CERTIFICATE_UNTRUSTED',
    `the certificate issued by ${issuerOf(bundle)} does not lead to a root that browsers trust, and that of ${place} does (issued by ${issuerOf(standing)}, until ${standing.notAfter.toISOString().slice(0, 10)})`,
    {
      hint: `${
        bundle.chain === '' ? 'give its intermediates as well (fullchain.pem), or deploy one' : 'deploy one'
      } of a CA that browsers know; --allow-untrusted replaces it all the same, and acme-oss forget ${bundle.name} gives it up`,
    },
  )

const issuerOf = ({ issuer }: Pick<Certificate, 'issuer'>): string => issuer || 'nobody with a name'

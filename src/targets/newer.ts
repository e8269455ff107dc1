import type { CertificateBundle } from '../certificate/bundle.js'
import { firstCertificate } from '../certificate/x509.js'

/**
 * Why `bundle` must not replace the certificate in `standing`, or undefined if it may: an older one never replaces a
 * newer one. Older means that it both begins and ends earlier; a short-lived certificate may well replace a long-lived
 * one. What is not a certificate need not be kept.
 */
export const newerThan = (bundle: CertificateBundle, standing: string | undefined): string | undefined => {
  const there = standing === undefined ? undefined : firstCertificate(standing)
  if (there === undefined || bundle.notBefore >= there.notBefore || bundle.notAfter >= there.notAfter) return undefined
  return `a newer certificate is there (${day(there.notBefore)} to ${day(there.notAfter)}); --allow-older replaces it`
}

const day = (date: Date): string => date.toISOString().slice(0, 10)

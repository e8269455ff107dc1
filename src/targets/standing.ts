import type { Certificate } from '../certificate/x509.js'
import type { StandingCertificate } from './target.js'

export const toStanding = (
  { fingerprint, notBefore, notAfter }: Certificate,
  id?: string | undefined,
): StandingCertificate => ({ fingerprint: fingerprint.sha256, notBefore, notAfter, id })

// What the stub says of when to renew (RFC 9773, 4).
import type { Certificates, IssuedCertificate } from './certificates.js'
import type { Manners, RenewalWindow } from './manners.js'
import { type CaFault, problem, withRetryAfter } from './reply.js'

const hour = 3_600_000

export const renewalInfo = (certId: string, certificates: Certificates, { renewalInfo: told }: Manners): CaFault => {
  // What is said of all certificates is said of those that are not known, too.
  if (typeof told === 'object') return answer(told)
  if (told === 'kill' || told === 'kill-after' || told === 'hang') return told
  if (told === 'absent') return problem(404, 'malformed', 'there is no renewal information')
  if (!/^[\w-]+\.[\w-]+$/.test(certId)) return problem(400, 'malformed', `${certId} is no certID`)
  const certificate = certificates.byCertId(certId)
  if (certificate === undefined) return problem(404, 'malformed', `no certificate ${certId}`)
  return answer(told === 'the last third' ? lastThird(certificate) : told(certificate))
}

const answer = (told: RenewalWindow | CaFault): CaFault => {
  if (typeof told === 'string' || !('start' in told)) return told
  const { start, end, explanationURL, retryAfter = 6 * 3600 } = told
  return withRetryAfter({ status: 200, body: { suggestedWindow: { start, end }, explanationURL } }, retryAfter)
}

/** What is revoked should have been renewed already. */
const lastThird = ({ notBefore, notAfter, revoked }: IssuedCertificate): RenewalWindow => {
  if (revoked !== undefined) return { start: new Date(Date.now() - 2 * hour), end: new Date(Date.now() - hour) }
  const [from, length] = [notBefore.getTime(), notAfter.getTime() - notBefore.getTime()]
  return { start: new Date(from + (length * 2) / 3), end: new Date(from + length * 0.7) }
}

import { leadsTo, placeNames, stoppedOrProtected, whyUnseen } from './dns-path.js'
import type { Evidence } from './evidence.js'
import type { Explanation } from './problem.js'

/** Why there is nothing for `host` where it was looked for. */
export const whyNothingHosted = (evidence: Evidence): Explanation => {
  const { host, expectation } = evidence
  const place = placeOf(evidence)
  if (expectation.hostedOn !== undefined) {
    const unseen = whyUnseen(host, place, expectation.hostedOn)
    if (unseen !== undefined) return unseen
    if (place === expectation.hostedOn) return notThereYet(evidence)
  }
  switch (place) {
    case 'cdn':
      return {
        cause: `CDN answers for ${host} and has no certificate for it; what is hosted on OSS is not seen there`,
        hint: `deploy to CDN as well, with --cdn-domain ${host} (or --dcdn-domain, if it is a DCDN domain)`,
      }
    case 'oss':
      return {
        cause: `OSS answers for ${host} and has no certificate for it; what CDN was given is not seen there`,
        hint: `deploy to OSS as well, with --oss-cname ${host}, or point the CNAME of ${host} at CDN`,
      }
    case 'stopped':
    case 'protection':
      return stoppedOrProtected(place, host)
    case 'unknown':
      return {
        cause: `no certificate is hosted for ${host} where it leads, and another answers in its place`,
        hint: `see where DNS of ${host} leads: deploy to OSS with --oss-cname, or to CDN with --cdn-domain`,
      }
  }
}

/** Why another certificate for `host` is served than the one expected. */
export const whyAnother = (evidence: Evidence): Explanation => {
  const { host, expectation } = evidence
  const place = placeOf(evidence)
  const unseen = expectation.hostedOn === undefined ? undefined : whyUnseen(host, place, expectation.hostedOn)
  if (unseen !== undefined) return unseen
  if (place === expectation.hostedOn) return notThereYet(evidence)
  switch (place) {
    case 'cdn':
      return {
        cause: `CDN still serves the certificate from before, or the new one is hosted on OSS alone, where DNS of ${host} does not lead`,
        hint: `CDN takes some minutes: wait with --verify-timeout 600; if that does not help, deploy with --cdn-domain ${host}`,
      }
    case 'oss':
      return {
        cause: `OSS still serves the certificate from before, or the new one was given to CDN alone, where DNS of ${host} does not lead`,
        hint: `OSS takes up to an hour: wait with --verify-timeout 3600; if that does not help, deploy with --oss-cname ${host}`,
      }
    case 'stopped':
    case 'protection':
      return stoppedOrProtected(place, host)
    case 'unknown':
      return {
        cause: 'the certificate from before is still served, or a server answers that nothing was deployed to',
        hint: `wait with --verify-timeout 600; if that does not help, see where DNS of ${host} leads`,
      }
  }
}

/** What is served gives away who answers where DNS does not: OSS and CDN have certificates for their own names. */
const placeOf = ({ leadsTo: place, handshake }: Evidence): Evidence['leadsTo'] => {
  if (place !== 'unknown' || handshake.kind !== 'presented') return place
  return leadsTo(handshake.certificates[0].names.map((name) => name.replace(/^\*\./, '')))
}

const notThereYet = ({ host, leadsTo }: Evidence): Explanation => ({
  cause: `${placeNames[leadsTo]} does not serve for ${host} yet what it was given`,
  hint:
    leadsTo === 'oss'
      ? 'OSS takes from a minute to an hour: wait with --verify-timeout 3600'
      : 'CDN takes some minutes: wait with --verify-timeout 600',
})

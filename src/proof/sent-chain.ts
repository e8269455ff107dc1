import { X509Certificate } from 'node:crypto'
import type { Certificate } from '../certificate/x509.js'
import type { Presented } from './evidence.js'
import type { Expectation } from './expectation.js'

/**
 * How what was sent stands to what clients need. `differs`: intermediates that were expected are not there, but what is
 * there leads to a root all the same.
 */
export type SentChain = 'complete' | 'incomplete' | 'differs'

export const sentChain = (
  { certificates: [leaf, ...others], trusted }: Pick<Presented, 'certificates' | 'trusted'>,
  { chain = [] }: Pick<Expectation, 'chain'>,
): SentChain => {
  const hasIssuer = others.some((one) => leaf.issuedBy(one))
  const sent = new Set(others.map((one) => one.fingerprint.sha256))
  if (chain.every((sha256) => sent.has(sha256))) {
    // A root that signs leaves itself need not be sent, and then they do not name a place to fetch it from.
    const isLacking = trusted !== true && !hasIssuer && namesItsIssuer(leaf)
    return isLacking ? 'incomplete' : 'complete'
  }
  // Trust without the leaf's issuer comes from a trust store that holds intermediates, which a browser's does not.
  return trusted === true && hasIssuer ? 'differs' : 'incomplete'
}

/** Does it say where its issuer's certificate can be fetched (RFC 5280, 4.2.2.1)? Public CAs' leaves do. */
const namesItsIssuer = ({ der }: Certificate): boolean =>
  /^CA Issuers - URI:/m.test(new X509Certificate(der).infoAccess ?? '')

import { covers, whyUncovered } from '../certificate/names.js'
import type { Certificate } from '../certificate/x509.js'
import type { Evidence, Presented } from './evidence.js'
import { refused, silent, unreachable } from './no-handshake.js'
import { whyAnother, whyNothingHosted } from './placement.js'
import type { Explanation, Problem } from './problem.js'
import { sentChain } from './sent-chain.js'

export type Verdict =
  | { readonly served: true; readonly warning?: string | undefined }
  | { readonly served: false; readonly problem: Problem }

/** Is what ought to be served served? Pure. */
export const judge = (evidence: Evidence): Verdict => {
  const { handshake } = evidence
  switch (handshake.kind) {
    case 'presented':
      return judgePresented(evidence, handshake)
    case 'refused':
      return { served: false, problem: refused(evidence, handshake.code) }
    case 'unreachable':
      return { served: false, problem: unreachable(evidence, handshake.code) }
    case 'timeout':
      return { served: false, problem: silent(evidence, handshake.connected) }
  }
}

const judgePresented = (evidence: Evidence, presented: Presented): Verdict => {
  const { sha256 } = evidence.expectation
  const fault = firstFault(evidence, presented)
  const isAnother = sha256 !== undefined && presented.certificates[0].fingerprint.sha256 !== sha256
  // One that is not for this host says more than that it is another.
  if (fault?.kind === 'not-covered') return { served: false, problem: fault }
  if (isAnother) return { served: false, problem: another(evidence, presented, sha256, fault) }
  if (fault !== undefined) return { served: false, problem: fault }
  return { served: true, warning: warningOf(evidence, presented) }
}

/** In the order in which they mislead: a default certificate is often expired or private as well. */
const firstFault = (evidence: Evidence, presented: Presented): Problem | undefined => {
  const { host, now, expectation } = evidence
  const [leaf] = presented.certificates
  if (!covers(leaf.names, host)) return notCovered(evidence, leaf)
  if (now > leaf.notAfter) return expired(evidence, leaf)
  if (now < leaf.notBefore) return notYetValid(leaf, now)
  if (sentChain(presented, expectation) === 'incomplete') return incomplete(presented)
  if (presented.trusted === true) return undefined
  const { reason } = presented.trusted
  if (dateReasons.includes(reason)) return expiredAbove(presented, now)
  // Private CAs are deployed on purpose.
  if (expectation.sha256 !== undefined && rootReasons.includes(reason)) return undefined
  return untrusted(leaf, reason)
}

const dateReasons = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']

/** All that is missing is a root that this machine knows. */
const rootReasons = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]

const notCovered = (evidence: Evidence, leaf: Certificate): Problem => {
  const { host } = evidence
  const isAtWrongLevel = leaf.names.some((name) => name.startsWith('*.') && `.${host}`.endsWith(name.slice(1)))
  return {
    kind: 'not-covered',
    browser: 'ERR_CERT_COMMON_NAME_INVALID',
    sentence: `the certificate served is for ${someOf(leaf.names)}, not for ${host}`,
    ...(isAtWrongLevel
      ? {
          cause: whyUncovered(leaf.names, host),
          hint: `have a certificate issued for ${host} as well, and deploy it where ${host} leads`,
        }
      : whyNothingHosted(evidence)),
  }
}

const another = (
  evidence: Evidence,
  { certificates: [leaf], trusted }: Presented,
  sha256: string,
  fault: Problem | undefined,
): Problem => ({
  kind: 'other-certificate',
  browser: fault?.browser ?? (trusted === true ? undefined : 'ERR_CERT_AUTHORITY_INVALID'),
  sentence: `another certificate is served: ${leaf.fingerprint.sha256.slice(0, 8)}, valid until ${minuteOf(leaf.notAfter)}, instead of ${sha256.slice(0, 8)}`,
  ...whyAnother(evidence),
})

const expired = ({ expectation, now }: Evidence, leaf: Certificate): Problem => ({
  kind: 'expired',
  browser: 'ERR_CERT_DATE_INVALID',
  sentence: `the certificate served expired on ${minuteOf(leaf.notAfter)}`,
  cause:
    expectation.sha256 === undefined
      ? 'no newer one was deployed where this host leads, or it is not served yet'
      : 'the certificate expected is that one itself',
  hint: `renew it and deploy the new one${unlessClock(now)}`,
})

const notYetValid = (leaf: Certificate, now: Date): Problem => ({
  kind: 'not-yet-valid',
  browser: 'ERR_CERT_DATE_INVALID',
  sentence: `the certificate served is valid from ${minuteOf(leaf.notBefore)} on only`,
  cause: 'it was deployed too early, or the clock of this machine is late',
  hint: `wait until then, or deploy one that is in force${unlessClock(now)}`,
})

const unlessClock = (now: Date): string => `; should it not be ${minuteOf(now)} now, set the clock of this machine`

/** What OpenSSL calls expired and is not the leaf. */
const expiredAbove = ({ certificates: [, ...others] }: Presented, now: Date): Problem => {
  const out = others.find(({ notBefore, notAfter }) => now > notAfter || now < notBefore)
  const which =
    out === undefined ? 'a certificate above the one served' : `the certificate of ${out.subject}, sent above it,`
  return {
    kind: 'expired',
    browser: 'ERR_CERT_DATE_INVALID',
    sentence: `${which} is not in force`,
    cause: 'the chain that was deployed is an old one, or the clock of this machine is wrong',
    hint: `deploy the certificate with the chain that its CA gives out today${unlessClock(now)}`,
  }
}

const incomplete = ({ certificates: [leaf, ...others] }: Presented): Problem => ({
  kind: 'chain-incomplete',
  browser: 'ERR_CERT_AUTHORITY_INVALID',
  sentence: others.some((one) => leaf.issuedBy(one))
    ? 'the chain served is incomplete: intermediates that belong to it are not sent'
    : `the chain served is incomplete: the certificate of ${leaf.issuer || 'its issuer'} is not sent`,
  cause: 'the certificate was deployed without its intermediates; some browsers fetch them, phones and programs do not',
  hint: 'deploy the full chain (fullchain.pem, not cert.pem)',
})

const untrusted = (leaf: Certificate, reason: string): Problem => ({
  kind: 'untrusted',
  browser: rootReasons.includes(reason)
    ? 'ERR_CERT_AUTHORITY_INVALID'
    : reason === 'CERT_REVOKED'
      ? 'ERR_CERT_REVOKED'
      : 'ERR_CERT_INVALID',
  ...whyUntrusted(leaf, reason),
})

const whyUntrusted = (leaf: Certificate, reason: string): Explanation & { readonly sentence: string } => {
  if (!rootReasons.includes(reason)) {
    return {
      sentence: `the certificate served is not trusted (${reason})`,
      cause: 'clients refuse certificates of this kind, whoever issued them',
      hint: 'have a new one issued by a CA that browsers know',
    }
  }
  const issuer = leaf.issuer || 'nobody with a name'
  return {
    sentence: leaf.issuedBy(leaf)
      ? 'the certificate served is signed by itself'
      : `the certificate served was issued by ${issuer}, which is not trusted`,
    cause: 'it comes from a private CA, a test CA or from nobody',
    hint: 'have one issued by a CA that browsers know; where a private CA is meant, name its root in NODE_EXTRA_CA_CERTS or the certificate with --expect-sha256',
  }
}

const warningOf = ({ expectation }: Evidence, presented: Presented): string | undefined => {
  const [leaf] = presented.certificates
  if (presented.trusted !== true) {
    return `the CA of the certificate served (${leaf.issuer || 'without a name'}) is not known to this machine: browsers that do not know it either warn of it`
  }
  if (sentChain(presented, expectation) === 'differs') {
    return 'not all of the intermediates that were deployed are sent; those that are lead to a trusted root'
  }
  return undefined
}

const someOf = (names: readonly string[]): string => {
  if (names.length === 0) return 'no name at all'
  const shown = names.slice(0, 3).join(', ')
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown
}

/** In UTC, to the minute. */
const minuteOf = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')}Z`

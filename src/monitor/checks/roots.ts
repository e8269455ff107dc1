import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import tls from 'node:tls'
import { type Check, type Outcome, type OutcomeOf, ok, unknown, warning } from '../check.js'
import type { Situation } from '../situation.js'

/** Roots that the certificates of OSS, CDN and the APIs lead to, now or later, by what their subject says. */
const wanted: readonly (readonly [name: string, subject: RegExp])[] = [
  ['R1', /^CN=GlobalSign Root CA$/m],
  ['R3', /^OU=GlobalSign Root CA - R3$/m],
  ['R6', /^OU=GlobalSign Root CA - R6$/m],
  ['R46', /^CN=GlobalSign Root R46$/m],
]

// Those of Debian, Red Hat, Alpine and SUSE.
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
  '/etc/ssl/ca-bundle.pem',
]

export const rootChecks = ({ process: { environment } }: Situation): readonly Check[] => [
  {
    id: 'roots-node',
    about: 'roots',
    what: 'the roots that Node.js trusts',
    run: async () => rootsOutcome('Node.js', await trustedByNode(environment), 'install a newer release of Node.js'),
  },
  {
    id: 'roots-system',
    about: 'roots',
    what: 'the roots that other programs of this machine trust',
    run: () => systemOutcomes(),
  },
]

/** What it brings, and what it was told to add. Newer releases can be told to go by the system's as well. */
const trustedByNode = async (environment: Situation['process']['environment']): Promise<readonly string[]> => {
  const ask = (tls as { getCACertificates?: (which: 'default') => string[] }).getCACertificates
  if (ask !== undefined) return ask('default')
  const more = environment['NODE_EXTRA_CA_CERTS']
  const added = more ? await readFile(more, 'utf8').catch(() => '') : ''
  return [...tls.rootCertificates, ...certificatesIn(added)]
}

const systemOutcomes = async (): Promise<Outcome | readonly OutcomeOf[]> => {
  for (const file of bundles) {
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    return rootsOutcome(file, certificatesIn(text), 'update the package ca-certificates, then: update-ca-certificates')
  }
  return unknown('this machine has no file of trusted roots where other programs mostly look')
}

const certificatesIn = (text: string): string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []

/** Of the roots that are wanted, those that are not there. */
export const missingRoots = (pems: readonly string[]): string[] => {
  const subjects = pems.flatMap((pem) => subjectOf(pem) ?? [])
  return wanted.filter(([, subject]) => !subjects.some((one) => subject.test(one))).map(([name]) => name)
}

const subjectOf = (pem: string): string | undefined => {
  try {
    return new X509Certificate(pem).subject
  } catch {
    return undefined
  }
}

/**
 * Browsers and Node.js have dropped R1 since 2025, on purpose: what was cross-signed by it leads to R3 as well. Only
 * where R3 lacks, too, is that a loss.
 */
export const rootsOutcome = (who: string, pems: readonly string[], hint: string): Outcome => {
  const missing = missingRoots(pems)
  const lacking = missing.filter((name) => name !== 'R1' || missing.includes('R3'))
  const all = wanted.map(([name]) => name).filter((name) => !missing.includes(name))
  return lacking.length === 0
    ? ok(`${who} has the roots GlobalSign ${all.join(', ')}`)
    : warning(
        `${who} lacks GlobalSign ${lacking.map((name) => `Root ${name}`).join(', ')}, which certificates of OSS lead to now or later`,
        hint,
      )
}

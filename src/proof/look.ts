import { isIP } from 'node:net'
import { type Address, addressesOf } from './addresses.js'
import { type ConnectTo, connectsOf } from './connect-to.js'
import { type DnsPath, followDns, type LeadsTo } from './dns-path.js'
import type { Expectation } from './expectation.js'
import { type Handshake, shakeHands } from './handshake.js'
import { isWithoutRoute, unresolved } from './no-handshake.js'
import type { Problem } from './problem.js'
import { sentChain } from './sent-chain.js'
import { judge, type Verdict } from './verdict.js'

export interface LookOptions {
  /** 443 where it is absent. */
  readonly port?: number | undefined
  readonly expectation?: Expectation | undefined
  /** Dialled instead of the addresses that the host has. */
  readonly connect?: readonly ConnectTo[] | undefined
  /** As `parseNameServer` gives it: asked instead of the system's. */
  readonly nameServer?: string | undefined
  /** For one name to be resolved, and for one handshake, in ms. */
  readonly timeout?: number | undefined
  readonly now: () => Date
  readonly signal: AbortSignal
}

/** What one address presents, whatever one thinks of it. */
export interface ServedCertificate {
  readonly names: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  readonly issuer: string
  readonly sha1: string
  readonly sha256: string
  /** How many were sent above it. */
  readonly above: number
  readonly trusted: boolean
  readonly chainComplete: boolean
}

export interface AddressProof extends Address {
  readonly verdict: Verdict
  /** Null where none was presented. */
  readonly certificate: ServedCertificate | null
  /** This machine has no way to it, which says nothing of the host. */
  readonly isBeyondUs: boolean
  readonly ms: number
}

export interface HostProof {
  readonly host: string
  readonly port: number
  readonly leadsTo: LeadsTo
  readonly cnames: readonly string[]
  readonly addresses: readonly AddressProof[]
  /** By every address that can be reached from here. */
  readonly served: boolean
  /** That of the first address that has one, or that there is no address. */
  readonly problem?: Problem | undefined
  readonly warnings: readonly string[]
}

const defaultTimeout = 10_000

/**
 * One look at what `host` (as `canonicalName` spells it) serves, at all its addresses side by side.
 * @throws CertError INTERRUPTED
 */
export const lookAt = async (host: string, options: LookOptions): Promise<HostProof> => {
  const { port = 443, expectation = {}, connect = [], timeout = defaultTimeout, nameServer, signal, now } = options
  const [path, found] = await Promise.all([
    isDnsBypassed(host, options) ? nowhere : followDns(host, { nameServer, signal }),
    addressesOf(host, { port, connect, nameServer, timeout, signal }),
  ])
  const about = { host, port, ...path }
  if (found.kind === 'unresolved') {
    return { ...about, addresses: [], served: false, problem: unresolved(host, found.name, found.code), warnings: [] }
  }
  const looks = await Promise.all(
    found.addresses.map(async (at) => {
      const start = performance.now()
      const handshake = await shakeHands({ host, at, timeout, signal })
      const ms = Math.round(performance.now() - start)
      const verdict = judge({ host, handshake, expectation, leadsTo: path.leadsTo, now: now() })
      const certificate = servedCertificate(handshake, expectation)
      return { ...at, verdict, certificate, isBeyondUs: isBeyondUs(handshake, at.address), ms }
    }),
  )
  return { ...about, addresses: looks, ...summary(looks) }
}

const nowhere: DnsPath = { leadsTo: 'unknown', cnames: [] }

/** Where DNS leads says nothing of a place that was named instead, unless somebody wants to know. */
const isDnsBypassed = (host: string, { connect = [], nameServer }: LookOptions): boolean =>
  connectsOf(host, connect).length > 0 && nameServer === undefined

const summary = (looks: readonly AddressProof[]): Pick<HostProof, 'served' | 'problem' | 'warnings'> => {
  const isServedSomewhere = looks.some(({ verdict }) => verdict.served)
  const warnings = new Set<string>()
  const problems: Problem[] = []
  for (const { verdict, address, isBeyondUs } of looks) {
    if (verdict.served) {
      if (verdict.warning !== undefined) warnings.add(verdict.warning)
    } else if (isServedSomewhere && isBeyondUs) {
      warnings.add(`${address} cannot be reached from this machine, which has no IPv6, and was not looked at`)
    } else problems.push(verdict.problem)
  }
  return { served: problems.length === 0, problem: problems[0], warnings: [...warnings] }
}

const isBeyondUs = (handshake: Handshake, address: string): boolean =>
  handshake.kind === 'unreachable' && isIP(address) === 6 && isWithoutRoute(handshake.code)

const servedCertificate = (handshake: Handshake, expectation: Expectation): ServedCertificate | null => {
  if (handshake.kind !== 'presented') return null
  const [leaf, ...others] = handshake.certificates
  return {
    names: leaf.names,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    issuer: leaf.issuer,
    ...leaf.fingerprint,
    above: others.length,
    trusted: handshake.trusted === true,
    chainComplete: sentChain(handshake, expectation) !== 'incomplete',
  }
}

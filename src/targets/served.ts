import type { CertificateBundle } from '../certificate/bundle.js'
import type { Certificate } from '../certificate/x509.js'
import { type ConnectTo, connectsOf } from '../proof/connect-to.js'
import { followDns, type HostedOn, whyUnseen } from '../proof/dns-path.js'
import { expectationOf } from '../proof/expectation.js'
import type { AddressProof, HostProof } from '../proof/look.js'
import { lookAt } from '../proof/look.js'
import { servedChain } from '../proof/served-chain.js'
import { waitUntilServed } from '../proof/wait-until-served.js'
import type { DeployTarget, Outcome, Step, TargetSettings, Validity } from './target.js'

/** How a run looks at what is served. */
export interface Looking {
  readonly connect: readonly ConnectTo[]
  /** Asked instead of the system's. */
  readonly nameServer?: string | undefined
  /** How long to wait until it is served, in ms. */
  readonly limit: number
  /** Told after each look. */
  readonly onLook?: ((proof: HostProof, elapsed: number) => void) | undefined
}

export interface LookingContext {
  readonly now: () => Date
  readonly looking?: Looking | undefined
}

/** One look, where nothing else was said. */
const once: Looking = { connect: [], limit: 0 }

interface Served {
  readonly id: string
  readonly host: string
  readonly bundle: CertificateBundle
  readonly hostedOn: HostedOn
  /** A newer one will not do: that is what was rolled back from. */
  readonly isExact: boolean
}

/** No option of anybody's: `rollback` asks for it. */
export const isExact = (settings: TargetSettings): boolean => settings['exactly'] === true

/** Looks until the host serves the certificate, at all of its addresses; a newer one is as good, unless told otherwise. */
export const servedStep = (
  { id, host, bundle, hostedOn, isExact: isNewerRefused }: Served,
  { now, looking = once }: LookingContext,
): Step => ({
  id,
  does: `see that ${host} serves it`,
  waits: true,
  run: async (signal): Promise<Outcome> => {
    const proof = await waitUntilServed(host, {
      expectation: expectationOf(bundle, hostedOn),
      connect: looking.connect,
      nameServer: looking.nameServer,
      limit: looking.limit,
      onLook: looking.onLook,
      isEnough: (look) => !isNewerRefused && isServedOrNewer(look, bundle),
      now,
      signal,
    })
    const { addresses, served, warnings } = proof
    const where = addresses.flatMap(({ address, isBeyondUs }) => (isBeyondUs ? [] : [address])).join(', ')
    return { status: 'unchanged', note: served ? `served by ${where}` : `a newer one is served by ${where}`, warnings }
  },
})

/** Does every address that can be reached serve it, or a newer one of which a browser would not complain? */
export const isServedOrNewer = ({ addresses }: Pick<HostProof, 'addresses'>, wanted: Validity): boolean => {
  const reached = addresses.filter(({ isBeyondUs }) => !isBeyondUs)
  return reached.length > 0 && reached.every((one) => one.verdict.served || isNewer(one, wanted))
}

const isNewer = ({ verdict, certificate }: AddressProof, wanted: Validity): boolean =>
  !verdict.served &&
  verdict.problem.kind === 'other-certificate' &&
  // What a browser says of it is what is wrong with it beside being another.
  verdict.problem.browser === undefined &&
  certificate !== null &&
  certificate.notBefore > wanted.notBefore &&
  certificate.notAfter > wanted.notAfter

/** Does the host serve this very certificate at this moment? */
export const isServedNow = async (
  host: string,
  bundle: CertificateBundle,
  { now, looking = once }: LookingContext,
  signal: AbortSignal,
): Promise<boolean> => {
  const { connect, nameServer } = looking
  const { addresses } = await lookAt(host, { connect, nameServer, timeout: 5000, now, signal })
  return addresses.length > 0 && addresses.every(({ certificate }) => certificate?.sha256 === bundle.fingerprint.sha256)
}

/** Does the host serve this certificate without the intermediates that belong to it? */
export const sendsBrokenChain = async (
  host: string,
  bundle: CertificateBundle,
  { now, looking = once }: LookingContext,
  signal: AbortSignal,
): Promise<boolean> => {
  const { connect, nameServer } = looking
  const expectation = expectationOf(bundle)
  const { addresses } = await lookAt(host, { expectation, connect, nameServer, timeout: 5000, now, signal })
  return addresses.some(({ verdict }) => !verdict.served && verdict.problem.kind === 'chain-incomplete')
}

/** The certificate that is meant, PEM, with what is sent above it, where the host serves it at this moment. */
export const asItIsServed = (
  host: string,
  isMeant: (leaf: Certificate) => boolean,
  { looking: { connect, nameServer } = once }: LookingContext,
  signal: AbortSignal,
): Promise<string | undefined> => servedChain(host, isMeant, { connect, nameServer, timeout: 2500, signal })

// For what is only a remark, in ms.
const patience = 1000

/**
 * Begins to find out whether DNS of the host leads to where the certificate is hosted, by this target or by one of the
 * others. The answer is a sentence for when it does not; it is not waited for long.
 */
export const beginToFollow = (
  host: string,
  hostedOn: HostedOn,
  others: readonly DeployTarget[],
  { looking = once }: LookingContext,
): (() => Promise<string[]>) => {
  if (connectsOf(host, looking.connect).length > 0) return async () => []
  const given = new AbortController()
  const path = followDns(host, { nameServer: looking.nameServer, signal: given.signal }).catch(() => undefined)
  return async () => {
    const timer = setTimeout(() => given.abort(), patience)
    const leadsTo = (await path)?.leadsTo
    clearTimeout(timer)
    const isThereToo = others.some((other) =>
      leadsTo === 'cdn' ? other.accelerates?.(host) : leadsTo === 'oss' && other.binds?.(host),
    )
    const why = leadsTo && !isThereToo ? whyUnseen(host, leadsTo, hostedOn) : undefined
    return why === undefined ? [] : [`${why.cause}: ${why.hint}`]
  }
}

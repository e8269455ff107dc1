import { writePem } from '../certificate/pem.js'
import type { Certificate } from '../certificate/x509.js'
import { addressesOf } from './addresses.js'
import type { ConnectTo } from './connect-to.js'
import { shakeHands } from './handshake.js'

export interface ServedChainOptions {
  readonly connect: readonly ConnectTo[]
  readonly nameServer?: string | undefined
  /** For the name to be resolved, and for the handshake, in ms. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * The certificate that is meant as `host` sends it, with what it sends above it, PEM; undefined where none of its
 * addresses shows that one.
 * @throws CertError INTERRUPTED
 */
export const servedChain = async (
  host: string,
  isMeant: (leaf: Certificate) => boolean,
  { connect, nameServer, timeout, signal }: ServedChainOptions,
): Promise<string | undefined> => {
  const found = await addressesOf(host, { port: 443, connect, nameServer, timeout, signal })
  if (found.kind === 'unresolved') return undefined
  const handshakes = await Promise.all(found.addresses.map((at) => shakeHands({ host, at, timeout, signal })))
  const sent = handshakes.flatMap((one) => (one.kind === 'presented' ? [one.certificates] : []))
  return sent
    .find(([leaf]) => isMeant(leaf))
    ?.map(({ der }) => writePem('CERTIFICATE', der))
    .join('')
}

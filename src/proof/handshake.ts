import { isIP } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { type Certificate, readCertificate } from '../certificate/x509.js'
import { systemCode } from '../errors.js'
import { interrupted, withDeadline } from '../patience.js'
import type { Address } from './addresses.js'

/** What came of one TLS handshake. */
export type Handshake =
  | {
      readonly kind: 'presented'
      /** As sent, the leaf first: nothing is added from a trust store, nothing put in order. */
      readonly certificates: readonly [leaf: Certificate, ...others: Certificate[]]
      /** `TLSv1.3` */
      readonly protocol: string
      /** By Node's roots and NODE_EXTRA_CA_CERTS; whether the host is covered is another question. */
      readonly trusted: Trust
    }
  /** Connected, and then no handshake: an alert, no TLS at all, or hung up. */
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'unreachable'; readonly code: string }
  /** `connected`: the port took the connection and then said nothing. */
  | { readonly kind: 'timeout'; readonly connected: boolean }

/** `reason` is OpenSSL's: `SELF_SIGNED_CERT_IN_CHAIN`, `CERT_HAS_EXPIRED`, … */
export type Trust = true | { readonly reason: string }

export interface HandshakeOptions {
  /** Sent as the server name, unless it is an address. */
  readonly host: string
  readonly at: Address
  /** In ms. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * One handshake that says which host is meant, and nothing after it.
 * @throws CertError INTERRUPTED
 */
export const shakeHands = async ({ host, at, timeout, signal }: HandshakeOptions): Promise<Handshake> => {
  const handshake = await withDeadline(timeout, signal, (limited) => attempt(host, at, limited))
  if (signal.aborted) throw interrupted()
  return handshake
}

const attempt = (host: string, { address, port }: Address, signal: AbortSignal): Promise<Handshake> =>
  new Promise((resolve) => {
    let connected = false
    const socket = tls.connect({
      host: address,
      port,
      servername: isIP(host) === 0 ? host : '',
      // What is wrong is to be seen, not to be kept from us; nothing is said over this connection.
      rejectUnauthorized: false,
      // Judged against the names of the certificate by `covers`: the reason is to be the chain's alone.
      checkServerIdentity: () => undefined,
    })
    const end = (handshake: Handshake): void => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      resolve(handshake)
    }
    const abort = (): void => end({ kind: 'timeout', connected })
    socket.once('connect', () => {
      connected = true
    })
    socket.once('secureConnect', () => end(presented(socket)))
    socket.on('error', (error) =>
      end({ kind: connected ? 'refused' : 'unreachable', code: systemCode(error) ?? 'UNKNOWN' }),
    )
    // Hanging up in order is no error of the socket's.
    socket.once('close', () => end({ kind: connected ? 'refused' : 'unreachable', code: 'ECONNRESET' }))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
  })

const presented = (socket: TLSSocket): Handshake => {
  const [leaf, ...others] = sentCertificates(socket).map(readable)
  if (leaf === undefined) return { kind: 'refused', code: 'CERTIFICATE_UNREADABLE' }
  return {
    kind: 'presented',
    // One above the leaf that cannot be read is as good as not sent.
    certificates: [leaf, ...others.filter((one) => one !== undefined)],
    protocol: socket.getProtocol() ?? 'unknown',
    trusted: socket.authorized ? true : { reason: reasonOf(socket.authorizationError) },
  }
}

/**
 * As DER. `getPeerCertificate(true)` completes the chain from the trust store and puts it in order;
 * `getPeerX509Certificate().issuerCertificate` is simply the next one that was sent, whoever issued it.
 */
const sentCertificates = (socket: TLSSocket): Buffer[] => {
  const sent: Buffer[] = []
  for (let one = socket.getPeerX509Certificate(); one !== undefined; one = one.issuerCertificate) sent.push(one.raw)
  return sent
}

const readable = (der: Buffer): Certificate | undefined => {
  try {
    return readCertificate(der, 'the certificate served')
  } catch {
    return undefined
  }
}

/** Typed as an Error, it is the code itself in most releases of Node. */
const reasonOf = (error: unknown): string => (typeof error === 'string' ? error : (systemCode(error) ?? 'UNKNOWN'))

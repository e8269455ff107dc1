import { isIP } from 'node:net'
import tls, { type SecureVersion } from 'node:tls'
import { systemCode } from '../errors.js'
import { interrupted, withDeadline } from '../patience.js'
import { type Address, addressesOf } from './addresses.js'
import type { ConnectTo } from './connect-to.js'

/** The versions that are tried one by one, as `openssl s_client -tls1_1` and its like do. */
export const triedVersions = ['1.0', '1.1', '1.2', '1.3'] as const
export type TriedVersion = (typeof triedVersions)[number]

/** `unknown`: nobody answered, so that nothing is said about the version. */
export type VersionAnswer = 'accepted' | 'refused' | 'unknown'

export interface VersionsOptions {
  readonly connect?: readonly ConnectTo[] | undefined
  readonly nameServer?: string | undefined
  /** For one handshake, in ms. */
  readonly timeout?: number | undefined
  readonly signal: AbortSignal
}

export interface VersionsServed {
  readonly host: string
  /** The one address that was asked: all of them are configured alike. Undefined where the host has none. */
  readonly at: Address | undefined
  readonly answers: Readonly<Record<TriedVersion, VersionAnswer>>
}

const names: Readonly<Record<TriedVersion, SecureVersion>> = {
  '1.0': 'TLSv1',
  '1.1': 'TLSv1.1',
  '1.2': 'TLSv1.2',
  '1.3': 'TLSv1.3',
}

const defaultTimeout = 10_000

/**
 * Which versions of TLS a host takes, by one handshake with each.
 * @throws CertError INTERRUPTED
 */
export const versionsOf = async (
  host: string,
  { connect = [], nameServer, timeout = defaultTimeout, signal }: VersionsOptions,
): Promise<VersionsServed> => {
  const found = await addressesOf(host, { port: 443, connect, nameServer, timeout, signal })
  const at = found.kind === 'found' ? found.addresses[0] : undefined
  const tried = await Promise.all(
    triedVersions.map(async (version) => {
      const answer =
        at === undefined
          ? 'unknown'
          : await withDeadline(timeout, signal, (limited) => attempt(host, at, names[version], limited))
      return [version, answer] as const
    }),
  )
  if (signal.aborted) throw interrupted()
  const answers: Record<TriedVersion, VersionAnswer> = {
    '1.0': 'unknown',
    '1.1': 'unknown',
    '1.2': 'unknown',
    '1.3': 'unknown',
  }
  for (const [version, answer] of tried) answers[version] = answer
  return { host, at, answers }
}

const attempt = (
  host: string,
  { address, port }: Address,
  version: SecureVersion,
  signal: AbortSignal,
): Promise<VersionAnswer> =>
  new Promise((resolve) => {
    const socket = tls.connect({
      host: address,
      port,
      servername: isIP(host) === 0 ? host : '',
      minVersion: version,
      maxVersion: version,
      // OpenSSL 3 speaks nothing below 1.2 by itself.
      ciphers: 'DEFAULT:@SECLEVEL=0',
      // Which version is spoken is all that is asked for; nothing is said over this connection.
      rejectUnauthorized: false,
    })
    let connected = false
    const end = (answer: VersionAnswer): void => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      resolve(answer)
    }
    const abort = (): void => end('unknown')
    socket.once('connect', () => {
      connected = true
    })
    socket.once('secureConnect', () => end('accepted'))
    socket.on('error', (error) => end(connected && isRefusal(systemCode(error)) ? 'refused' : 'unknown'))
    // Some hang up instead of saying so.
    socket.once('close', () => end(connected ? 'refused' : 'unknown'))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
  })

/** An alert of the other side, or a connection that it cut off, rather than something of our own. */
const isRefusal = (code: string | undefined): boolean =>
  code === 'ECONNRESET' || code === 'EPROTO' || (code?.startsWith('ERR_SSL_') ?? false)

import { generateKeyPair, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, createServer, type SecureContext } from 'node:tls'
import { promisify } from 'node:util'
import { challengeCertificate } from '../certificate/challenge-certificate.js'
import { unlessAborted } from '../patience.js'
import { listening } from './listening.js'
import { reverseName } from './reverse-name.js'
import type { Challenge, Solver } from './solver.js'

export interface TlsAlpnOptions {
  readonly port: number
  readonly now: () => Date
}

const protocol = 'acme-tls/1'

interface Held {
  readonly challenge: Challenge
  readonly context: SecureContext
  readonly gone: Promise<void>
  /** Ends `gone`. */
  release(): void
}

/** Answers tls-alpn-01 (RFC 8737) with a TLS server of its own, on IPv6 and IPv4, for as long as the orders take. */
export const tlsAlpn = ({ port, now }: TlsAlpnOptions): Solver => {
  // One key does for all: what is proven is the account's digest in the certificate.
  let key: Promise<{ readonly privateKey: KeyObject }> | undefined
  /** By what a CA says in its client hello. */
  const held = new Map<string, Held>()
  const holding = new WeakMap<readonly Challenge[], Promise<void>>()
  let close: (() => Promise<void>) | undefined

  const hold = async (challenge: Challenge, signal: AbortSignal): Promise<void> => {
    const name = serverName(challenge)
    key ??= generate('ec', { namedCurve: 'P-256' })
    const { privateKey } = await key
    const cert = await challengeCertificate(privateKey, challenge.domain, challenge.value, now())
    const context = createSecureContext({
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      cert,
      minVersion: 'TLSv1.2',
    })
    for (let other = held.get(name); other !== undefined; other = held.get(name)) {
      await unlessAborted(other.gone, signal)
    }
    signal.throwIfAborted()
    let release = () => {}
    const gone = new Promise<void>((resolve) => {
      release = resolve
    })
    held.set(name, { challenge, context, gone, release })
  }

  /** A name shows one certificate at a time, and orders may share names: each takes its own in the same order. */
  const holdAll = async (all: readonly Challenge[], signal: AbortSignal): Promise<void> => {
    const sorted = [...all].sort((a, b) => (a.domain < b.domain ? -1 : 1))
    for (const challenge of sorted) await hold(challenge, signal)
  }

  return {
    answers: 'tls-alpn-01',
    needsAll: true,
    takesTurns: true,
    open: async () => {
      const server = createServer({
        // Whoever does not speak it is refused, or hung up on below where nothing was offered at all.
        ALPNProtocols: [protocol],
        minVersion: 'TLSv1.2',
        handshakeTimeout: 10_000,
        SNICallback: (name, done) => done(null, held.get(name.toLowerCase())?.context),
      })
      server.on('tlsClientError', (_, socket) => socket.destroy())
      server.on('secureConnection', (socket) => {
        socket.on('error', () => socket.destroy())
        if (socket.alpnProtocol === protocol) socket.end()
        else socket.destroy()
      })
      close = await listening(server, {
        port,
        flag: '--tls-port',
        instead: 'prove the names another way, such as --challenge http-01',
      })
    },
    present: async (challenge, all, signal) => {
      const order = all.length === 0 ? [challenge] : all
      const taken = holding.get(order) ?? holdAll(order, signal)
      holding.set(order, taken)
      await taken
    },
    cleanUp: async (challenge) => {
      const name = serverName(challenge)
      const one = held.get(name)
      // Two orders may have the same one: what the other holds is the other's.
      if (one?.challenge !== challenge) return
      held.delete(name)
      one.release()
    },
    close: async () => close?.(),
  }
}

const generate = promisify(generateKeyPair)

const serverName = ({ domain }: Challenge): string => (isIP(domain) === 0 ? domain.toLowerCase() : reverseName(domain))

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureContext, type SecureContext } from 'node:tls'
import { givenKeyPair, type KeyPair, type PemPair } from '../key-pair.js'
import { listen } from '../listener.js'
import { speaking, type VersionsOf } from './tls-versions.js'

export type EdgeProduct = 'cdn' | 'dcdn' | 'oss'

export interface EdgeOptions {
  /** 127.0.0.1 unless told; 127.0.0.2 and ::1 are places of their own. */
  readonly address?: string
  /** A free one unless told. */
  readonly port?: number
  /** Whose domains it serves; all unless told. */
  readonly products?: readonly EdgeProduct[]
  /** How long it takes until a change is seen here. */
  readonly delayMs?: number
}

/**
 * A client hello with a name in it. One without a name fails, and one that resumes a session is shown nothing; neither
 * is listed.
 */
export interface Handshake {
  readonly time: Date
  readonly host: string
  /** Of the leaf that was shown, in lower-case hex; `undefined` where there was none. */
  readonly sha256: string | undefined
}

/** A server that shows the world what is bound. */
export interface Edge {
  readonly address: string
  readonly port: number
  /** In the order of their coming. */
  readonly handshakes: readonly Handshake[]
  /**
   * From now on a host sees this pair, whatever is bound to it, or no certificate at all; `undefined` brings back what
   * is bound. The chain may lack its intermediates, and the certificate may be old.
   */
  serve(host: string, shown: PemPair | 'nothing' | undefined): void
  close(): Promise<void>
}

export interface EdgeParts {
  readonly now: () => Date
  readonly onRequest: (incoming: IncomingMessage, response: ServerResponse) => Promise<void>
  /** What is bound to a host, as somebody sees it who knows of changes up to this time of `performance.now()`. */
  readonly boundAt: (host: string, time: number) => KeyPair | undefined
  readonly versionsOf: VersionsOf
}

export const startEdge = async (parts: EdgeParts, { address, port, delayMs = 0 }: EdgeOptions): Promise<Edge> => {
  const overrides = new Map<string, KeyPair | 'nothing'>()
  const handshakes: Handshake[] = []

  const shownTo = (host: string): KeyPair | undefined => {
    const override = overrides.get(host)
    if (override === 'nothing') return undefined
    return override ?? parts.boundAt(host, performance.now() - delayMs)
  }

  /** Without a certificate for the name, the listener has none to fall back on, and sends a handshake failure. */
  const contextFor = (name: string): SecureContext | undefined => {
    const host = name.toLowerCase()
    const pair = shownTo(host)
    handshakes.push({ time: parts.now(), host, sha256: pair?.sha256 })
    return pair && createSecureContext({ ...speaking(parts.versionsOf(host)), cert: pair.fullchain, key: pair.key })
  }

  const listener = await listen({
    port,
    address,
    tls: {
      SNICallback(name, done) {
        try {
          done(null, contextFor(name))
        } catch (error) {
          // What OpenSSL does not take, such as a key that is too short, must not end the whole test.
          done(error as Error)
        }
      },
    },
    versionsOf: parts.versionsOf,
    onRequest: parts.onRequest,
  })
  return {
    address: address ?? '127.0.0.1',
    port: listener.port,
    handshakes,
    serve(host, shown) {
      const name = host.toLowerCase()
      if (shown === undefined) overrides.delete(name)
      else overrides.set(name, shown === 'nothing' ? shown : givenKeyPair(shown))
    },
    close: () => listener.close(),
  }
}

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import type { SecureContextOptions, TlsOptions } from 'node:tls'
import { byVersions, type VersionsOf } from './edge/tls-versions.js'

export interface ListenerOptions {
  /** A free one unless told. */
  readonly port?: number | undefined
  /** 127.0.0.1 unless told. */
  readonly address?: string | undefined
  /** `SNICallback` lets one listener serve many names. */
  readonly tls?: (SecureContextOptions & Pick<TlsOptions, 'SNICallback'>) | undefined
  /** Which TLS versions each host speaks. */
  readonly versionsOf?: VersionsOf | undefined
  readonly onRequest: (incoming: IncomingMessage, response: ServerResponse) => Promise<void>
}

export interface Listener {
  readonly port: number
  /** TCP connections accepted so far. */
  readonly connections: number
  /** Hangs up on everybody, in the middle of an answer too. */
  close(): Promise<void>
}

/** Alibaba's product SDKs send certificates in the query string: far more than Node's default of 16 KB. */
const maxHeaderSize = 1024 * 1024

/** An HTTP or HTTPS server on loopback. */
export const listen = async ({
  port = 0,
  address = '127.0.0.1',
  tls,
  versionsOf,
  onRequest,
}: ListenerOptions): Promise<Listener> => {
  // A keep-alive connection that the server closes on its own looks to a client like a random failure.
  const options = { noDelay: true, maxHeaderSize, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }
  const serve = (incoming: IncomingMessage, response: ServerResponse): void => {
    onRequest(incoming, response).catch((error) => incoming.socket.destroy(error))
  }
  const secure = (more: TlsOptions = {}) => createSecureServer({ ...options, ...tls, ...more }, serve)
  const front = versionsOf && byVersions(versionsOf, secure)
  const plain = tls === undefined ? () => createServer(options, serve) : secure
  const server = front === undefined ? plain() : createTcpServer({ noDelay: true }, (socket) => void front(socket))

  const open = new Set<Socket>()
  let connections = 0
  server.on('connection', (socket: Socket) => {
    connections += 1
    open.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => open.delete(socket))
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}

// Servers that tests shake hands with: TLS with whatever certificates they are told to send, and sockets that do
// something else instead.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { createServer as createTlsServer, type SecureContextOptions, type TlsOptions } from 'node:tls'
import type { Test } from 'tap'
import { keyPem, type Minted } from '../mint.js'

/** Not every container has it. */
export const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))

export interface Place {
  readonly address: string
  readonly port: number
  /** As `--connect` takes it. */
  readonly connect: string
  /** What each connection has sent by now that was not part of a handshake. */
  readonly said: Buffer[]
}

export interface TlsPlace extends Place {
  /** From the next handshake on. */
  present(leaf: Minted, others?: readonly Minted[]): void
}

export interface ListenOptions {
  readonly address?: string
  /** A free one unless told. */
  readonly port?: number
}

/** Sends `leaf` and then `others`, exactly and in that order. */
export const presenting = async (
  t: Test,
  leaf: Minted,
  others: readonly Minted[] = [],
  { address, port, ...tls }: ListenOptions & TlsOptions = {},
): Promise<TlsPlace> => {
  const server = createTlsServer({ ...contextOf(leaf, others), ...tls })
  const said: Buffer[] = []
  // A client that has seen enough hangs up in the middle.
  server.on('tlsClientError', () => undefined)
  server.on('secureConnection', (socket) => socket.on('data', (piece) => said.push(piece)))
  const place = await listening(t, server, { address, port })
  return { ...place, said, present: (next, above = []) => server.setSecureContext(contextOf(next, above)) }
}

const contextOf = (leaf: Minted, others: readonly Minted[]): SecureContextOptions => ({
  cert: [leaf, ...others].map(({ pem }) => pem).join(''),
  key: keyPem(leaf.key, 'pkcs8'),
})

/** A port that takes connections and does `answer` with them. */
export const answering = async (t: Test, answer: (socket: Socket) => void): Promise<Place> =>
  listening(t, createServer(answer), {})

/** A port that nobody listens on. */
export const closedPort = async (address = '127.0.0.1'): Promise<number> => {
  const server = createServer()
  server.listen(0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const listening = async (
  t: Test,
  server: Server,
  { address = '127.0.0.1', port = 0 }: { readonly address?: string | undefined; readonly port?: number | undefined },
): Promise<Place> => {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.listen(port, address)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const taken = (server.address() as AddressInfo).port
  const connect = address.includes(':') ? `[${address}]:${taken}` : `${address}:${taken}`
  return { address, port: taken, connect, said: [] }
}

// How the stub is reached: HTTP/1.1 or HTTP/2, and how a connection ends before its time.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createSecureServer, type Http2ServerRequest, type ServerHttp2Session } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import { keyPem, mintAuthority, mintLeaf } from '../mint.js'

export type Speaks = 'http' | 'https' | 'h2'

export type Incoming = IncomingMessage | Http2ServerRequest

/** What the answers of HTTP/1.1 and HTTP/2 have in common. */
export interface Outgoing {
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown
  end(body?: string): unknown
  once(event: 'finish', listener: () => void): unknown
}

export class Listener {
  connections = 0
  caPem = ''
  origin = ''
  readonly #sockets = new Map<Socket, number>()
  readonly #sessions = new Set<ServerHttp2Session>()
  #server: NetServer | undefined

  async listen(speaks: Speaks, handle: (request: Incoming, response: Outgoing) => Promise<void>): Promise<void> {
    const server = speaks === 'http' ? createServer() : await this.#secureServer(speaks)
    server.on('connection', (socket: Socket) => {
      this.#sockets.set(socket, ++this.connections)
      socket.on('error', () => undefined)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session)
      session.on('error', () => undefined)
      session.once('close', () => this.#sessions.delete(session))
    })
    server.on('request', (request: Incoming, response: Outgoing) => {
      handle(request, response).catch((error: unknown) => {
        response.writeHead(500, { 'content-type': 'text/plain' })
        response.end(`the stub itself failed: ${String(error)}`)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    this.origin = speaks === 'http' ? `http://127.0.0.1:${port}` : `https://localhost:${port}`
    this.#server = server
  }

  /** Counted from 1. */
  connectionOf(request: Incoming): number {
    return this.#sockets.get(request.socket) ?? this.connections
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server?.close(() => resolve())
      for (const session of this.#sessions) session.destroy()
      for (const socket of this.#sockets.keys()) socket.destroy()
    })
  }

  async #secureServer(speaks: 'https' | 'h2'): Promise<Server> {
    const trusted = await mintAuthority({ name: 'Trusted for one test only' })
    const { pem: cert, key } = await mintLeaf({ issuer: trusted, names: ['localhost', '127.0.0.1'] })
    this.caPem = trusted.pem
    const options = { cert, key: keyPem(key, 'pkcs8') }
    // Both are listened to in the same way; the types of Node share no ancestor that says so.
    return (speaks === 'h2' ? createSecureServer(options) : createHttpsServer(options)) as unknown as Server
  }
}

const sessionOf = (request: Incoming): ServerHttp2Session | undefined =>
  'stream' in request ? (request.stream.session as ServerHttp2Session | undefined) : undefined

export const kill = (request: Incoming): void => {
  const session = sessionOf(request)
  if (session === undefined) request.socket.destroy()
  else session.destroy()
}

/** Ends the connection behind the answer. */
export const endAfter = (request: Incoming, response: Outgoing, how: 'goaway' | 'silently'): void => {
  const session = sessionOf(request)
  response.once('finish', () => {
    // The answer is to be on its way first.
    setTimeout(() => {
      if (session === undefined) request.socket.destroy()
      else if (how === 'goaway') session.goaway(0)
      else session.destroy()
    }, 5)
  })
}

import { lookup } from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import net, { type LookupFunction, type Socket } from 'node:net'
import tls from 'node:tls'

export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | number>>
  readonly body?: Buffer | undefined
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<http.IncomingHttpHeaders>
  readonly body: Buffer
}

/** What clouds and CAs answer is small; more than this is something else, in bytes. */
export const largestAnswer = 8 * 1024 * 1024

/** `systemCode` of what is thrown where there was more. */
export const answerTooLarge = 'ANSWER_TOO_LARGE'

const tooLarge = (): Error => Object.assign(new Error('the answer is too large'), { code: answerTooLarge })

// To one place; more requests than that wait for each other.
const mostSockets = 16

/**
 * Requests over connections that stay open, and that can be opened before there is anything to say: by the time the
 * first request is ready, the handshake is over.
 */
export class HttpConnections {
  readonly #early = new Map<string, Socket[]>()
  readonly #trust: { readonly rejectUnauthorized: true; readonly ca?: string }
  readonly #agents: { readonly 'http:': http.Agent; readonly 'https:': https.Agent }

  /** @param ca PEM of the only authorities that are trusted; those of the system where it is absent */
  constructor(ca?: string) {
    // No variable of Node's turns it off.
    this.#trust = { rejectUnauthorized: true, ...(ca !== undefined && { ca }) }
    const early = (key: string): Socket | undefined => this.#takeEarly(key)
    const options = { keepAlive: true, noDelay: true, maxSockets: mostSockets, lookup: lookupLocalhost }
    this.#agents = {
      'http:': new http.Agent(options),
      'https:': new https.Agent({ ...options, ...this.#trust }),
    }
    for (const agent of Object.values(this.#agents) as unknown as ConnectingAgent[]) {
      const connect = agent.createConnection.bind(agent)
      agent.createConnection = (to, done) => early(keyOf(to.host, to.port, to.servername)) ?? connect(to, done)
    }
  }

  /** Has `count` connections open that later requests to the same place will use. Failing is left for those to report. */
  open(url: URL, serverName: string, count: number): void {
    const secure = url.protocol === 'https:'
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const port = Number(url.port || (secure ? 443 : 80))
    // As node's agents reckon it: an address is never sent as a server name.
    const servername = net.isIP(serverName) ? '' : serverName
    const to = { host, port, lookup: lookupLocalhost, noDelay: true }
    const key = keyOf(host, port, servername)
    const sockets = (this.#early.get(key) ?? []).filter((socket) => !socket.destroyed)
    this.#early.set(key, sockets)
    while (sockets.length < count) {
      const socket = secure ? tls.connect({ ...to, servername, ...this.#trust }) : net.connect(to)
      socket.on('error', () => socket.destroy())
      socket.unref()
      sockets.push(socket)
    }
  }

  #takeEarly(key: string): Socket | undefined {
    const sockets = this.#early.get(key) ?? []
    for (let socket = sockets.shift(); socket !== undefined; socket = sockets.shift()) {
      if (!socket.destroyed) return socket.ref()
    }
    return undefined
  }

  /** @throws the system's error (`ECONNREFUSED`, …), or the reason of `signal` */
  request(request: HttpRequest): Promise<HttpResponse> {
    const url = new URL(request.url)
    const protocol = url.protocol === 'http:' ? 'http:' : 'https:'
    const send = protocol === 'http:' ? http.request : https.request
    return new Promise((resolve, reject) => {
      const { method, signal } = request
      const fail = (error: unknown) => reject(signal.aborted ? signal.reason : error)
      const outgoing = send(url, { method, headers: { ...request.headers }, agent: this.#agents[protocol], signal })
      outgoing.on('error', fail)
      outgoing.on('response', (incoming) => {
        const pieces: Buffer[] = []
        let size = 0
        incoming.on('data', (piece: Buffer) => {
          pieces.push(piece)
          size += piece.length
          if (size > largestAnswer) incoming.destroy(tooLarge())
        })
        incoming.on('error', fail)
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(pieces) }),
        )
      })
      outgoing.end(request.body)
    })
  }

  close(): void {
    for (const sockets of this.#early.values()) for (const socket of sockets) socket.destroy()
    this.#early.clear()
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }
}

interface ConnectTo {
  readonly host?: string
  readonly port?: number | string
  readonly servername?: string
}

/** The part of node's agents that its types leave out: `createConnection` is theirs to be replaced (documented). */
interface ConnectingAgent {
  createConnection(to: ConnectTo, done: (error: Error | null, socket: Socket) => void): Socket | undefined
}

const keyOf = (host: string | undefined, port: number | string | undefined, serverName: string | undefined): string =>
  `${host ?? ''}:${port ?? ''}:${serverName ?? ''}`

/** Every name below `localhost` is this machine (RFC 6761), which not every resolver knows. */
export const lookupLocalhost: LookupFunction = (hostname, options, callback) =>
  lookup(hostname.endsWith('.localhost') ? 'localhost' : hostname, options, callback)

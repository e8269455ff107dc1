import http2, { type ClientHttp2Session } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import tls, { type TLSSocket } from 'node:tls'
import { HttpConnections, largestAnswer, lookupLocalhost } from '../http-connections.js'
import { unlessAborted } from '../patience.js'

export interface CaRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly signal: AbortSignal
}

export interface CaAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/**
 * Requests to a CA: all at once over one HTTP/2 connection where the CA speaks it, over several of HTTP/1.1 where it
 * does not. What was sent is never sent again: only the caller knows whether that is safe.
 */
export class CaConnection {
  readonly #ca: string | undefined
  readonly #plain: HttpConnections
  /** Also those whose handshake is not over, and those that take no more requests but whose other side does not hang up. */
  readonly #sockets = new Set<TLSSocket>()
  readonly #origins = new Map<string, Promise<ClientHttp2Session | 'http/1.1'>>()
  /** When the connection to each origin was last used. */
  readonly #used = new Map<string, number>()

  /** @param ca PEM of the only authorities that are trusted; those of the system where it is absent */
  constructor(ca: string | undefined) {
    this.#ca = ca
    this.#plain = new HttpConnections(ca)
  }

  /** Begins to connect, and returns as soon as the first packet is on its way; failing is left for a request to report. */
  async open(url: string): Promise<void> {
    const { origin, protocol } = new URL(url)
    if (protocol === 'https:') this.#connect(origin).catch(() => undefined)
    // A look-up of the name runs beside; its answer needs a turn of the loop before the packet goes out.
    for (let i = 0; i < 3; i++) await turn()
  }

  /** @throws the system's error (`ECONNREFUSED`, …), or the reason of `signal` */
  async request(request: CaRequest): Promise<CaAnswer> {
    const { origin, protocol } = new URL(request.url)
    if (protocol !== 'https:') return await this.#requestPlain(request)
    if (performance.now() - (this.#used.get(origin) ?? Number.POSITIVE_INFINITY) > longestIdle)
      this.#origins.delete(origin)
    const touch = () => this.#used.set(origin, performance.now())
    touch()
    try {
      const session = await unlessAborted(this.#connect(origin), request.signal)
      return session === 'http/1.1' ? await this.#requestPlain(request) : await requestOver(session, request)
    } finally {
      touch()
    }
  }

  #connect(origin: string): Promise<ClientHttp2Session | 'http/1.1'> {
    const known = this.#origins.get(origin)
    if (known !== undefined) return known
    const forget = () => {
      if (this.#origins.get(origin) === connecting) this.#origins.delete(origin)
    }
    const connecting = connect(origin, this.#ca, forget, this.#sockets)
    this.#origins.set(origin, connecting)
    connecting.catch(forget)
    return connecting
  }

  async #requestPlain({ method, url, headers, body, signal }: CaRequest): Promise<CaAnswer> {
    const answer = await this.#plain.request({
      method,
      url,
      headers,
      body: body === undefined ? undefined : Buffer.from(body),
      signal,
    })
    return { status: answer.status, headers: flatten(answer.headers), body: answer.body.toString('utf8') }
  }

  close(): void {
    this.#plain.close()
    for (const socket of this.#sockets) socket.destroy()
    this.#origins.clear()
  }
}

// Routers forget connections on which nothing is said, and tell nobody; setting a DNS record takes as long. In ms.
const longestIdle = 30_000

/** What ended a session: its streams only learn that they were cancelled. */
const endedBy = new WeakMap<ClientHttp2Session, unknown>()

const connect = async (
  origin: string,
  ca: string | undefined,
  onEnd: () => void,
  sockets: Set<TLSSocket>,
): Promise<ClientHttp2Session | 'http/1.1'> => {
  const socket = await handshake(new URL(origin), ca, sockets)
  if (socket.alpnProtocol !== 'h2') {
    socket.destroy()
    return 'http/1.1'
  }
  const session = http2.connect(origin, { createConnection: () => socket })
  // Each request that it interrupts reports it; a session nobody waits for may end in silence.
  session.on('error', (error) => endedBy.set(session, error))
  session.on('goaway', onEnd)
  session.on('close', onEnd)
  return session
}

// In ms.
const longestHandshake = 20_000

const handshake = (url: URL, ca: string | undefined, sockets: Set<TLSSocket>): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const socket = tls.connect({
      host,
      port: Number(url.port || 443),
      ALPNProtocols: ['h2', 'http/1.1'],
      lookup: lookupLocalhost,
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      ...(ca !== undefined && { ca }),
      // No variable of Node's turns it off.
      rejectUnauthorized: true,
    })
    socket.setNoDelay(true)
    sockets.add(socket)
    socket.setTimeout(longestHandshake, () =>
      socket.destroy(Object.assign(new Error('no handshake in time'), { code: 'ETIMEDOUT' })),
    )
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      socket.setTimeout(0)
      socket.off('error', reject)
      resolve(socket)
    })
    // A peer that hangs up in the middle of the handshake raises no error everywhere.
    socket.once('close', () => sockets.delete(socket))
    socket.once('close', () => reject(Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' })))
  })

const requestOver = (session: ClientHttp2Session, request: CaRequest): Promise<CaAnswer> =>
  new Promise((resolve, reject) => {
    const { method, url, headers, body, signal } = request
    const { pathname, search } = new URL(url)
    let failure: unknown
    const stream = session.request(
      {
        ':method': method,
        ':path': pathname + search,
        ...headers,
        ...(body && { 'content-length': Buffer.byteLength(body) }),
      },
      { endStream: body === undefined, signal },
    )
    let answer: { status: number; headers: Record<string, string | undefined> } | undefined
    const pieces: Buffer[] = []
    let size = 0
    stream.on('response', (received) => {
      answer = { status: Number(received[':status']), headers: flatten(received) }
    })
    stream.on('data', (piece: Buffer) => {
      pieces.push(piece)
      size += piece.length
      if (size > largestAnswer) stream.destroy(new Error('the answer is too large'))
    })
    stream.on('error', (error) => {
      failure = error
    })
    stream.on('close', () => {
      const why = endedBy.get(session) ?? failure
      if (signal.aborted) reject(signal.reason)
      else if (failure !== undefined || answer === undefined || !stream.readableEnded) reject(why ?? cutOff())
      else resolve({ ...answer, body: Buffer.concat(pieces).toString('utf8') })
    })
    if (body !== undefined) stream.end(body)
  })

const cutOff = (): Error => Object.assign(new Error('the connection ended before the answer'), { code: 'ECONNRESET' })

const flatten = (
  headers: Readonly<Record<string, string | string[] | number | undefined>>,
): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !name.startsWith(':'))
      .map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value?.toString()]),
  )

// A small CA that misbehaves as it is told. It checks nonces, signatures and URLs of what it is sent, and believes
// every name at once. For a CA as it should be, there is pebble.ts.
import 'reflect-metadata'
import { createPublicKey, type JsonWebKey, type KeyObject, verify, webcrypto } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createSecureServer, type Http2ServerRequest, type ServerHttp2Session } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import * as x509 from '@peculiar/x509'
import type { Test } from 'tap'
import { type Authority, keyPem, mintAuthority, mintLeaf } from './mint.js'

export type Kind =
  | 'directory'
  | 'newNonce'
  | 'newAccount'
  | 'keyChange'
  | 'newOrder'
  | 'authorization'
  | 'challenge'
  | 'order'
  | 'finalize'
  | 'certificate'

export interface CaReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON. */
  readonly body?: string | object
}

/** Instead of what was asked for: an answer, the end of the connection before or after it was done, or nothing ever. */
export type CaFault = CaReply | 'kill' | 'kill-after' | 'hang'

export interface CaRequest {
  readonly kind: Kind | 'unknown'
  readonly method: string
  readonly path: string
  /** In ms, of this process's clock. */
  readonly time: number
  /** Counted from 1. */
  readonly connection: number
  /** What was signed; '' for a look. */
  readonly payload: unknown
}

interface Order {
  readonly id: number
  readonly identifiers: readonly { readonly type: string; readonly value: string }[]
  readonly proven: Set<number>
  status: string
  looks: number
  certificate: string
}

/** What can be changed while it runs. */
export interface Manners {
  /** The challenges of every authorization. */
  offers: readonly string[]
  /** How many looks at an order find it pending although every name is proven; and processing, after finalizing. */
  pendingLooks: number
  processingLooks: number
  /** Orders are ready at once. */
  reuses: boolean
  /** Answers of these kinds bring no nonce. */
  withoutNonce: ReadonlySet<Kind>
  /** What the certificate is made from. */
  issues: 'what was asked for' | 'without the last name' | 'for another key' | 'an expired one' | 'nonsense'
  /** After an answer of this kind the connection ends: with a GOAWAY where HTTP/2 is spoken, or without a word. */
  endsAfter: { readonly kind: Kind; readonly how: 'goaway' | 'silently' } | undefined
  /** Has the last word on every answer. */
  amend: (reply: CaReply, kind: Kind) => CaReply
}

export interface StubCa {
  readonly directoryUrl: string
  readonly port: number
  /** What to trust for an https one. */
  readonly caPem: string
  readonly requests: readonly CaRequest[]
  readonly connections: number
  readonly manners: Manners
  count(kind: Kind | 'unknown'): number
  /** The next `times` requests of that kind meet the fault. */
  fail(kind: Kind, fault: CaFault, times?: number): void
  /** Every URL but the directory's changes; the old ones are gone. */
  move(): void
  /** Forgets every account. */
  forget(): void
  /** Does it know an account with this key? */
  knows(key: KeyObject): boolean
}

type Speaks = 'http' | 'https' | 'h2'

interface Jws {
  readonly protected: string
  readonly payload: string
  readonly signature: string
}

interface Protected {
  readonly alg: string
  readonly nonce?: string
  readonly url: string
  readonly kid?: string
  readonly jwk?: JsonWebKey
}

const day = 86_400_000
const urn = 'urn:ietf:params:acme:error:'

export const problem = (status: number, type: string, detail: string, more: object = {}): CaReply => ({
  status,
  headers: { 'content-type': 'application/problem+json' },
  body: { type: `${urn}${type}`, detail, status, ...more },
})

export const startStubCa = async (t: Test, speaks: Speaks = 'http'): Promise<StubCa> => {
  const authority = await mintAuthority({ name: 'Stub CA' })
  const ca = new Stub(authority)
  const server = await ca.listen(speaks)
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        ca.hangUp()
      }),
  )
  return ca
}

class Stub implements StubCa {
  readonly requests: CaRequest[] = []
  readonly manners: Manners = {
    offers: ['http-01', 'dns-01', 'tls-alpn-01'],
    pendingLooks: 0,
    processingLooks: 0,
    reuses: false,
    withoutNonce: new Set(),
    issues: 'what was asked for',
    endsAfter: undefined,
    amend: (reply) => reply,
  }
  connections = 0
  caPem = ''
  #origin = ''
  #generation = 0
  readonly #authority: Authority
  readonly #faults: { readonly kind: Kind; readonly fault: CaFault }[] = []
  readonly #nonces = new Set<string>()
  readonly #accounts = new Map<string, JsonWebKey>()
  readonly #orders: Order[] = []
  readonly #sockets = new Map<Socket, number>()
  readonly #sessions = new Set<ServerHttp2Session>()
  #made = 0

  constructor(authority: Authority) {
    this.#authority = authority
  }

  get directoryUrl(): string {
    return `${this.#origin}/dir`
  }

  get port(): number {
    return Number(new URL(this.#origin).port)
  }

  count(kind: Kind | 'unknown'): number {
    return this.requests.filter((request) => request.kind === kind).length
  }

  fail(kind: Kind, fault: CaFault, times = 1): void {
    for (let i = 0; i < times; i++) this.#faults.push({ kind, fault })
  }

  move(): void {
    this.#generation++
  }

  forget(): void {
    this.#accounts.clear()
  }

  knows(key: KeyObject): boolean {
    const { x } = createPublicKey(key).export({ format: 'jwk' })
    return [...this.#accounts.values()].some((one) => one.x === x)
  }

  async listen(speaks: Speaks): Promise<NetServer> {
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
      this.#handle(request, response).catch((error: unknown) => {
        response.writeHead(500, { 'content-type': 'text/plain' })
        response.end(`the stub itself failed: ${String(error)}`)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    this.#origin = speaks === 'http' ? `http://127.0.0.1:${port}` : `https://localhost:${port}`
    return server
  }

  hangUp(): void {
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#sockets.keys()) socket.destroy()
  }

  async #secureServer(speaks: 'https' | 'h2'): Promise<Server> {
    const trusted = await mintAuthority({ name: 'Trusted for one test only' })
    const { pem: cert, key } = await mintLeaf({ issuer: trusted, names: ['localhost', '127.0.0.1'] })
    this.caPem = trusted.pem
    const options = { cert, key: keyPem(key, 'pkcs8') }
    // Both are listened to in the same way; the types of Node share no ancestor that says so.
    return (speaks === 'h2' ? createSecureServer(options) : createHttpsServer(options)) as unknown as Server
  }

  async #handle(request: Incoming, response: Outgoing): Promise<void> {
    const url = `${this.#origin}${request.url}`
    const jws = request.method === 'POST' ? (JSON.parse(await text(request)) as Jws) : undefined
    const [kind, rest] = this.#route(request.url ?? '')
    this.requests.push({
      kind,
      method: request.method ?? '',
      path: request.url ?? '',
      time: performance.now(),
      connection: this.#sockets.get(rawSocket(request)) ?? this.connections,
      payload: jws === undefined ? undefined : decode(jws.payload),
    })
    const at = this.#faults.findIndex((one) => one.kind === kind)
    const fault = at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.fault
    if (fault === 'hang') return
    if (fault === 'kill') return kill(request)
    // A nonce is used up whatever becomes of the request, as it is with a real CA.
    const trouble = jws && this.#verify(jws, url)
    const reply = typeof fault === 'object' ? fault : (trouble ?? (await this.#answer(kind, rest, jws, url)))
    if (fault === 'kill-after') return kill(request)
    this.#send(request, response, kind === 'unknown' ? reply : this.manners.amend(reply, kind), kind)
  }

  #send(request: Incoming, response: Outgoing, { status, headers = {}, body = '' }: CaReply, kind: string): void {
    const bringsNonce = request.method !== 'GET' && !this.manners.withoutNonce.has(kind as Kind)
    const asJson = typeof body === 'object' ? { 'content-type': 'application/json' } : {}
    response.writeHead(status, {
      ...asJson,
      ...(bringsNonce && { 'replay-nonce': this.#newNonce() }),
      'cache-control': 'no-store',
      ...headers,
    })
    const ends = this.manners.endsAfter
    if (ends?.kind === kind) {
      this.manners.endsAfter = undefined
      const session = sessionOf(request)
      response.once('finish', () => end(request, session, ends.how))
    }
    response.end(request.method === 'HEAD' ? undefined : typeof body === 'object' ? JSON.stringify(body) : body)
  }

  #newNonce(): string {
    const nonce = `nonce-${++this.#made}-${Math.random().toString(36).slice(2)}`
    this.#nonces.add(nonce)
    return nonce
  }

  #route(path: string): [Kind | 'unknown', readonly number[]] {
    if (path === '/dir') return ['directory', []]
    const match = /^\/(\d+)\/([A-Za-z]+)((?:\/\d+)*)$/.exec(path)
    if (match === null || Number(match[1]) !== this.#generation) return ['unknown', []]
    const rest = (match[3] ?? '').split('/').filter(Boolean).map(Number)
    return [match[2] as Kind, rest]
  }

  #url(kind: Kind, ...rest: readonly number[]): string {
    return [this.#origin, this.#generation, kind, ...rest].join('/')
  }

  #verify(jws: Jws, url: string): CaReply | undefined {
    const header = decode(jws.protected) as Protected
    if (!this.#nonces.delete(header.nonce ?? '')) return problem(400, 'badNonce', `unacceptable nonce ${header.nonce}`)
    if (header.url !== url) return problem(401, 'unauthorized', `signed for ${header.url}, sent to ${url}`)
    const jwk = header.jwk ?? this.#accounts.get(header.kid ?? '')
    if (jwk === undefined) return problem(400, 'accountDoesNotExist', `no account ${header.kid}`)
    return isSigned(jws, jwk) && header.alg === 'ES256'
      ? undefined
      : problem(400, 'malformed', 'the signature is wrong')
  }

  async #answer(kind: Kind | 'unknown', rest: readonly number[], jws: Jws | undefined, url: string): Promise<CaReply> {
    const payload = jws === undefined ? undefined : (decode(jws.payload) as Readonly<Record<string, unknown>>)
    const order = this.#orders[rest[0] ?? -1]
    switch (kind) {
      case 'directory':
        return {
          status: 200,
          body: Object.fromEntries(
            (['newNonce', 'newAccount', 'keyChange', 'newOrder'] as const).map((name) => [name, this.#url(name)]),
          ),
        }
      case 'newNonce':
        return { status: 200 }
      case 'newAccount':
        if (rest.length > 0) return { status: 200, body: { status: 'valid', contact: payload?.['contact'] ?? [] } }
        return this.#register(decode(jws?.protected ?? '') as Protected, payload?.['onlyReturnExisting'] === true)
      case 'keyChange':
        return this.#changeKey(payload as unknown as Jws, decode(jws?.protected ?? '') as Protected, url)
      case 'newOrder':
        return this.#place(payload?.['identifiers'] as Order['identifiers'])
      case 'authorization':
      case 'challenge':
        if (order === undefined) break
        if (kind === 'challenge') order.proven.add(rest[1] ?? 0)
        return kind === 'challenge' ? this.#challenge(order, rest) : this.#authorization(order, rest[1] ?? 0)
      case 'order':
        if (order !== undefined) return this.#look(order)
        break
      case 'finalize':
        if (order !== undefined) return await this.#finalize(order, String(payload?.['csr']))
        break
      case 'certificate':
        if (order === undefined) break
        return {
          status: 200,
          headers: { 'content-type': 'application/pem-certificate-chain' },
          body: order.certificate,
        }
    }
    return problem(404, 'malformed', `there is nothing at ${url}`)
  }

  #register({ jwk }: Protected, onlyExisting: boolean): CaReply {
    if (jwk === undefined) return problem(400, 'malformed', 'no key')
    const known = [...this.#accounts].find(([, one]) => one.x === jwk.x)?.[0]
    if (known === undefined && onlyExisting) return problem(400, 'accountDoesNotExist', 'no account has this key')
    const location = known ?? this.#url('newAccount', ++this.#made)
    this.#accounts.set(location, jwk)
    return { status: known === undefined ? 201 : 200, headers: { location }, body: { status: 'valid' } }
  }

  /** RFC 8555, 7.3.5. */
  #changeKey(inner: Jws, { kid = '' }: Protected, url: string): CaReply {
    const header = decode(inner.protected) as Protected
    const { account, oldKey } = decode(inner.payload) as { readonly account: string; readonly oldKey: JsonWebKey }
    const isInOrder =
      header.jwk !== undefined &&
      header.nonce === undefined &&
      header.url === url &&
      account === kid &&
      oldKey.x === this.#accounts.get(kid)?.x &&
      oldKey.d === undefined &&
      isSigned(inner, header.jwk)
    if (!isInOrder) return problem(400, 'malformed', 'that is no change of keys')
    this.#accounts.set(kid, header.jwk as JsonWebKey)
    return { status: 200, body: { status: 'valid' } }
  }

  #place(identifiers: Order['identifiers']): CaReply {
    const order: Order = {
      id: this.#orders.length,
      identifiers,
      proven: new Set(),
      status: this.manners.reuses ? 'ready' : 'pending',
      looks: 0,
      certificate: '',
    }
    this.#orders.push(order)
    return { ...this.#orderReply(order), status: 201 }
  }

  #orderReply(order: Order): CaReply {
    return {
      status: 200,
      headers: { location: this.#url('order', order.id) },
      body: {
        status: order.status,
        identifiers: order.identifiers,
        authorizations: order.identifiers.map((_, i) => this.#url('authorization', order.id, i)),
        finalize: this.#url('finalize', order.id),
        ...(order.status === 'valid' && { certificate: this.#url('certificate', order.id) }),
      },
    }
  }

  #authorization(order: Order, i: number): CaReply {
    return {
      status: 200,
      body: {
        status: order.proven.has(i) || order.status !== 'pending' ? 'valid' : 'pending',
        identifier: order.identifiers[i],
        challenges: this.manners.offers.map((_, which) => this.#challenge(order, [order.id, i, which]).body),
      },
    }
  }

  #challenge(order: Order, [, i = 0, which = 0]: readonly number[]): CaReply {
    return {
      status: 200,
      body: {
        type: this.manners.offers[which],
        url: this.#url('challenge', order.id, i, which),
        status: order.proven.has(i) ? 'valid' : 'pending',
        token: `token-${order.id}-${i}-${which}-of-a-stub`,
      },
    }
  }

  #look(order: Order): CaReply {
    const isProven = order.proven.size === order.identifiers.length
    if (order.status === 'pending' && isProven && order.looks++ >= this.manners.pendingLooks) {
      order.status = 'ready'
      order.looks = 0
    } else if (order.status === 'processing' && ++order.looks >= this.manners.processingLooks) {
      order.status = 'valid'
    }
    return this.#orderReply(order)
  }

  async #finalize(order: Order, csr: string): Promise<CaReply> {
    if (order.status !== 'ready') return problem(403, 'orderNotReady', `the order is ${order.status}`)
    order.certificate = await this.#issue(Buffer.from(csr, 'base64url'))
    order.status = this.manners.processingLooks > 0 ? 'processing' : 'valid'
    return this.#orderReply(order)
  }

  async #issue(request: Buffer): Promise<string> {
    const { issues } = this.manners
    if (issues === 'nonsense') return '<html>certificate is on its way</html>'
    const csr = new x509.Pkcs10CertificateRequest(request)
    if (!(await csr.verify())) throw new Error('the signing request is not signed by its own key')
    const alternative = csr.extensions.find((one) => one instanceof x509.SubjectAlternativeNameExtension)
    const asked = alternative?.names.toJSON() ?? []
    const names = issues === 'without the last name' ? asked.slice(0, -1) : asked
    const other = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const now = Date.now()
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const pkcs8 = this.#authority.key.export({ type: 'pkcs8', format: 'der' })
    const leaf = await x509.X509CertificateGenerator.create({
      subject: 'CN=stub',
      issuer: `CN=${this.#authority.name}`,
      notBefore: new Date(now - 80 * day),
      notAfter: new Date(issues === 'an expired one' ? now - day : now + 300 * day),
      publicKey: issues === 'for another key' ? other.publicKey : csr.publicKey,
      extensions: [new x509.SubjectAlternativeNameExtension(names)],
      signingKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
      signingAlgorithm: algorithm,
    })
    return `${leaf.toString('pem')}\n`
  }
}

type Incoming = IncomingMessage | Http2ServerRequest

/** What the answers of HTTP/1.1 and HTTP/2 have in common. */
interface Outgoing {
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown
  end(body?: string): unknown
  once(event: 'finish', listener: () => void): unknown
}

const isSigned = (jws: Jws, jwk: JsonWebKey): boolean =>
  verify(
    'sha256',
    Buffer.from(`${jws.protected}.${jws.payload}`),
    { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
    Buffer.from(jws.signature, 'base64url'),
  )

const decode = (part: string): unknown => (part === '' ? '' : JSON.parse(Buffer.from(part, 'base64url').toString()))

const rawSocket = (request: Incoming): Socket => request.socket

const sessionOf = (request: Incoming): ServerHttp2Session | undefined =>
  'stream' in request ? (request.stream.session as ServerHttp2Session | undefined) : undefined

const kill = (request: Incoming): void => {
  const session = sessionOf(request)
  if (session === undefined) request.socket.destroy()
  else session.destroy()
}

const end = (request: Incoming, session: ServerHttp2Session | undefined, how: 'goaway' | 'silently'): void => {
  // The answer is to be on its way first.
  setTimeout(() => {
    if (session === undefined) request.socket.destroy()
    else if (how === 'goaway') session.goaway(0)
    else session.destroy()
  }, 5)
}

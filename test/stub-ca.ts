// A small CA that misbehaves as it is told. It checks nonces, signatures and URLs of what it is sent, and believes
// every name at once. For a CA as it should be, there is pebble.ts.
import type { KeyObject } from 'node:crypto'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { type Account, Accounts, verified } from './stub-ca/accounts.js'
import { Authorizations } from './stub-ca/authorizations.js'
import { Certificates, type IssuedCertificate } from './stub-ca/certificates.js'
import { decode, isJws, type Jws, type Protected, publicKey } from './stub-ca/jws.js'
import { endAfter, type Incoming, kill, Listener, type Outgoing, type Speaks } from './stub-ca/listener.js'
import { goodManners, type Manners } from './stub-ca/manners.js'
import { type Order, Orders } from './stub-ca/orders.js'
import { renewalInfo } from './stub-ca/renewal-info.js'
import { type CaFault, type CaReply, type Kind, kinds, problem } from './stub-ca/reply.js'

export type { CaFault, CaReply, Kind } from './stub-ca/reply.js'
export { problem } from './stub-ca/reply.js'

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

/** What it returns befalls the request: nothing, and it takes its course. */
export type RequestHook = (request: CaRequest) => CaFault | undefined | Promise<CaFault | undefined>

export interface HookOptions {
  /** Only these are counted. */
  readonly kind?: Kind
  /** Before the request is carried out, which is the default, or when it was and before it is answered. */
  readonly when?: 'before' | 'after'
}

export interface StubCa {
  readonly directoryUrl: string
  readonly port: number
  /** What to trust for an https one. */
  readonly caPem: string
  readonly requests: readonly CaRequest[]
  readonly connections: number
  readonly manners: Manners
  /** All that there ever was of these, as it stands now. */
  readonly accounts: readonly Account[]
  readonly orders: readonly Order[]
  readonly certificates: readonly IssuedCertificate[]
  count(kind: Kind | 'unknown'): number
  /** The next `times` requests of that kind meet the fault. */
  fail(kind: Kind, fault: CaFault, times?: number): void
  /** Calls the hook at the n-th request from now on, counted from 1. */
  onRequest(n: number, hook: RequestHook, options?: HookOptions): void
  /** Makes an order invalid, whatever it was. */
  endOrder(id: number, error?: CaReply): void
  /** Every URL but the directory's changes; the old ones are gone. */
  move(): void
  /** Forgets every account. */
  forget(): void
  /** Forgets every order: there is nothing at their URLs any more. */
  forgetOrders(): void
}

export const startStubCa = async (t: Test, speaks: Speaks = 'http'): Promise<StubCa> => {
  const listener = new Listener()
  const manners = goodManners()
  const ca = new Stub(listener, manners, await Certificates.open(manners))
  await listener.listen(speaks, (request, response) => ca.handle(request, response))
  t.teardown(() => listener.close())
  return ca
}

interface Waiting extends HookOptions {
  readonly hook: RequestHook
  left: number
}

class Stub implements StubCa {
  readonly requests: CaRequest[] = []
  readonly manners: Manners
  readonly #listener: Listener
  readonly #faults: { readonly kind: Kind; readonly fault: CaFault }[] = []
  readonly #hooks: Waiting[] = []
  readonly #nonces = new Set<string>()
  readonly #accounts: Accounts
  readonly #authorizations: Authorizations
  readonly #orders: Orders
  readonly #certificates: Certificates
  #generation = 0
  #made = 0

  constructor(listener: Listener, manners: Manners, certificates: Certificates) {
    this.#listener = listener
    this.manners = manners
    this.#certificates = certificates
    const url = this.#url.bind(this)
    this.#accounts = new Accounts(manners, url)
    this.#authorizations = new Authorizations(manners, url)
    this.#orders = new Orders(manners, url, this.#authorizations, certificates)
  }

  get directoryUrl(): string {
    return `${this.#listener.origin}/dir`
  }

  get port(): number {
    return Number(new URL(this.#listener.origin).port)
  }

  get caPem(): string {
    return this.#listener.caPem
  }

  get connections(): number {
    return this.#listener.connections
  }

  get accounts(): readonly Account[] {
    return this.#accounts.all
  }

  get orders(): readonly Order[] {
    return this.#orders.all
  }

  get certificates(): readonly IssuedCertificate[] {
    return this.#certificates.all
  }

  count(kind: Kind | 'unknown'): number {
    return this.requests.filter((request) => request.kind === kind).length
  }

  fail(kind: Kind, fault: CaFault, times = 1): void {
    for (let i = 0; i < times; i++) this.#faults.push({ kind, fault })
  }

  onRequest(n: number, hook: RequestHook, options: HookOptions = {}): void {
    this.#hooks.push({ ...options, hook, left: n })
  }

  endOrder(id: number, error?: CaReply): void {
    const order = this.#orders.find(id)
    if (order === undefined) throw new Error(`there is no order ${id}`)
    this.#orders.end(order, error)
  }

  move(): void {
    this.#generation++
  }

  forget(): void {
    this.#accounts.forget()
  }

  forgetOrders(): void {
    for (const order of this.#orders.all) order.status = 'forgotten'
  }

  async handle(request: Incoming, response: Outgoing): Promise<void> {
    const body: unknown = request.method === 'POST' ? parse(await text(request)) : undefined
    const jws = isJws(body) ? body : undefined
    const [kind, rest] = this.#route(request.url ?? '')
    const seen: CaRequest = {
      kind,
      method: request.method ?? '',
      path: request.url ?? '',
      time: performance.now(),
      connection: this.#listener.connectionOf(request),
      payload: jws === undefined ? undefined : decode(jws.payload),
    }
    this.requests.push(seen)
    const hooks = this.#due(kind)
    const at = this.#faults.findIndex((one) => one.kind === kind)
    const queued = at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.fault
    const fault = (await call(hooks, 'before', seen)) ?? queued
    if (fault === 'hang') return
    if (fault === 'kill') return kill(request)
    const reply = await this.#carryOut(request, kind, rest, jws, typeof fault === 'object' ? fault : undefined)
    const last = (await call(hooks, 'after', seen)) ?? (fault === 'kill-after' ? fault : reply)
    if (last === 'hang') return
    if (typeof last === 'string') return kill(request)
    this.#send(request, response, kind === 'unknown' ? last : this.manners.amend(last, kind), kind)
  }

  /** Those that have waited long enough. */
  #due(kind: Kind | 'unknown'): readonly Waiting[] {
    const due: Waiting[] = []
    for (const one of [...this.#hooks]) {
      if ((one.kind !== undefined && one.kind !== kind) || --one.left > 0) continue
      this.#hooks.splice(this.#hooks.indexOf(one), 1)
      due.push(one)
    }
    return due
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
      endAfter(request, response, ends.how)
    }
    response.end(request.method === 'HEAD' ? undefined : typeof body === 'object' ? JSON.stringify(body) : body)
  }

  #newNonce(): string {
    const nonce = `nonce-${++this.#made}-${Math.random().toString(36).slice(2)}`
    this.#nonces.add(nonce)
    return nonce
  }

  #route(path: string): [Kind | 'unknown', readonly string[]] {
    if (path === '/dir') return ['directory', []]
    const match = /^\/(\d+)\/([A-Za-z]+)((?:\/[^/]+)*)$/.exec(path)
    const kind = kinds.find((one) => one === match?.[2])
    if (kind === undefined || Number(match?.[1]) !== this.#generation) return ['unknown', []]
    return [kind, (match?.[3] ?? '').split('/').filter(Boolean)]
  }

  #url(kind: Kind, ...rest: readonly (string | number)[]): string {
    return [this.#listener.origin, this.#generation, kind, ...rest].join('/')
  }

  /** A nonce is used up whatever becomes of the request, as it is with a real CA. */
  async #carryOut(
    request: Incoming,
    kind: Kind | 'unknown',
    rest: readonly string[],
    jws: Jws | undefined,
    instead: CaReply | undefined,
  ): Promise<CaFault> {
    const url = `${this.#listener.origin}${request.url}`
    const header = (jws === undefined ? {} : decode(jws.protected)) as Protected
    const isFresh = jws === undefined || this.#nonces.delete(header.nonce ?? '')
    if (instead !== undefined) return instead
    if (kind === 'directory') return this.#directory()
    if (kind === 'newNonce') return { status: request.method === 'HEAD' ? 200 : 204 }
    if (kind === 'renewalInfo') return renewalInfo(rest.join('/'), this.#certificates, this.manners)
    if (kind === 'unknown') return nothingAt(url)
    if (request.method !== 'POST') return problem(405, 'malformed', `${kind} is to be posted to`)
    if (jws === undefined) return problem(400, 'malformed', 'the request is no JWS')
    if (!isFresh) return problem(400, 'badNonce', `unacceptable nonce ${header.nonce}`)
    if (header.url !== url) return problem(401, 'unauthorized', `signed for ${header.url}, sent to ${url}`)
    const isByKey = kind === 'newAccount' || (kind === 'revokeCert' && header.jwk !== undefined)
    const account = isByKey ? undefined : this.#accounts.byUrl(header.kid ?? '')
    if (isByKey ? header.jwk === undefined : header.kid === undefined)
      return problem(400, 'malformed', `${kind} is to be signed by ${isByKey ? 'a key' : 'an account'}`)
    if (!isByKey && account === undefined) return problem(400, 'accountDoesNotExist', `no account ${header.kid}`)
    const key = account?.key ?? publicKey(header.jwk ?? {})
    if (key === undefined) return problem(400, 'badPublicKey', 'the key is none')
    const trouble = verified(jws, header, key)
    if (trouble !== undefined) return trouble
    const payload = (decode(jws.payload) || {}) as Readonly<Record<string, unknown>>
    if (kind === 'newAccount') return this.#accounts.register(key, header, payload)
    if (kind === 'revokeCert' && account === undefined) return this.#revoke(payload, undefined, key)
    if (account === undefined || account.status !== 'valid')
      return problem(403, 'unauthorized', `the account is ${account?.status}`)
    return (await this.#answer(kind, rest, { jws, payload, account, url })) ?? nothingAt(url)
  }

  #directory(): CaReply {
    const { profiles, terms, externalAccounts, renewalInfo: ari } = this.manners
    const there = ['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange'] as const
    const told = Object.entries(profiles).map(([name, { description = name }]) => [name, description])
    const meta = {
      ...(terms !== undefined && { termsOfService: terms }),
      ...(externalAccounts !== undefined && { externalAccountRequired: true }),
      ...(told.length > 0 && { profiles: Object.fromEntries(told) }),
    }
    const urls = [...there, ...(ari === 'absent' ? [] : (['renewalInfo'] as const))]
    return {
      status: 200,
      body: {
        ...Object.fromEntries(urls.map((name) => [name, this.#url(name)])),
        ...(Object.keys(meta).length > 0 && { meta }),
      },
    }
  }

  /** Undefined where there is nothing. */
  async #answer(
    kind: Kind,
    rest: readonly string[],
    { jws, payload, account, url }: Asked,
  ): Promise<CaReply | undefined> {
    const [id, second] = [Number(rest[0]), Number(rest[1] ?? 0)]
    switch (kind) {
      case 'account':
        if (id !== account.id) return notYours
        return this.#accounts.update(account, payload)
      case 'keyChange':
        return this.#accounts.changeKey(account, payload, url)
      case 'newOrder':
        return this.#orders.place(account.id, payload)
      case 'revokeCert':
        return this.#revoke(payload, account, undefined)
      case 'authorization':
      case 'challenge': {
        const authorization = this.#authorizations.all[id]
        if (authorization === undefined) return undefined
        if (authorization.account !== account.id) return notYours
        if (kind === 'challenge') {
          if (authorization.offers[second] === undefined) return undefined
          if (jws.payload !== '') return this.#authorizations.answer(authorization, second)
          this.#authorizations.look(authorization)
          return this.#authorizations.challenge(authorization, second)
        }
        if (payload['status'] === 'deactivated') authorization.status = 'deactivated'
        this.#authorizations.look(authorization)
        return this.#authorizations.reply(authorization)
      }
      case 'order':
      case 'finalize':
      case 'certificate': {
        const order = this.#orders.find(id)
        if (order === undefined) return undefined
        if (order.account !== account.id) return notYours
        if (kind === 'order') return this.#orders.look(order)
        if (kind === 'finalize') return this.#orders.finalize(order, String(payload['csr']))
        return this.#orders.download(order, second)
      }
      default:
        return undefined
    }
  }

  /** RFC 8555, 7.6: by the account that it was issued to, or by its own key. */
  #revoke(payload: Asked['payload'], account: Account | undefined, key: KeyObject | undefined): CaReply {
    const certificate = this.#certificates.byDer(String(payload['certificate']))
    if (certificate === undefined) return problem(404, 'malformed', 'there is no such certificate')
    const reason = payload['reason'] ?? 0
    if (![0, 1, 3, 4, 5].includes(Number(reason))) return problem(400, 'badRevocationReason', `not for ${reason}`)
    const mayDoIt =
      account?.id === certificate.account || (key !== undefined && this.#certificates.isKeyOf(certificate, key))
    if (!mayDoIt) return notYours
    if (certificate.revoked !== undefined) return problem(400, 'alreadyRevoked', 'it is revoked already')
    certificate.revoked = Number(reason)
    return { status: 200 }
  }
}

interface Asked {
  readonly jws: Jws
  readonly payload: Readonly<Record<string, unknown>>
  readonly account: Accounts['all'][number]
  readonly url: string
}

const notYours = problem(403, 'unauthorized', 'it belongs to another account')

const nothingAt = (url: string): CaReply => problem(404, 'malformed', `there is nothing at ${url}`)

const call = async (
  hooks: readonly Waiting[],
  when: 'before' | 'after',
  request: CaRequest,
): Promise<CaFault | undefined> => {
  let fault: CaFault | undefined
  for (const one of hooks) if ((one.when ?? 'before') === when) fault = (await one.hook(request)) ?? fault
  return fault
}

const parse = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

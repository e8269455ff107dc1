// The orders of the stub (RFC 8555, 7.4; RFC 9773, 5).
import type { Authorization, Authorizations, Identifier } from './authorizations.js'
import { type Certificates, type IssuedCertificate, readSigningRequest } from './certificates.js'
import type { Manners } from './manners.js'
import { type CaReply, problem, type UrlOf, withRetryAfter } from './reply.js'

export interface Order {
  /** Its place in the list of all. */
  readonly id: number
  /** Of its account, the place in the list of those. */
  readonly account: number
  readonly names: readonly string[]
  readonly profile: string | undefined
  /** The `certId` it came with, whatever was made of that. */
  readonly replaces: string | undefined
  readonly expires: Date
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid' | 'forgotten'
  /** How often finalizing was carried out, which is once at most. */
  readonly finalized: number
  /** Issued for it, perhaps while it is still processing. */
  readonly certificate: IssuedCertificate | undefined
}

interface Kept extends Order {
  readonly identifiers: readonly Identifier[]
  readonly authorizations: readonly Authorization[]
  status: Order['status']
  finalized: number
  certificate: IssuedCertificate | undefined
  looks: number
  /** The certificate is being made: no look finds the order done. */
  isIssuing: boolean
  error: object | undefined
}

type Payload = Readonly<Record<string, unknown>>

export class Orders {
  readonly all: Kept[] = []
  readonly #manners: Manners
  readonly #url: UrlOf
  readonly #authorizations: Authorizations
  readonly #certificates: Certificates

  constructor(manners: Manners, url: UrlOf, authorizations: Authorizations, certificates: Certificates) {
    this.#manners = manners
    this.#url = url
    this.#authorizations = authorizations
    this.#certificates = certificates
  }

  find(id: number): Kept | undefined {
    const order = this.all[id]
    return order?.status === 'forgotten' ? undefined : order
  }

  place(account: number, payload: Payload): CaReply {
    const identifiers = payload['identifiers']
    if (!isIdentifiers(identifiers)) return problem(400, 'malformed', 'the order names nothing')
    const [profile, replaces] = [payload['profile'], payload['replaces']]
    const refusal = this.#refusal(account, identifiers, profile, replaces)
    if (refusal !== undefined) return refusal
    const authorizations = identifiers.map((identifier) => this.#authorizations.open(account, identifier))
    const order: Kept = {
      id: this.all.length,
      account,
      names: identifiers.map(({ value }) => value),
      identifiers,
      profile: profile === undefined ? undefined : String(profile),
      replaces: replaces === undefined ? undefined : String(replaces),
      expires: new Date(Date.now() + this.#manners.ordersLast),
      status: authorizations.every(({ status }) => status === 'valid') ? 'ready' : 'pending',
      authorizations,
      finalized: 0,
      certificate: undefined,
      looks: 0,
      isIssuing: false,
      error: undefined,
    }
    this.all.push(order)
    return { ...this.reply(order), status: 201 }
  }

  look(order: Kept): CaReply {
    for (const one of order.authorizations) this.#authorizations.look(one)
    if (order.status === 'processing') {
      if (!order.isIssuing && ++order.looks >= this.#manners.processingLooks) this.#conclude(order)
    } else {
      this.#settle(order)
    }
    return this.reply(order)
  }

  async finalize(order: Kept, csr: string): Promise<CaReply> {
    const request = await readSigningRequest(csr)
    // From the question to the new state nothing is awaited, or one order could be finalized twice.
    this.#settle(order)
    if (order.status !== 'ready') return problem(403, 'orderNotReady', `the order is ${order.status}`)
    if (request === undefined) return problem(400, 'badCSR', 'it is none, or not signed by its own key')
    const asked = request.names.map((name) => name.toLowerCase()).sort()
    if (asked.join() !== [...order.names].sort().join())
      return problem(400, 'badCSR', `it asks for ${asked.join(', ')}, the order for ${order.names.join(', ')}`)
    order.status = 'processing'
    order.looks = 0
    order.finalized++
    order.isIssuing = true
    const { outcome, issues } = this.#manners
    if (outcome === 'valid' && issues !== 'nonsense')
      order.certificate = await this.#certificates.issue(request, {
        account: order.account,
        order: order.id,
        profile: order.profile,
        replaces: order.replaces,
      })
    order.isIssuing = false
    if (this.#manners.processingLooks <= 0) this.#conclude(order)
    return withRetryAfter(
      this.reply(order),
      order.status === 'processing' ? this.#manners.retryAfter.finalize : undefined,
    )
  }

  /** The chain, with the others as links (RFC 8555, 7.4.2). */
  async download(order: Kept, which: number): Promise<CaReply | undefined> {
    if (order.status !== 'valid') return undefined
    const { certificate } = order
    const body =
      certificate === undefined
        ? '<html>certificate is on its way</html>'
        : await this.#certificates.chain(certificate, which)
    if (body === undefined) return undefined
    const alternates = ['', ...this.#manners.alternateRoots]
      .map((_, i) => `<${this.#certificateUrl(order, i)}>;rel="alternate"`)
      .filter((_, i) => i !== which)
    return {
      status: 200,
      headers: {
        'content-type': 'application/pem-certificate-chain',
        ...(alternates.length > 0 && { link: alternates.join(', ') }),
      },
      body,
    }
  }

  /** Whatever it was before. */
  end(order: Kept, error: CaReply | undefined): void {
    order.status = 'invalid'
    order.error = error?.body as object | undefined
  }

  reply(order: Kept): CaReply {
    const { id, status, expires, identifiers, authorizations, profile, replaces, error } = order
    const isUnderWay = status === 'pending' || status === 'processing'
    const reply: CaReply = {
      status: 200,
      headers: { location: this.#url('order', id) },
      body: {
        status,
        expires: expires.toISOString(),
        identifiers,
        authorizations: authorizations.map((one) => this.#url('authorization', one.id)),
        finalize: this.#url('finalize', id),
        profile,
        replaces: this.#isAri ? replaces : undefined,
        error,
        ...(status === 'valid' && { certificate: this.#certificateUrl(order, 0) }),
      },
    }
    return withRetryAfter(reply, isUnderWay ? this.#manners.retryAfter.order : undefined)
  }

  get #isAri(): boolean {
    return this.#manners.renewalInfo !== 'absent'
  }

  #certificateUrl({ id }: Order, which: number): string {
    return which === 0 ? this.#url('certificate', id) : this.#url('certificate', id, which)
  }

  #settle(order: Kept): void {
    if (order.status !== 'pending' && order.status !== 'ready') return
    const states = order.authorizations.map(({ status }) => status)
    if (order.expires.getTime() <= Date.now()) this.end(order, problem(400, 'malformed', 'the order has expired'))
    else if (states.some((one) => one === 'invalid' || one === 'deactivated')) this.end(order, undefined)
    else if (
      order.status === 'pending' &&
      states.every((one) => one === 'valid') &&
      order.looks++ >= this.#manners.pendingLooks
    )
      order.status = 'ready'
  }

  #conclude(order: Kept): void {
    const { outcome } = this.#manners
    if (order.certificate === undefined && outcome !== 'valid') this.end(order, outcome)
    else order.status = 'valid'
  }

  #refusal(
    account: number,
    identifiers: readonly Identifier[],
    profile: unknown,
    replaces: unknown,
  ): CaReply | undefined {
    const { orderLimit, profiles, replacing } = this.#manners
    const isRenewal = this.#isAri && replaces !== undefined
    if (isRenewal) {
      const refusal = replacing === 'checked' ? this.#replacement(account, identifiers, replaces) : replacing
      if (refusal !== undefined) return refusal
    }
    if (profile !== undefined && !Object.hasOwn(profiles, String(profile)))
      return problem(400, 'invalidProfile', `there is no profile ${String(profile)}`)
    if (orderLimit === undefined || this.all.length < orderLimit.orders) return undefined
    if (isRenewal && orderLimit.sparesRenewals) return undefined
    return withRetryAfter(problem(429, 'rateLimited', 'too many orders'), orderLimit.retryAfter)
  }

  #replacement(account: number, identifiers: readonly Identifier[], replaces: unknown): CaReply | undefined {
    if (typeof replaces !== 'string' || !/^[\w-]+\.[\w-]+$/.test(replaces))
      return problem(400, 'malformed', 'what is to be replaced is no certID')
    const certificate = this.#certificates.byCertId(replaces)
    if (certificate === undefined) return problem(404, 'malformed', 'the certificate to replace is not known')
    if (certificate.account !== account)
      return problem(400, 'malformed', 'the certificate to replace is of another account')
    if (!identifiers.some(({ value }) => certificate.names.includes(value)))
      return problem(400, 'malformed', 'the certificate to replace has none of these names')
    const isReplaced = this.all.some((order) => order.replaces === replaces && order.status !== 'invalid')
    return isReplaced ? problem(409, 'alreadyReplaced', 'there is another order that replaces it') : undefined
  }
}

const isIdentifiers = (value: unknown): value is readonly Identifier[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one?.value === 'string')

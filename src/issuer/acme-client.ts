import type { KeyObject } from 'node:crypto'
import type { Client as AcmeClient } from 'acme-client'
import { CertError, systemCode } from '../errors.js'
import { interrupted, patiently, unlessAborted, withDeadline } from '../patience.js'
import { retryAfter } from '../retry-after.js'
import type { Secret } from '../secret.js'
import { version } from '../version.js'
import type { CaAnswer, CaConnection } from './ca-connection.js'
import { NoncePool } from './nonce-pool.js'
import { explainProblem, explainSilence, type Problem, parseJson, readProblem } from './problem.js'

/** The CA's table of contents (RFC 8555, 7.1.1); URLs and what it says of itself. */
export interface Directory {
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
  readonly meta?: { readonly termsOfService?: string | undefined } | undefined
}

export interface Identifier {
  readonly type: 'dns' | 'ip'
  readonly value: string
}

export interface Order {
  readonly url: string
  readonly status: string
  readonly authorizations: readonly string[]
  readonly finalize: string
  readonly certificate: string | undefined
  readonly problem: Problem | undefined
  /** How long the CA asks to wait before the next look, in ms. */
  readonly retryAfter: number | undefined
}

export interface Authorization {
  readonly status: string
  readonly identifier: Identifier
  readonly challenges: readonly AcmeChallenge[]
}

export interface AcmeChallenge {
  readonly type: string
  readonly url: string
  readonly token: string
  readonly status: string
  readonly problem: Problem | undefined
}

export interface SessionOptions {
  readonly directoryUrl: string
  /** How errors name the CA. */
  readonly ca: string
  readonly connection: CaConnection
  readonly accountKey: KeyObject
  readonly accountUrl: string | undefined
  readonly externalAccount: { readonly kid: string; readonly hmacKey: Secret } | undefined
  /** As it was found in an earlier run. */
  readonly directory: Directory | undefined
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly signal: AbortSignal
  readonly trace?: ((line: string) => void) | undefined
}

// With a tenth of the nonces rejected, or with three tenths as in a test, five tries are not enough for every one of
// hundreds of requests.
const badNonceTries = 20
// In ms.
const longestLook = 20_000

/**
 * What ACME asks of a client, one method for each of its requests: the one door to acme-client, which builds and signs
 * them. Sending is ours: the package's own way posts a signed request anew after a failure, knows no deadline, and
 * hides what a CA says.
 */
export class AcmeSession {
  readonly #options: SessionOptions
  readonly #nonces: NoncePool
  readonly #retryAfter = new WeakMap<object, number>()
  #directory: Promise<Directory> | undefined
  #client: Promise<RawClient> | undefined
  /** Consecutive refusals of a nonce, by URL. */
  readonly #badNonces = new Map<string, number>()

  constructor(options: SessionOptions) {
    this.#options = options
    this.#directory = isDirectory(options.directory) ? Promise.resolve(options.directory) : undefined
    this.#nonces = new NoncePool(() => this.#fetchNonce())
  }

  /**
   * Gets everything ready that the first request needs, so that it can be waited for together: the CA's table of
   * contents, nonces, and the package itself.
   * @param nonces how many requests will go out side by side
   */
  async begin(nonces: number): Promise<void> {
    const first = this.#firstNonce()
    this.directory()
      .then(() => this.#nonces.prepare(nonces - 1))
      // `first` reports it.
      .catch(() => undefined)
    // Loaded while the answers are on their way.
    await Promise.all([this.#load(), first.then((nonce) => this.#nonces.give(nonce))])
  }

  /** Shows whether what an earlier run had kept of the table of contents still holds; if not, a new one is fetched. */
  async #firstNonce(): Promise<string> {
    if (this.#directory !== undefined) {
      try {
        return await this.#doing('asking for a nonce', () => this.#askForNonce())
      } catch (error) {
        if (this.#options.signal.aborted) throw error
        this.#directory = undefined
      }
    }
    return await this.#fetchNonce()
  }

  directory(): Promise<Directory> {
    this.#directory ??= this.#fetchDirectory()
    return this.#directory
  }

  /** Registers the account, or finds it where the CA knows its key already. @returns its URL */
  async createAccount(contact: readonly string[]): Promise<string> {
    const client = await this.#load()
    const data = { termsOfServiceAgreed: true, ...(contact.length > 0 && { contact: [...contact] }) }
    const answer = await this.#doing('registering an account', () => client.api.createAccount(data))
    const url = answer.headers['location']
    if (url === undefined) throw this.#nonsense('registering an account', 'no address of the account')
    return url
  }

  async newOrder(identifiers: readonly Identifier[]): Promise<Order> {
    const client = await this.#load()
    const doing = `placing an order for ${identifiers
      .map(({ value }) => value)
      .join(', ')
      .slice(0, 200)}`
    const ordering = this.#doing(doing, () => client.api.createOrder({ identifiers }))
    // What follows goes out side by side, once for each name; the nonces for it travel beside the order.
    this.#nonces.prepare(identifiers.length)
    const answer = await ordering
    const url = answer.headers['location']
    if (url === undefined) throw this.#nonsense(doing, 'no address of the order')
    return this.#readOrder(url, answer.data)
  }

  async getOrder(url: string): Promise<Order> {
    const client = await this.#load()
    const answer = await this.#looking('looking at the order', () => client.api.getOrder(url))
    return this.#readOrder(url, answer.data)
  }

  async getAuthorization(url: string): Promise<Authorization> {
    const client = await this.#load()
    const answer = await this.#looking('reading an authorization', () => client.api.getAuthorization(url))
    if (typeof answer.data !== 'object' || answer.data === null) {
      throw this.#nonsense('reading an authorization', 'no authorization')
    }
    return readAuthorization(answer.data)
  }

  /** What has to be shown at the challenge's place (RFC 8555, 8.1). */
  async answerTo(challenge: AcmeChallenge): Promise<string> {
    return await (await this.#load()).getChallengeKeyAuthorization(challenge)
  }

  /** Tells the CA that the answer is in place. */
  async respond(challenge: AcmeChallenge): Promise<void> {
    const client = await this.#load()
    await this.#doing('answering a challenge', () => client.api.completeChallenge(challenge.url, {}))
  }

  /** @param request the certificate signing request, DER */
  async finalize(order: Order, request: Buffer): Promise<Order> {
    const client = await this.#load()
    const data = { csr: request.toString('base64url') }
    const answer = await this.#doing('finalizing the order', () => client.api.finalizeOrder(order.finalize, data))
    return this.#readOrder(order.url, answer.data)
  }

  /** @returns PEM, leaf first */
  async certificate(url: string): Promise<string> {
    const client = await this.#load()
    const answer = await this.#looking('fetching the certificate', () => client.api.apiRequest(url, null, [200]))
    return typeof answer.data === 'string' ? answer.data : ''
  }

  close(): void {
    this.#nonces.close()
  }

  #load(): Promise<RawClient> {
    this.#client ??= this.#newClient()
    return this.#client
  }

  async #newClient(): Promise<RawClient> {
    const { Client } = await import('acme-client')
    const { accountKey, accountUrl, directoryUrl, externalAccount } = this.#options
    const client = new Client({
      directoryUrl,
      // Only so that there is one; the key itself is set below, which saves parsing it for every signature.
      accountKey: '',
      ...(accountUrl !== undefined && { accountUrl }),
      ...(externalAccount && {
        externalAccountBinding: { kid: externalAccount.kid, hmacKey: externalAccount.hmacKey.reveal() },
      }),
    }) as AcmeClient & RawClient
    client.http.accountKey = accountKey
    client.http.maxBadNonceRetries = Number.POSITIVE_INFINITY
    client.http.getDirectory = () => this.directory()
    client.http.getNonce = () => this.#nonces.take()
    client.http.request = (url, method, request) => this.#post(url, method, request?.data)
    return client
  }

  /** One signed request, sent exactly once. A bad nonce goes back to the package, which signs with the new one. */
  async #post(url: string, method: string, data: unknown): Promise<RawAnswer> {
    if (method !== 'post') throw new Error(`acme-client was not expected to send ${method} by itself`)
    const isLook = (data as { readonly payload?: string }).payload === ''
    const answer = await this.#send('POST', url, isLook, JSON.stringify(data)).catch((error: unknown) => {
      throw new Unanswered(error)
    })
    const nonce = answer.headers['replay-nonce']
    const parsed = /json/.test(answer.headers['content-type'] ?? '') ? parseJson(answer.body) : answer.body
    const isBadNonce = answer.status === 400 && readProblem(parsed).type === 'badNonce'
    const refusals = isBadNonce ? (this.#badNonces.get(url) ?? 0) + 1 : 0
    this.#badNonces.set(url, refusals)
    if (isBadNonce && refusals <= badNonceTries) return { status: answer.status, headers: answer.headers, data: parsed }
    if (nonce !== undefined) this.#nonces.give(nonce)
    if (answer.status >= 400) throw new Refused(answer)
    const pause = retryAfter(answer.headers)
    if (typeof parsed === 'object' && parsed !== null && pause !== undefined) this.#retryAfter.set(parsed, pause)
    return { status: answer.status, headers: answer.headers, data: parsed }
  }

  async #send(method: 'GET' | 'HEAD' | 'POST', url: string, isLook = true, body?: string): Promise<CaAnswer> {
    const { connection, signal, trace, timeout } = this.#options
    const start = performance.now()
    // What only looks is asked again, so one silent connection must not use up all the time there is.
    const limit = isLook ? Math.min(timeout, longestLook) : timeout
    const headers = {
      'user-agent': `acme-oss/${version}`,
      ...(body !== undefined && { 'content-type': 'application/jose+json' }),
    }
    const answer = await withDeadline(limit, signal, (both) =>
      connection.request({ method, url, headers, body, signal: both }),
    )
    trace?.(`${method} ${url} ${answer.status} in ${Math.round(performance.now() - start)} ms`)
    return answer
  }

  async #fetchNonce(): Promise<string> {
    const directory = await this.directory()
    return await this.#looking('asking for a nonce', () => this.#askForNonce(directory))
  }

  async #askForNonce(directory?: Directory): Promise<string> {
    const { newNonce } = directory ?? (await this.directory())
    const head = await this.#send('HEAD', newNonce)
    if (head.status >= 400) throw new Refused(head)
    const nonce = head.headers['replay-nonce']
    if (nonce === undefined) throw this.#nonsense('asking for a nonce', 'no nonce')
    return nonce
  }

  async #fetchDirectory(): Promise<Directory> {
    const { directoryUrl } = this.#options
    const doing = `reading the directory ${directoryUrl}`
    const answer = await this.#looking(doing, async () => {
      const got = await this.#send('GET', directoryUrl)
      if (got.status >= 400) throw new Refused(got)
      return got
    })
    const directory = parseJson(answer.body)
    if (!isDirectory(directory)) {
      throw new CertError('CA_REFUSED', `${doing}: that is not an ACME directory`, {
        hint: 'check --ca: it takes the URL of the directory, such as https://acme-v02.api.letsencrypt.org/directory',
      })
    }
    return directory
  }

  /** Something that changes nothing at the CA, and so can be asked again. */
  async #looking<T>(doing: string, ask: () => Promise<T>): Promise<T> {
    const { timeout, signal, trace } = this.#options
    return await patiently((attempt) => this.#doing(doing, () => unlessAborted(ask(), attempt)), {
      timeout,
      signal,
      onRetry: (error, pause) => trace?.(`${error.message}; trying again in ${Math.round(pause)} ms`),
    })
  }

  async #doing<T>(doing: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      if (this.#options.signal.aborted) throw interrupted()
      if (error instanceof CertError) throw error
      if (error instanceof Refused) throw explainProblem(error.answer, doing, this.#options.ca)
      if (error instanceof Unanswered) throw explainSilence(error.cause, doing, this.#options.ca)
      if (error instanceof Error && systemCode(error) === undefined && error.name === 'Error') {
        // What acme-client throws of an answer that it did not expect.
        throw this.#nonsense(doing, 'an answer that is none')
      }
      throw explainSilence(error, doing, this.#options.ca)
    }
  }

  #nonsense(doing: string, what: string): CertError {
    return new CertError('CA_REFUSED', `${doing}: ${this.#options.ca} gave ${what}`, {
      hint: 'check --ca: does it speak ACME (RFC 8555)?',
    })
  }

  #readOrder(url: string, data: unknown): Order {
    if (typeof data !== 'object' || data === null) throw this.#nonsense('reading the order', 'no order')
    const order = data as Readonly<Record<string, unknown>>
    return {
      url,
      status: String(order['status']),
      authorizations: Array.isArray(order['authorizations']) ? order['authorizations'].map(String) : [],
      finalize: String(order['finalize']),
      certificate: typeof order['certificate'] === 'string' ? order['certificate'] : undefined,
      problem: order['error'] === undefined ? undefined : readProblem(order['error']),
      retryAfter: this.#retryAfter.get(order),
    }
  }
}

const readAuthorization = (data: unknown): Authorization => {
  const authorization = data as Readonly<Record<string, unknown>>
  const identifier = (authorization['identifier'] ?? {}) as Readonly<Record<string, unknown>>
  const challenges = Array.isArray(authorization['challenges']) ? authorization['challenges'] : []
  return {
    status: String(authorization['status']),
    identifier: { type: identifier['type'] === 'ip' ? 'ip' : 'dns', value: String(identifier['value']) },
    challenges: challenges.map((one: Readonly<Record<string, unknown>>) => ({
      type: String(one['type']),
      url: String(one['url']),
      token: String(one['token'] ?? ''),
      status: String(one['status']),
      problem: one['error'] === undefined ? undefined : readProblem(one['error']),
    })),
  }
}

const isDirectory = (value: unknown): value is Directory =>
  typeof value === 'object' &&
  value !== null &&
  ['newNonce', 'newAccount', 'newOrder'].every((name) => isUrl((value as Record<string, unknown>)[name]))

const isUrl = (value: unknown): boolean => typeof value === 'string' && URL.canParse(value)

/** A signed request to which nothing came back. */
class Unanswered extends Error {
  constructor(cause: unknown) {
    super('no answer', { cause })
  }
}

/** An answer that says no; explained where it is known what was asked. */
class Refused extends Error {
  readonly answer: CaAnswer

  constructor(answer: CaAnswer) {
    super(`HTTP ${answer.status}`)
    this.answer = answer
  }
}

/** The part of acme-client that its types leave out: its low-level API, whose pieces are replaced one by one. */
interface RawClient {
  readonly http: {
    accountKey: KeyObject
    maxBadNonceRetries: number
    getDirectory: () => Promise<Directory>
    getNonce: () => Promise<string>
    request: (url: string, method: string, request?: { readonly data?: unknown }) => Promise<RawAnswer>
  }
  readonly api: {
    apiRequest(url: string, payload: null, validStatusCodes: readonly number[]): Promise<RawAnswer>
    createAccount(data: object): Promise<RawAnswer>
    createOrder(data: object): Promise<RawAnswer>
    getOrder(url: string): Promise<RawAnswer>
    getAuthorization(url: string): Promise<RawAnswer>
    completeChallenge(url: string, data: object): Promise<RawAnswer>
    finalizeOrder(url: string, data: object): Promise<RawAnswer>
  }
  getChallengeKeyAuthorization(challenge: AcmeChallenge): Promise<string>
}

interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly data: unknown
}

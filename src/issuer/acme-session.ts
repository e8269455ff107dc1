import type { KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import { retryAfter } from '../retry-after.js'
import { type ExternalAccount, openSigner, type RawAnswer, type Signer } from './acme-client.js'
import { CaExchange, type ExchangeOptions, Refused, Unanswered } from './ca-exchange.js'
import { alternatesIn } from './link-header.js'
import { NoncePool } from './nonce-pool.js'
import { parseJson, readProblem } from './problem.js'
import {
  type AccountState,
  type AcmeChallenge,
  type Authorization,
  type Directory,
  type Identifier,
  type Order,
  type OrderOptions,
  readAccountState,
  readAuthorization,
  readOrder,
} from './protocol.js'
import { askRenewalInfo, type RenewalInfo } from './renewal-info.js'
import { type RevocationReason, reasonCode } from './revocation-reason.js'

export interface SessionOptions extends ExchangeOptions {
  readonly accountKey: KeyObject
  readonly accountUrl: string | undefined
  readonly externalAccount: ExternalAccount | undefined
}

/** A certificate as the CA hands it out. */
export interface IssuedChain {
  /** Leaf first. */
  readonly pem: string
  /** Where the same leaf lies with other chains above it. */
  readonly alternates: readonly string[]
}

// With a tenth of the nonces rejected, or with three tenths as in a test, five tries are not enough for every one of
// hundreds of requests.
const badNonceTries = 20

/** What ACME asks of a client, one method for each of its requests. */
export class AcmeSession {
  readonly #options: SessionOptions
  readonly #exchange: CaExchange
  readonly #nonces: NoncePool
  readonly #retryAfter = new WeakMap<object, number>()
  #accountKey: KeyObject
  #accountUrl: string | undefined
  #signer: Promise<Signer> | undefined
  /** Consecutive refusals of a nonce, by URL. */
  readonly #badNonces = new Map<string, number>()

  constructor(options: SessionOptions) {
    this.#options = options
    this.#accountKey = options.accountKey
    this.#accountUrl = options.accountUrl
    this.#exchange = new CaExchange(options)
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
    if (this.#options.directory !== undefined) {
      try {
        return await this.#exchange.doing('asking for a nonce', () => this.#askForNonce())
      } catch (error) {
        if (this.#options.signal.aborted) throw error
        this.#exchange.forgetDirectory()
      }
    }
    return await this.#fetchNonce()
  }

  directory(): Promise<Directory> {
    return this.#exchange.directory()
  }

  /** Registers the account, or finds it where the CA knows its key already. @returns its URL */
  async createAccount(contact: readonly string[]): Promise<string> {
    const { api } = await this.#load()
    const phrase = 'registering an account'
    const data = { termsOfServiceAgreed: true, ...(contact.length > 0 && { contact: [...contact] }) }
    const answer = await this.#exchange.doing(phrase, () => api.createAccount(data))
    const url = answer.headers['location']
    if (url === undefined) throw this.#exchange.nonsense(phrase, 'no address of the account')
    this.#accountUrl = url
    return url
  }

  /** The URL of the account that has this key; undefined where the CA knows none. */
  async findAccount(): Promise<string | undefined> {
    const { api } = await this.#load()
    const phrase = 'looking for the account'
    try {
      const answer = await this.#exchange.looking(phrase, () => api.createAccount({ onlyReturnExisting: true }))
      const url = answer.headers['location']
      if (url === undefined) throw this.#exchange.nonsense(phrase, 'no address of the account')
      this.#accountUrl = url
      return url
    } catch (error) {
      if (error instanceof CertError && error.vendor?.code === 'accountDoesNotExist') return undefined
      throw error
    }
  }

  /** What the CA has on record of the account. */
  async account(): Promise<AccountState> {
    const phrase = 'looking at the account'
    return this.#readAccount(phrase, await this.#fetch(this.#requireAccount(), phrase))
  }

  /** @param contact URLs, instead of those that the CA has */
  async updateAccount({ contact }: { readonly contact: readonly string[] }): Promise<AccountState> {
    const { api } = await this.#load()
    const phrase = 'updating the account'
    const url = this.#requireAccount()
    const answer = await this.#exchange.doing(phrase, () => api.apiRequest(url, { contact }, [200, 202]))
    return this.#readAccount(phrase, answer)
  }

  /** Gives the account another key (RFC 8555, 7.3.5), with which the session goes on. */
  async changeKey(key: KeyObject): Promise<void> {
    const phrase = 'changing the account key'
    const account = this.#requireAccount()
    const { keyChange } = await this.directory()
    if (keyChange === undefined) throw this.#notOffered(phrase, 'keyChange')
    const [signer, next] = await Promise.all([this.#load(), this.#signerWith(key, account)])
    // Signed by both: by the new key that it wants this account, by the old one that it may have it.
    const wish = next.http.createSignedBody(keyChange, { account, oldKey: signer.http.getJwk() })
    await this.#exchange.doing(phrase, () => signer.api.apiRequest(keyChange, wish, [200]))
    this.#accountKey = key
    this.#signer = Promise.resolve(next)
  }

  /**
   * Revokes a certificate (RFC 8555, 7.6).
   * @param certificate the leaf, DER
   * @param by in whose name: the account's, or that of the certificate's own key
   */
  async revoke(
    certificate: Buffer,
    reason: RevocationReason,
    by: 'account' | { readonly key: KeyObject },
  ): Promise<void> {
    const phrase = 'revoking the certificate'
    const { revokeCert } = await this.directory()
    if (revokeCert === undefined) throw this.#notOffered(phrase, 'revokeCert')
    if (by === 'account') this.#requireAccount()
    const { api } = await (by === 'account' ? this.#load() : this.#signerWith(by.key, undefined))
    const code = reasonCode(reason)
    const data = { certificate: certificate.toString('base64url'), ...(code !== undefined && { reason: code }) }
    const options = { includeJwsKid: by === 'account' }
    await this.#exchange.doing(phrase, () => api.apiRequest(revokeCert, data, [200], options))
  }

  async newOrder(identifiers: readonly Identifier[], { profile, replaces }: OrderOptions = {}): Promise<Order> {
    const { api } = await this.#load()
    const phrase = `placing an order for ${identifiers
      .map(({ value }) => value)
      .join(', ')
      .slice(0, 200)}`
    const data = { identifiers, ...(profile !== undefined && { profile }), ...(replaces !== undefined && { replaces }) }
    const ordering = this.#exchange.doing(phrase, () => api.createOrder(data))
    // What follows goes out side by side, once for each name; the nonces for it travel beside the order.
    this.#nonces.prepare(identifiers.length)
    const answer = await ordering
    const url = answer.headers['location']
    if (url === undefined) throw this.#exchange.nonsense(phrase, 'no address of the order')
    return this.#readOrder(url, answer.data)
  }

  async getOrder(url: string): Promise<Order> {
    const { api } = await this.#load()
    const answer = await this.#exchange.looking('looking at the order', () => api.getOrder(url))
    return this.#readOrder(url, answer.data)
  }

  async getAuthorization(url: string): Promise<Authorization> {
    const { api } = await this.#load()
    const phrase = 'reading an authorization'
    const answer = await this.#exchange.looking(phrase, () => api.getAuthorization(url))
    const authorization = readAuthorization(answer.data)
    if (authorization === undefined) throw this.#exchange.nonsense(phrase, 'no authorization')
    return authorization
  }

  /** What has to be shown at the challenge's place (RFC 8555, 8.1). */
  async answerTo(challenge: AcmeChallenge): Promise<string> {
    return await (await this.#load()).getChallengeKeyAuthorization(challenge)
  }

  /** Tells the CA that the answer is in place. */
  async respond(challenge: AcmeChallenge): Promise<void> {
    const { api } = await this.#load()
    await this.#exchange.doing('answering a challenge', () => api.completeChallenge(challenge.url, {}))
  }

  /** @param request the certificate signing request, DER */
  async finalize(order: Order, request: Buffer): Promise<Order> {
    const { api } = await this.#load()
    const data = { csr: request.toString('base64url') }
    const answer = await this.#exchange.doing('finalizing the order', () => api.finalizeOrder(order.finalize, data))
    return this.#readOrder(order.url, answer.data)
  }

  async certificate(url: string): Promise<IssuedChain> {
    const answer = await this.#fetch(url, 'fetching the certificate')
    return { pem: textOf(answer), alternates: alternatesIn(answer.headers['link'], url) }
  }

  /** The same certificate with another chain. @param url one of its `alternates` @returns PEM, leaf first */
  async alternate(url: string): Promise<string> {
    return textOf(await this.#fetch(url, 'fetching the certificate with another chain'))
  }

  /** Does the CA say when it would like certificates to be renewed? */
  async offersRenewalInfo(): Promise<boolean> {
    return (await this.directory()).renewalInfo !== undefined
  }

  /** @param certId as `renewalId` gives it */
  async renewalInfo(certId: string): Promise<RenewalInfo> {
    return await askRenewalInfo(this.#exchange, certId)
  }

  close(): void {
    this.#nonces.close()
  }

  #requireAccount(): string {
    if (this.#accountUrl !== undefined) return this.#accountUrl
    throw new CertError('CA_REFUSED', `${this.#options.ca} has given us no account yet`, {
      hint: 'the first acme-oss issue-and-deploy --agree-tos registers one',
    })
  }

  #readAccount(phrase: string, { data }: RawAnswer): AccountState {
    const account = readAccountState(data)
    if (account === undefined) throw this.#exchange.nonsense(phrase, 'no account')
    return account
  }

  #notOffered(phrase: string, entry: string): CertError {
    return new CertError('CA_REFUSED', `${phrase}: ${this.#options.ca} does not offer it`, {
      hint: `its directory (${this.#options.directoryUrl}) names no ${entry}`,
    })
  }

  async #fetch(url: string, phrase: string): Promise<RawAnswer> {
    const { api } = await this.#load()
    return await this.#exchange.looking(phrase, () => api.apiRequest(url, null, [200]))
  }

  #load(): Promise<Signer> {
    this.#signer ??= this.#signerWith(this.#accountKey, this.#accountUrl)
    return this.#signer
  }

  #signerWith(key: KeyObject, accountUrl: string | undefined): Promise<Signer> {
    return openSigner({
      directoryUrl: this.#options.directoryUrl,
      key,
      accountUrl,
      externalAccount: this.#options.externalAccount,
      directory: () => this.directory(),
      nonce: () => this.#nonces.take(),
      post: (url, data) => this.#post(url, data),
    })
  }

  /** One signed request, sent exactly once. A bad nonce goes back to the package, which signs with the new one. */
  async #post(url: string, data: unknown): Promise<RawAnswer> {
    const isLook = (data as { readonly payload?: string }).payload === ''
    const answer = await this.#exchange.send('POST', url, isLook, JSON.stringify(data)).catch((error: unknown) => {
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

  async #fetchNonce(): Promise<string> {
    await this.directory()
    return await this.#exchange.looking('asking for a nonce', () => this.#askForNonce())
  }

  async #askForNonce(): Promise<string> {
    const { newNonce } = await this.directory()
    const head = await this.#exchange.get(newNonce, 'HEAD')
    const nonce = head.headers['replay-nonce']
    if (nonce === undefined) throw this.#exchange.nonsense('asking for a nonce', 'no nonce')
    return nonce
  }

  #readOrder(url: string, data: unknown): Order {
    const pause = typeof data === 'object' && data !== null ? this.#retryAfter.get(data) : undefined
    const order = readOrder(url, data, pause)
    if (order === undefined) throw this.#exchange.nonsense('reading the order', 'no order')
    return order
  }
}

const textOf = ({ data }: RawAnswer): string => (typeof data === 'string' ? data : '')

// The accounts of the stub (RFC 8555, 7.3).
import type { JsonWebKey, KeyObject } from 'node:crypto'
import {
  algorithms,
  decode,
  isJws,
  isMacOf,
  isSignedBy,
  type Jws,
  type Protected,
  publicKey,
  thumbprint,
} from './jws.js'
import type { Manners } from './manners.js'
import { type CaReply, problem, type UrlOf } from './reply.js'

export interface Account {
  /** Its place in the list of all. */
  readonly id: number
  readonly contact: readonly string[]
  readonly status: 'valid' | 'deactivated' | 'forgotten'
  /** The key id of the external account that it is bound to. */
  readonly external: string | undefined
  /** Of its key (RFC 7638). */
  readonly thumbprint: string
}

interface Kept extends Account {
  contact: readonly string[]
  status: Account['status']
  thumbprint: string
  /** Kept, since making one of a JWK costs more than to check what it signed. */
  key: KeyObject
}

type Payload = Readonly<Record<string, unknown>>

export class Accounts {
  readonly all: Kept[] = []
  readonly #manners: Manners
  readonly #url: UrlOf

  constructor(manners: Manners, url: UrlOf) {
    this.#manners = manners
    this.#url = url
  }

  forget(): void {
    for (const account of this.all) account.status = 'forgotten'
  }

  /** By its URL, wherever the CA has moved since. */
  byUrl(url: string): Kept | undefined {
    const account = this.all[Number(/\/\d+\/account\/(\d+)$/.exec(url)?.[1] ?? Number.NaN)]
    return account?.status === 'forgotten' ? undefined : account
  }

  register(key: KeyObject, { jwk = {}, url }: Protected, payload: Payload): CaReply {
    const known = this.#byKey(jwk)
    if (known?.status === 'deactivated') return problem(403, 'unauthorized', 'the account is deactivated')
    if (known !== undefined) return this.reply(known)
    if (payload['onlyReturnExisting'] === true) return problem(400, 'accountDoesNotExist', 'no account has this key')
    if (this.#manners.terms !== undefined && payload['termsOfServiceAgreed'] !== true)
      return problem(403, 'userActionRequired', `agree to ${this.#manners.terms}`)
    const external = this.#externalOf(payload['externalAccountBinding'], jwk, url)
    if (typeof external === 'object') return external
    const account: Kept = {
      id: this.all.length,
      contact: contactOf(payload) ?? [],
      status: 'valid',
      external,
      thumbprint: thumbprint(jwk),
      key,
    }
    this.all.push(account)
    return { ...this.reply(account), status: 201 }
  }

  /** Looks at it, or changes it. */
  update(account: Kept, payload: Payload): CaReply {
    account.contact = contactOf(payload) ?? account.contact
    if (payload['status'] === 'deactivated') account.status = 'deactivated'
    return this.reply(account)
  }

  /** RFC 8555, 7.3.5: what is signed by the account's key holds a JWS signed by the new one. */
  changeKey(account: Kept, inner: unknown, url: string): CaReply {
    if (!isJws(inner)) return problem(400, 'malformed', 'there is no JWS within')
    const { jwk, alg, url: signedFor, nonce } = decode(inner.protected) as Protected
    const { account: named, oldKey } = (decode(inner.payload) || {}) as { account?: string; oldKey?: JsonWebKey }
    const key = jwk && publicKey(jwk)
    if (jwk === undefined || key === undefined) return problem(400, 'badPublicKey', 'the new key is none')
    if (!isSignedBy(inner, alg, key)) return problem(400, 'malformed', 'the new key has not signed')
    if (signedFor !== url || nonce !== undefined) return problem(400, 'malformed', 'the inner header is wrong')
    if (this.byUrl(named ?? '') !== account) return problem(400, 'malformed', 'it is about another account')
    if (oldKey === undefined || thumbprint(oldKey) !== account.thumbprint)
      return problem(400, 'malformed', 'the old key is another one')
    const holder = this.#byKey(jwk)
    if (holder !== undefined) {
      const conflict = problem(409, 'malformed', 'an account has that key already')
      return { ...conflict, headers: { ...conflict.headers, location: this.#url('account', holder.id) } }
    }
    account.key = key
    account.thumbprint = thumbprint(jwk)
    return this.reply(account)
  }

  reply({ id, status, contact }: Kept): CaReply {
    return { status: 200, headers: { location: this.#url('account', id) }, body: { status, contact } }
  }

  #byKey(jwk: JsonWebKey): Kept | undefined {
    const print = thumbprint(jwk)
    return this.all.find((account) => account.thumbprint === print && account.status !== 'forgotten')
  }

  /** The key id of the binding (RFC 8555, 7.3.4), or what is wrong with it. */
  #externalOf(binding: unknown, jwk: JsonWebKey, url: string | undefined): string | undefined | CaReply {
    const known = this.#manners.externalAccounts
    if (known === undefined) return undefined
    if (binding === undefined) return problem(403, 'externalAccountRequired', 'who are you elsewhere?')
    if (!isJws(binding)) return problem(400, 'malformed', 'the external account binding is no JWS')
    const header = decode(binding.protected) as Protected
    const secret = Object.hasOwn(known, header.kid ?? '') ? known[header.kid ?? ''] : undefined
    if (secret === undefined) return problem(403, 'unauthorized', `nobody is known as ${header.kid}`)
    if (!isMacOf(binding, header.alg, secret))
      return problem(403, 'unauthorized', 'the binding is not signed by its key')
    if (
      header.url !== url ||
      header.nonce !== undefined ||
      thumbprint(decode(binding.payload) as JsonWebKey) !== thumbprint(jwk)
    )
      return problem(400, 'malformed', 'the binding is for something else')
    return header.kid
  }
}

/** What is wrong with a signature. */
export const verified = (jws: Jws, header: Protected, key: KeyObject): CaReply | undefined => {
  if (!algorithms.includes(header.alg ?? ''))
    return problem(400, 'badSignatureAlgorithm', `${header.alg} is not known here`, { algorithms })
  return isSignedBy(jws, header.alg, key) ? undefined : problem(400, 'malformed', 'the signature is wrong')
}

const contactOf = (payload: Payload): readonly string[] | undefined =>
  Array.isArray(payload['contact']) ? payload['contact'].map(String) : undefined

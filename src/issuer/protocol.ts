import { type Problem, readProblem } from './problem.js'

// What a CA and its clients say to each other (RFC 8555, 7.1), as far as we listen: whatever a CA sends is read into one
// of these before anything else looks at it.

/** The CA's table of contents; URLs and what it says of itself. What it does not offer is undefined. */
export interface Directory {
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
  readonly revokeCert?: string | undefined
  readonly keyChange?: string | undefined
  /** When to renew (RFC 9773). */
  readonly renewalInfo?: string | undefined
  readonly meta?: DirectoryMeta | undefined
}

interface DirectoryMeta {
  readonly termsOfService?: string | undefined
  readonly externalAccountRequired?: boolean | undefined
  /** Names of the kinds of certificates that it issues, each with what it says of it. */
  readonly profiles?: Readonly<Record<string, string>> | undefined
}

/** What a CA has on record of an account. */
export interface AccountState {
  /** `valid`, `deactivated` or `revoked`. */
  readonly status: string
  /** URLs, such as `mailto:ops@example.com`; empty too where the CA keeps none. */
  readonly contact: readonly string[]
  /** Where it lists the account's orders. */
  readonly orders: string | undefined
}

export interface Identifier {
  readonly type: 'dns' | 'ip'
  readonly value: string
}

export interface OrderOptions {
  /** One of those that the directory lists. */
  readonly profile?: string | undefined
  /** The `renewalId` of the certificate that this one is to follow. */
  readonly replaces?: string | undefined
}

export interface Order {
  readonly url: string
  readonly status: string
  readonly expires: Date | undefined
  readonly identifiers: readonly Identifier[]
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

/** Undefined where it is none. */
export const readDirectory = (value: unknown): Directory | undefined => {
  const directory = asObject(value)
  const [newNonce, newAccount, newOrder] = ['newNonce', 'newAccount', 'newOrder'].map((name) => urlIn(directory, name))
  if (newNonce === undefined || newAccount === undefined || newOrder === undefined) return undefined
  const meta = asObject(directory['meta'])
  const profiles = Object.entries(asObject(meta['profiles'])).map(([name, said]) => [name, String(said)])
  return {
    newNonce,
    newAccount,
    newOrder,
    revokeCert: urlIn(directory, 'revokeCert'),
    keyChange: urlIn(directory, 'keyChange'),
    renewalInfo: urlIn(directory, 'renewalInfo'),
    meta: {
      termsOfService: urlIn(meta, 'termsOfService'),
      externalAccountRequired: meta['externalAccountRequired'] === true,
      profiles: profiles.length === 0 ? undefined : Object.fromEntries(profiles),
    },
  }
}

/** Undefined where it is none. */
export const readOrder = (url: string, value: unknown, retryAfter: number | undefined): Order | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  const order = asObject(value)
  const expires = new Date(String(order['expires']))
  return {
    url,
    status: String(order['status']),
    expires: Number.isNaN(expires.getTime()) ? undefined : expires,
    identifiers: listIn(order, 'identifiers').map(readIdentifier),
    authorizations: listIn(order, 'authorizations').map(String),
    finalize: String(order['finalize']),
    certificate: typeof order['certificate'] === 'string' ? order['certificate'] : undefined,
    problem: order['error'] === undefined ? undefined : readProblem(order['error']),
    retryAfter,
  }
}

/** Undefined where it is none. */
export const readAuthorization = (value: unknown): Authorization | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  const authorization = asObject(value)
  return {
    status: String(authorization['status']),
    identifier: readIdentifier(authorization['identifier']),
    challenges: listIn(authorization, 'challenges')
      .map(asObject)
      .map((one) => ({
        type: String(one['type']),
        url: String(one['url']),
        token: String(one['token'] ?? ''),
        status: String(one['status']),
        problem: one['error'] === undefined ? undefined : readProblem(one['error']),
      })),
  }
}

/** Undefined where it is none. */
export const readAccountState = (value: unknown): AccountState | undefined => {
  const account = asObject(value)
  if (typeof account['status'] !== 'string') return undefined
  return {
    status: account['status'],
    contact: listIn(account, 'contact').map(String),
    orders: urlIn(account, 'orders'),
  }
}

const readIdentifier = (value: unknown): Identifier => {
  const { type, value: name } = asObject(value)
  return { type: type === 'ip' ? 'ip' : 'dns', value: String(name) }
}

type Fields = Readonly<Record<string, unknown>>

const asObject = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

const listIn = (object: Fields, name: string): readonly unknown[] => {
  const value = object[name]
  return Array.isArray(value) ? value : []
}

const urlIn = (object: Fields, name: string): string | undefined => {
  const value = object[name]
  return typeof value === 'string' && URL.canParse(value) ? value : undefined
}

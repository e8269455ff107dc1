// How the stub behaves. All of it can be changed while it runs.
import type { IssuedCertificate } from './certificates.js'
import type { CaFault, CaReply, Kind, RetryAfter } from './reply.js'

/** `used` is the share of it that is over when the certificate is issued: above 1 it has run out. */
export type Lifetime =
  | { readonly days: number; readonly used?: number }
  | { readonly hours: number; readonly used?: number }
  | { readonly notBefore: Date; readonly notAfter: Date }

/** A suggested window (RFC 9773, 4.2). */
export interface RenewalWindow {
  /** A string is sent as it is. */
  readonly start: Date | string
  readonly end: Date | string
  readonly explanationURL?: string
  /** Six hours unless told otherwise. */
  readonly retryAfter?: RetryAfter
}

type Renewal = RenewalWindow | CaFault

export interface Profile {
  readonly description?: string
  /** That of every other certificate when absent. */
  readonly lifetime?: Lifetime
}

export interface OrderLimit {
  /** So many may be placed since the stub started. */
  readonly orders: number
  readonly retryAfter?: RetryAfter
  /** Orders that replace a certificate are not refused. */
  readonly sparesRenewals?: boolean
}

export interface Manners {
  /** The challenges of every authorization made from now on; a wildcard has dns-01 at most, an address anything else. */
  offers: readonly string[]
  /** How many looks at an order find it pending although every name is proven; and processing, after finalizing. */
  pendingLooks: number
  processingLooks: number
  /** How many looks, at it or its order, find an authorization pending although its challenge was answered. */
  validationLooks: number
  /** The names that cannot be proven, as they are ordered, and the problem that their challenge ends with. */
  unprovable: Readonly<Record<string, CaReply>>
  /** Orders are ready at once. */
  reuses: boolean
  /** In how many of a hundred cases what the account has proven before is taken over: counted out, not drawn. */
  reusesPercent: number
  /** How long an order may take, in ms. */
  ordersLast: number
  /** What finalizing comes to in the end: a problem makes the order invalid, and nothing is issued. */
  outcome: 'valid' | CaReply
  /** On answers of these kinds, for as long as what they tell of is pending or processing. */
  retryAfter: Readonly<Partial<Record<Kind, RetryAfter>>>
  orderLimit: OrderLimit | undefined
  /** Answers of these kinds bring no nonce. */
  withoutNonce: ReadonlySet<Kind>
  /** What the certificate is made from. */
  issues: 'what was asked for' | 'without the last name' | 'for another key' | 'an expired one' | 'nonsense'
  lifetime: Lifetime
  /** By name. None, and the directory speaks of none. */
  profiles: Readonly<Record<string, Profile>>
  /** The common names of further roots; for each there is another chain. */
  alternateRoots: readonly string[]
  /** What ARI says of a certificate; where it is absent, `replaces` means nothing. */
  renewalInfo: 'absent' | 'the last third' | Renewal | ((certificate: IssuedCertificate) => Renewal)
  /** What an order that replaces a certificate meets: it is looked into, or refused like this. */
  replacing: 'checked' | CaReply
  /** The URL of the terms that have to be agreed to. */
  terms: string | undefined
  /** Only who is known from elsewhere is registered: by key id, the key in base64url. */
  externalAccounts: Readonly<Record<string, string>> | undefined
  /** After an answer of this kind the connection ends: with a GOAWAY where HTTP/2 is spoken, or without a word. */
  endsAfter: { readonly kind: Kind; readonly how: 'goaway' | 'silently' } | undefined
  /** Has the last word on every answer. */
  amend: (reply: CaReply, kind: Kind) => CaReply
}

const day = 86_400_000

export const goodManners = (): Manners => ({
  offers: ['http-01', 'dns-01', 'tls-alpn-01'],
  pendingLooks: 0,
  processingLooks: 0,
  validationLooks: 0,
  unprovable: {},
  reuses: false,
  reusesPercent: 0,
  ordersLast: 7 * day,
  outcome: 'valid',
  retryAfter: {},
  orderLimit: undefined,
  withoutNonce: new Set(),
  issues: 'what was asked for',
  lifetime: { days: 380, used: 80 / 380 },
  profiles: {},
  alternateRoots: [],
  renewalInfo: 'absent',
  replacing: 'checked',
  terms: undefined,
  externalAccounts: undefined,
  endsAfter: undefined,
  amend: (reply) => reply,
})

/** The two ends of it, in whole seconds. */
export const validity = (lifetime: Lifetime, now: number): { readonly notBefore: Date; readonly notAfter: Date } => {
  if ('notBefore' in lifetime) return lifetime
  const length = 'days' in lifetime ? lifetime.days * day : lifetime.hours * 3_600_000
  const from = Math.floor((now - length * (lifetime.used ?? 0)) / 1000) * 1000
  return { notBefore: new Date(from), notAfter: new Date(from + length) }
}

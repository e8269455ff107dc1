// What an account has to prove of a name. The stub looks at nothing: it believes, unless it is told not to.
import type { Manners } from './manners.js'
import { type CaReply, type UrlOf, withRetryAfter } from './reply.js'

export interface Identifier {
  readonly type: string
  readonly value: string
}

export interface Authorization {
  readonly id: number
  readonly account: number
  /** As it was ordered. */
  readonly identifier: Identifier
  readonly offers: readonly string[]
  status: 'pending' | 'valid' | 'invalid' | 'deactivated'
  /** Which challenge was answered. */
  answered: number | undefined
  looks: number
  error: object | undefined
}

const month = 30 * 86_400_000

export class Authorizations {
  readonly all: Authorization[] = []
  readonly #manners: Manners
  readonly #url: UrlOf
  #percent = 0

  constructor(manners: Manners, url: UrlOf) {
    this.#manners = manners
    this.#url = url
  }

  /** A new one, or one that is valid already where those are taken over. */
  open(account: number, identifier: Identifier): Authorization {
    return this.#reused(account, identifier) ?? this.#create(account, identifier)
  }

  answer(authorization: Authorization, which: number): CaReply {
    if (authorization.status === 'pending' && authorization.answered === undefined) {
      authorization.answered = which
      this.#decide(authorization)
    }
    return this.challenge(authorization, which)
  }

  /** As every look at it, or at its order, does. */
  look(authorization: Authorization): void {
    if (authorization.status !== 'pending' || authorization.answered === undefined) return
    authorization.looks++
    this.#decide(authorization)
  }

  reply(authorization: Authorization): CaReply {
    const { identifier, offers, status } = authorization
    const isWildcard = identifier.value.startsWith('*.')
    const reply: CaReply = {
      status: 200,
      body: {
        status,
        expires: new Date(Date.now() + month).toISOString(),
        identifier: { ...identifier, value: identifier.value.replace(/^\*\./, '') },
        ...(isWildcard && { wildcard: true }),
        challenges: offers.map((_, which) => this.challenge(authorization, which).body),
      },
    }
    return withRetryAfter(reply, status === 'pending' ? this.#manners.retryAfter.authorization : undefined)
  }

  challenge({ id, offers, status, answered, error }: Authorization, which: number): CaReply {
    const isThis = answered === which
    const itsStatus = status === 'pending' ? (isThis ? 'processing' : 'pending') : isThis ? status : 'pending'
    const reply: CaReply = {
      status: 200,
      headers: { link: `<${this.#url('authorization', id)}>;rel="up"` },
      body: {
        type: offers[which],
        url: this.#url('challenge', id, which),
        status: itsStatus,
        token: `token-${id}-${which}-of-a-stub`,
        ...(isThis && error !== undefined && { error }),
      },
    }
    return withRetryAfter(reply, itsStatus === 'processing' ? this.#manners.retryAfter.challenge : undefined)
  }

  #create(account: number, identifier: Identifier): Authorization {
    const isWildcard = identifier.value.startsWith('*.')
    const isPossible = (type: string): boolean => (type.startsWith('dns-') ? identifier.type !== 'ip' : !isWildcard)
    const authorization: Authorization = {
      id: this.all.length,
      account,
      identifier,
      offers: this.#manners.offers.filter(isPossible),
      status: this.#manners.reuses ? 'valid' : 'pending',
      answered: undefined,
      looks: 0,
      error: undefined,
    }
    this.all.push(authorization)
    return authorization
  }

  #reused(account: number, { type, value }: Identifier): Authorization | undefined {
    if (this.#manners.reusesPercent <= 0) return undefined
    const known = this.all.findLast(
      ({ identifier, ...one }) =>
        one.account === account && one.status === 'valid' && identifier.type === type && identifier.value === value,
    )
    if (known === undefined) return undefined
    this.#percent += this.#manners.reusesPercent
    if (this.#percent < 100) return undefined
    this.#percent -= 100
    return known
  }

  #decide(authorization: Authorization): void {
    if (authorization.looks < this.#manners.validationLooks) return
    const { unprovable } = this.#manners
    const { value } = authorization.identifier
    const refusal = Object.hasOwn(unprovable, value) ? unprovable[value] : undefined
    authorization.status = refusal === undefined ? 'valid' : 'invalid'
    authorization.error = refusal?.body as object | undefined
  }
}

import type { KeyObject } from 'node:crypto'
import { signingRequest } from '../certificate/signing-request.js'
import { CertError, toCertError } from '../errors.js'
import type { SharedSolvers } from '../solvers/shared-solvers.js'
import type { Challenge } from '../solvers/solver.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { isOrderFor, type OrderInProgress, OrdersInProgress } from '../state/order-in-progress.js'
import { OrderLedger } from '../state/order-ledger.js'
import type { StateFolder } from '../state/state-folder.js'
import type { AcmeSession } from './acme-session.js'
import type { AccountSession, CaAccess, CaSessions } from './ca-sessions.js'
import { generateKey, type KeyType } from './certificate-key.js'
import { chosenChain } from './chosen-chain.js'
import { mayDoElsewhere } from './elsewhere.js'
import { fulfil, type IssueObserver } from './fulfil.js'
import { requireBudget } from './order-budget.js'
import { toIdentifier } from './order-names.js'
import type { Order } from './protocol.js'
import { takeAway } from './prove.js'

/** What is wanted of a CA. */
export interface OrderWish {
  /** What the certificate is filed under. */
  readonly name: string
  readonly names: readonly string[]
  readonly solver: SolverSettings
  readonly keyType: KeyType
  /** The key to use once more, in place of a new one. */
  readonly key: KeyObject | undefined
  readonly profile: string | undefined
  readonly preferredChain: string | undefined
  /** What the new certificate takes the place of, by its id (RFC 9773), and the CA that issued that one. */
  readonly replaces: { readonly id: string; readonly directory: string } | undefined
  /** How long the CA may take to decide, in ms. */
  readonly patience: number
}

export interface OrderContext {
  readonly state: StateFolder
  readonly sessions: CaSessions
  readonly solvers: SharedSolvers
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly observer: IssueObserver
  /** May it be ordered without the profile, where the CA has none at all? */
  readonly withoutProfile: boolean
}

/** What a CA gave for an order. */
export interface Given {
  /** PEM, leaf first. */
  readonly certificates: string
  readonly key: KeyObject
  /** To be called when it is in the state folder, with the id of its version. */
  stored(id: string): Promise<void>
  /** To be called when nothing more hangs on the order: until then a later run fetches it again. */
  kept(): Promise<void>
}

/**
 * One certificate from one CA: the order that an earlier run began, as far as it got, or a new one.
 * @throws CertError CA_REFUSED, CA_UNAVAILABLE, CHALLENGE_FAILED, SOLVER_FAILED, PROGRAM_FAILED, ORDER_BUDGET_SPENT, …
 */
export const orderAt = async (access: CaAccess, wish: OrderWish, context: OrderContext): Promise<Given> => {
  const { state, sessions, solvers, now, signal, observer } = context
  const { directory } = access.ca
  const orders = new OrdersInProgress(state, wish.name)
  const ledger = new OrderLedger(state, directory, wish.names, now)
  const begun = await begunBefore(orders, directory, wish)
  if (begun === undefined) await requireBudget(ledger, access.ca, wish.names, now())
  // Where challenges cannot be answered at all, nothing is ordered.
  const { solver, release } = await solvers.take(wish.solver, signal)
  try {
    const opening = sessions.open(access, wish.names.length, (what) => observer.progress(what))
    opening.catch(() => undefined)
    const placing = { access, wish, context, orders, ledger }
    const { session, order, record, key, request } = await begin(placing, begun, opening)
    // Those of earlier runs that could not be taken away once more.
    const stuck = record.challenges
    let left: readonly Challenge[] | undefined
    let isAnswered = false
    const journal = {
      answering: () => {
        isAnswered = true
      },
      presenting: (challenges: readonly Challenge[]) =>
        orders.keep({ ...record, challenges: joined(stuck, challenges) }),
      left: (challenges: readonly Challenge[]) => {
        left = joined(stuck, challenges)
      },
    }
    try {
      const options = { ...wish, session, solver, request, journal, signal, observer }
      const url = await fulfil(order, options)
      const certificates = await chosenChain(session, url, wish.preferredChain, observer)
      observer.progress('certificate issued')
      await ledger.ended('issued')
      const kept = async () => {
        // Another process may have ended it meanwhile, and begun the next.
        if ((await orders.read(directory))?.url === order.url) await orders.end(record, left ?? stuck)
      }
      const stored = (issued: string) => orders.keep({ ...record, challenges: left ?? stuck, issued })
      return { certificates, key: await key, stored, kept }
    } catch (error) {
      // Not to be written behind the back of whoever goes on.
      await key.catch(() => undefined)
      if (isOver(toCertError(error), isAnswered))
        await Promise.all([
          orders.end(record, left ?? stuck),
          ledger.ended(mayDoElsewhere(toCertError(error)) ? 'failed' : 'unproven'),
        ])
      else await orders.keep({ ...record, challenges: left ?? stuck })
      throw error
    }
  } finally {
    await release()
  }
}

const joined = (some: readonly Challenge[], others: readonly Challenge[]): readonly Challenge[] => [
  ...some.filter((one) => !others.some(({ token, domain }) => token === one.token && domain === one.domain)),
  ...others,
]

/** What earlier runs could not take away: with other settings, nobody could by this record. */
const stuckIn = (record: OrderInProgress | undefined, { solver }: OrderWish): readonly Challenge[] =>
  JSON.stringify(record?.solver) === JSON.stringify({ ...solver }) ? (record?.challenges ?? []) : []

interface Begun {
  readonly record: OrderInProgress & { readonly url: string }
  readonly key: KeyObject
}

/** The order of an earlier run, where it is for what is wanted now. What else there is makes room for a new one. */
const begunBefore = async (
  orders: OrdersInProgress,
  directory: string,
  wish: OrderWish,
): Promise<Begun | undefined> => {
  const record = await orders.read(directory)
  const key = record && (await orders.readKey(directory))
  if (record?.url !== undefined && key !== undefined && isOrderFor(record, wish))
    return { record: { ...record, url: record.url }, key }
  // An old key beside a new order would be taken for its key.
  await (record === undefined ? orders.remove(directory) : orders.end(record, record.challenges))
  return undefined
}

interface InProgress {
  readonly session: AcmeSession
  readonly order: Order
  readonly record: OrderInProgress
  readonly key: Promise<KeyObject>
  /** The signing request, DER. */
  readonly request: Promise<Buffer>
}

/** The order that an earlier run began, or a new one. Where none can be placed, no key is left for it. */
const begin = async (
  placing: Omit<Placing, 'open'>,
  begun: Begun | undefined,
  opening: Promise<AccountSession>,
): Promise<InProgress> => {
  const { access, wish, context, orders, ledger } = placing
  const { directory } = access.ca
  // Made while the CA's first answers are on their way.
  const early = withRequest(wish, begun === undefined ? keyFor(wish, orders, directory) : Promise.resolve(begun.key))
  let isGone = begun === undefined
  try {
    const open = await opening
    const { session } = open
    const seen = begun && (await lookAgain(begun.record, open, context.now()))
    if (begun !== undefined && seen !== undefined) {
      context.observer.progress('goes on with the order of an earlier run')
      // The answers go where they are to go now.
      const record = { ...begun.record, solver: { ...wish.solver }, challenges: stuckIn(begun.record, wish) }
      return { session, order: seen, record, ...early }
    }
    isGone = true
    if (begun !== undefined) {
      await orders.end(begun.record, begun.record.challenges)
      await requireBudget(ledger, access.ca, wish.names, context.now())
    }
    // The key of an order that has gone may have been in a request: another one is made.
    const used = begun === undefined ? early : withRequest(wish, keyFor(wish, orders, directory))
    // On disk before anything is ordered with it.
    await used.key
    return { session, ...used, ...(await place({ ...placing, open })) }
  } catch (error) {
    await early.key.catch(() => undefined)
    if (isGone) await orders.removeKey(directory)
    throw error
  }
}

/** A key with the signing request for it; what goes wrong is for whoever waits for one of them to find out. */
const withRequest = ({ names }: OrderWish, key: Promise<KeyObject>): Pick<InProgress, 'key' | 'request'> => {
  const request = key.then((made) => signingRequest(made, names))
  request.catch(() => undefined)
  return { key, request }
}

/**
 * Interrupted, or nobody answers: the order itself may well come to something. So it may where the CA was told nothing
 * yet, since the answers could not be put in place.
 */
const isOver = ({ code, passing }: CertError, isAnswered: boolean): boolean =>
  code !== 'INTERRUPTED' &&
  !(code === 'CA_UNAVAILABLE' && passing) &&
  (isAnswered || code === 'CA_REFUSED' || code === 'CHALLENGE_FAILED')

const keyFor = async (wish: OrderWish, orders: OrdersInProgress, directory: string): Promise<KeyObject> => {
  const key = wish.key ?? (await generateKey(wish.keyType))
  await orders.keepKey(directory, key)
  return key
}

/** The order as the CA knows it now; undefined where nothing can come of it any more. */
const lookAgain = async (
  begun: Begun['record'],
  { session, account }: AccountSession,
  now: Date,
): Promise<Order | undefined> => {
  if (begun.account !== account) return undefined
  try {
    const order = await session.getOrder(begun.url)
    // A CA that has not decided in a day never will.
    const end = Math.min(
      order.expires?.getTime() ?? Number.POSITIVE_INFINITY,
      Date.parse(begun.placedAt) + longestDecision,
    )
    const isStale = order.status !== 'valid' && !(now.getTime() < end)
    return order.status === 'invalid' || isStale ? undefined : order
  } catch (error) {
    if (error instanceof CertError && error.code === 'CA_REFUSED') return undefined
    throw error
  }
}

interface Placing {
  readonly access: CaAccess
  readonly wish: OrderWish
  readonly context: OrderContext
  readonly open: AccountSession
  readonly orders: OrdersInProgress
  readonly ledger: OrderLedger
}

const place = async ({
  access,
  wish,
  context,
  open,
  orders,
  ledger,
}: Placing): Promise<{ readonly order: Order; readonly record: OrderInProgress }> => {
  const { observer, now } = context
  const profile = await offeredProfile(wish.profile, open.session, access, context)
  const { names, keyType, solver } = wish
  await ledger.placing()
  const order = await newOrder({ access, wish, context, open, orders, ledger }, profile)
  const many = names.length === 1 ? 'name' : 'names'
  observer.progress(`order placed for ${names.length} ${many}`)
  const record: OrderInProgress = {
    schema: 1,
    url: order.url,
    directory: access.ca.directory,
    account: open.account,
    names,
    keyType,
    profile: wish.profile,
    placedAt: now().toISOString(),
    solver: { ...solver },
    challenges: stuckIn(await orders.read(access.ca.directory), wish),
  }
  await orders.keep(record)
  return { order, record }
}

/** The CAs that forget what they issued, or have seen it replaced, take the order without that word. */
const refusesReplacing = new Set(['alreadyReplaced', 'malformed', 'unauthorized', 'HTTP 404', 'HTTP 409'])

const newOrder = async ({ access, wish, open, ledger }: Placing, profile: string | undefined): Promise<Order> => {
  const { session, register } = open
  const identifiers = wish.names.map(toIdentifier)
  const isItsOwn = wish.replaces?.directory === access.ca.directory
  const replaces = isItsOwn && (await session.offersRenewalInfo()) ? wish.replaces?.id : undefined
  const order = async (replacing: string | undefined): Promise<Order> => {
    const about = { ...(profile !== undefined && { profile }), ...(replacing !== undefined && { replaces: replacing }) }
    try {
      return await session.newOrder(identifiers, about)
    } catch (error) {
      if (!(error instanceof CertError)) throw error
      const code = error.vendor?.code ?? ''
      if (replacing !== undefined && refusesReplacing.has(code)) return await order(undefined)
      if (code !== 'accountDoesNotExist' || !access.agreeTos) throw error
      // The key is ours all the same, so the account can be had anew.
      await register()
      return await session.newOrder(identifiers, about)
    }
  }
  try {
    return await order(replaces)
  } catch (error) {
    const { code, vendor, retryAfter } = toCertError(error)
    // Without an answer that makes sense, nobody knows whether there is one.
    if (vendor !== undefined) {
      const rest = vendor.code === 'rateLimited' ? (retryAfter ?? unsaidRest) : retryAfter
      await ledger.refused(code === 'CA_UNAVAILABLE', rest)
    }
    throw error
  }
}

// In ms.
const longestDecision = 24 * 60 * 60_000
// How long a CA is left alone that only says that it was asked too much, in ms.
const unsaidRest = 60 * 60_000

/** @throws CertError CA_REFUSED: the CA does not offer it */
const offeredProfile = async (
  profile: string | undefined,
  session: AcmeSession,
  { ca }: CaAccess,
  { withoutProfile, observer }: OrderContext,
): Promise<string | undefined> => {
  if (profile === undefined) return undefined
  const offered = Object.entries((await session.directory()).meta?.profiles ?? {})
  if (offered.some(([name]) => name === profile)) return profile
  if (offered.length === 0 && withoutProfile) {
    observer.warning(`${ca.name} has no profiles: the certificate is ordered without ${profile}`)
    return undefined
  }
  const list = offered.map(([name, what]) => `${name} (${what})`).join('; ')
  throw new CertError('CA_REFUSED', `${ca.name} does not offer the profile ${profile}`, {
    vendor: { code: 'invalidProfile' },
    hint: offered.length === 0 ? 'it has no profiles: leave --profile out' : `it offers: ${list}`,
  })
}

/** Takes away what earlier runs left in place for any CA to look at. */
export const tidyOrders = async (
  name: string,
  { state, solvers, observer }: Pick<OrderContext, 'state' | 'solvers' | 'observer'>,
): Promise<void> => {
  const orders = new OrdersInProgress(state, name)
  await orders.sweep()
  for (const record of await orders.list()) {
    if (record.challenges.length === 0) continue
    // As they were put there, whatever is asked for now.
    const solver = solvers.create(record.solver as unknown as SolverSettings)
    const left = await takeAway(solver, record.challenges, record.challenges, (what) => observer.warning(what))
    if (record.url === undefined) await orders.end(record, left)
    else await orders.keep({ ...record, challenges: left })
  }
}

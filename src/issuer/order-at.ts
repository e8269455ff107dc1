import type { KeyObject } from 'node:crypto'
import { signingRequest } from '../certificate/signing-request.js'
import { CertError, toCertError } from '../errors.js'
import type { SharedSolvers } from '../solvers/shared-solvers.js'
import type { Challenge } from '../solvers/solver.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { type OrderInProgress, OrdersInProgress } from '../state/order-in-progress.js'
import { OrderLedger } from '../state/order-ledger.js'
import type { StateFolder } from '../state/state-folder.js'
import type { AcmeSession } from './acme-session.js'
import type { CaAccess, CaSessions, OpenSession } from './ca-sessions.js'
import { generateKey, type KeyType } from './certificate-key.js'
import { chosenChain } from './chosen-chain.js'
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
  /** To be called when it is safe: until then a later run would fetch it again. */
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
  const before = await orders.read(directory)
  const keptKey = before === undefined ? undefined : await orders.readKey(directory)
  const begun = before !== undefined && keptKey !== undefined && isSameOrder(before, wish) ? before : undefined
  if (begun?.url === undefined) await requireBudget(ledger, access.ca, wish.names, now())
  // Where challenges cannot be answered at all, nothing is ordered.
  const { solver, release } = await solvers.take(wish.solver, signal)
  try {
    const opening = sessions.open(access, wish.names.length, (what) => observer.progress(what))
    opening.catch(() => undefined)
    const key = begun === undefined ? newKey(wish) : Promise.resolve(keptKey as KeyObject)
    // Made while the CA's first answers are on their way.
    const requestFor = (made: Promise<KeyObject>) => made.then((one) => signingRequest(one, wish.names))
    const early = requestFor(key)
    early.catch(() => undefined)
    const open = await opening
    const seen = begun === undefined ? undefined : await lookAgain(begun, open)
    if (seen !== undefined) observer.progress('goes on with the order of an earlier run')
    // Looked into above only where a new one was sure to be placed.
    if (begun?.url !== undefined && seen === undefined) await requireBudget(ledger, access.ca, wish.names, now())
    // The key of an order that has gone may have been in a request: another one is made.
    const used = begun !== undefined && seen === undefined ? newKey(wish) : key
    const request = used === key ? early : requestFor(used)
    request.catch(() => undefined)
    // Once more they could not be taken away.
    const stuck = before?.challenges ?? []
    const placing = { access, wish, context, open, orders, ledger, stuck, key: used }
    const { order, record } =
      seen === undefined ? await place(placing) : { order: seen, record: begun as OrderInProgress }
    let left: readonly Challenge[] | undefined
    const journal = {
      presenting: (challenges: readonly Challenge[]) =>
        orders.keep({ ...record, challenges: joined(stuck, challenges) }),
      left: (challenges: readonly Challenge[]) => {
        left = joined(stuck, challenges)
      },
    }
    try {
      const options = { ...wish, session: open.session, solver, request, journal, signal, observer }
      const url = await fulfil(order, options)
      const certificates = await chosenChain(open.session, url, wish.preferredChain, observer)
      observer.progress('certificate issued')
      const kept = async () => {
        await Promise.all([end(orders, record, left ?? record.challenges), ledger.ended('issued')])
        await dropOthers(orders, directory)
      }
      return { certificates, key: await used, kept }
    } catch (error) {
      if (isOver(toCertError(error)))
        await Promise.all([end(orders, record, left ?? record.challenges), ledger.ended('failed')])
      else if (left !== undefined) await orders.keep({ ...record, challenges: left })
      throw error
    }
  } finally {
    await release()
  }
}

/** Is what an earlier run ordered what is wanted now? */
const isSameOrder = (before: OrderInProgress, { names, keyType, profile }: OrderWish): boolean =>
  [...before.names].sort().join() === [...names].sort().join() &&
  before.keyType === keyType &&
  (before.profile ?? undefined) === profile

/** Interrupted, or nobody answers: the order itself may well come to something. */
const isOver = ({ code, passing }: CertError): boolean =>
  code !== 'INTERRUPTED' && !(code === 'CA_UNAVAILABLE' && passing)

const joined = (some: readonly Challenge[], others: readonly Challenge[]): readonly Challenge[] => [
  ...some.filter((one) => !others.some(({ token }) => token === one.token)),
  ...others,
]

/** What could not be taken away is left to the next run. */
const end = async (orders: OrdersInProgress, record: OrderInProgress, left: readonly Challenge[]): Promise<void> => {
  if (left.length === 0) await orders.remove(record.directory)
  else await orders.keep({ ...record, url: undefined, challenges: left })
}

/** What other CAs were asked for is there now: gone on with, it would take the place of what was issued. */
const dropOthers = async (orders: OrdersInProgress, directory: string): Promise<void> => {
  for (const other of await orders.list()) if (other.directory !== directory) await end(orders, other, other.challenges)
}

const newKey = async ({ key, keyType }: OrderWish): Promise<KeyObject> => key ?? (await generateKey(keyType))

/** The order as the CA knows it now; undefined where nothing can come of it any more. */
const lookAgain = async (begun: OrderInProgress, { session, account }: OpenSession): Promise<Order | undefined> => {
  if (begun.url === undefined || begun.account !== account) return undefined
  try {
    const order = await session.getOrder(begun.url)
    return order.status === 'invalid' ? undefined : order
  } catch (error) {
    if (error instanceof CertError && error.code === 'CA_REFUSED') return undefined
    throw error
  }
}

interface Placing {
  readonly access: CaAccess
  readonly wish: OrderWish
  readonly context: OrderContext
  readonly open: OpenSession
  readonly orders: OrdersInProgress
  readonly ledger: OrderLedger
  /** What earlier runs put in place, and nobody could take away. */
  readonly stuck: readonly Challenge[]
  readonly key: Promise<KeyObject>
}

const place = async ({
  access,
  wish,
  context,
  open,
  orders,
  ledger,
  stuck,
  key,
}: Placing): Promise<{ readonly order: Order; readonly record: OrderInProgress }> => {
  const { observer, now } = context
  const profile = await offeredProfile(wish.profile, open.session, access, context)
  const { names, keyType, solver } = wish
  await ledger.placing()
  const order = await newOrder({ access, wish, open, ledger }, profile)
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
    challenges: stuck,
  }
  // The key not before there is an order, or it would lie around; both before anything else is asked.
  await Promise.all([orders.keep(record), key.then((made) => orders.keepKey(record.directory, made))])
  return { order, record }
}

/** The CAs that forget what they issued, or have seen it replaced, take the order without that word. */
const refusesReplacing = new Set(['alreadyReplaced', 'malformed', 'unauthorized', 'HTTP 404', 'HTTP 409'])

const newOrder = async (
  { access, wish, open, ledger }: Pick<Placing, 'access' | 'wish' | 'open' | 'ledger'>,
  profile: string | undefined,
): Promise<Order> => {
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
    const { vendor, retryAfter } = toCertError(error)
    // The CA placed none; without an answer that makes sense, nobody knows.
    if (vendor !== undefined)
      await ledger.refused(vendor.code === 'rateLimited' ? (retryAfter ?? unsaidRest) : retryAfter)
    throw error
  }
}

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

/** Takes away what earlier runs left at any CA. @returns whether an order is still to be gone on with */
export const tidyOrders = async (
  name: string,
  { state, solvers, observer }: Pick<OrderContext, 'state' | 'solvers' | 'observer'>,
): Promise<void> => {
  const orders = new OrdersInProgress(state, name)
  for (const record of await orders.list()) {
    if (record.challenges.length === 0) continue
    // As they were put there, whatever is asked for now.
    const solver = solvers.create(record.solver as unknown as SolverSettings)
    const left = await takeAway(solver, record.challenges, record.challenges, (what) => observer.warning(what))
    if (left.length === 0 && record.url === undefined) await orders.remove(record.directory)
    else await orders.keep({ ...record, challenges: left })
  }
}

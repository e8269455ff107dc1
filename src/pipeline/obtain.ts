import { type Normalized, normalize } from '../certificate/normalize.js'
import { renewalId } from '../certificate/renewal-id.js'
import { ownRenewalTime, spreadOf } from '../certificate/renewal-time.js'
import { CertError, toCertError } from '../errors.js'
import type { IssuedByCa, Previous } from '../sources/source.js'
import { type CertificateRecord, CertificateStore, type IssuedVersion, versionOf } from '../state/certificates.js'
import { withLock } from '../state/lock.js'
import { isOrderFor, type OrderInProgress, OrdersInProgress } from '../state/order-in-progress.js'
import type { StateFolder } from '../state/state-folder.js'
import { dueness, type Wanted } from './due.js'

export interface Stored extends Normalized {
  readonly version: IssuedVersion
}

export interface Obtained extends Normalized {
  /** Was it ordered now, rather than found in the state folder? */
  readonly ordered: boolean
  /** Who issued it; as it was asked for, where it was found. */
  readonly ca: string
  readonly ms: number
  /**
   * To be called when it is on record where it is to be deployed. Until then the order is not over: whoever finds the
   * certificate in the state folder would take it for deployed. Never fails.
   */
  recorded(): Promise<void>
}

export interface ObtainOptions {
  readonly wanted: Wanted
  /** Orders one; asked only when none is stored that will do. */
  readonly issue: (previous: Previous) => Promise<IssuedByCa>
  /** Takes away what earlier runs left in place for a CA to look at. */
  readonly tidy: () => Promise<void>
  readonly state: StateFolder
  readonly now: () => Date
  readonly signal: AbortSignal
  /** Order although the stored one is not due. */
  readonly force: boolean
  /** Told once, when another process is issuing the same one. */
  readonly onWait: (owner: string) => void
}

/**
 * The stored certificate where it is what is wanted and not due, else a new one, which is on disk when this returns:
 * whatever becomes of its deployment, it is never ordered twice.
 * @throws CertError what the issuer throws, CA_REFUSED, STATE_UNUSABLE
 */
export const obtain = async (options: ObtainOptions): Promise<Obtained> => {
  const { wanted, state, now, signal, onWait } = options
  return await withLock(state, `issue ${wanted.name}`, { signal, onWait }, async () => {
    const store = new CertificateStore(state, wanted.name)
    await options.tidy()
    const stored = options.force ? undefined : await findStored(state, wanted, now())
    if (stored !== undefined) {
      await store.keepRecord({ ...wanted, schema: 2, current: stored.version })
      const recorded = await ender(state, wanted.name)
      return { ...stored, ordered: false, ca: wanted.issue.ca[0]?.name ?? '', ms: 0, recorded }
    }
    return await order(store, options)
  })
}

/**
 * What earlier runs left in place for a CA to look at is taken away, where there is any: also of a certificate that is
 * not due.
 * @throws CertError STATE_UNUSABLE, LOCKED
 */
export const tidyUp = async (
  name: string,
  { state, signal, tidy, onWait }: Pick<ObtainOptions, 'state' | 'signal' | 'tidy' | 'onWait'>,
): Promise<void> => {
  const orders = await new OrdersInProgress(state, name).list()
  if (!orders.some(({ challenges }) => challenges.length > 0)) return
  await withLock(state, `issue ${name}`, { signal, onWait }, tidy)
}

const order = async (store: CertificateStore, options: ObtainOptions): Promise<Obtained> => {
  const { wanted, now, state } = options
  const start = performance.now()
  const given = await issueFirstOrNext(store, options)
  const { ca, directory, kept } = given
  // Those of other CAs, which had not decided when this one was asked, and which nobody waits for any more.
  const endOthers = await ender(state, wanted.name)
  let issued: Normalized
  try {
    issued = usable(() => normalize({ ...given, name: wanted.name }, now()), ca)
    const missing = wanted.names.find((name) => !issued.bundle.names.includes(name))
    if (missing !== undefined) {
      throw new CertError('CA_REFUSED', `${ca} issued a certificate without ${missing}`, {
        hint: 'it was not deployed; use another --ca',
      })
    }
  } catch (error) {
    // It would be the same if it were fetched again.
    await kept()
    throw error
  }
  const ms = Math.round(performance.now() - start)
  try {
    await store.keep(issued.bundle, wanted, {
      directory,
      keyType: wanted.issue.keyType,
      profile: wanted.issue.profile,
      renewalId: renewalId(issued.bundle.leaf),
    })
    await given.stored(versionOf(issued.bundle))
    // Where it fails, the next run fetches the same one again.
    const recorded = () =>
      kept()
        .then(endOthers)
        .catch(() => undefined)
    return { ...issued, ordered: true, ca, ms, recorded }
  } catch (error) {
    // Being deployed matters more than being kept.
    const warning = `the certificate could not be kept, so the next run fetches or orders it again: ${toCertError(error).message}`
    return {
      ...issued,
      warnings: [...issued.warnings, warning],
      ordered: true,
      ca,
      ms,
      recorded: async () => undefined,
    }
  }
}

/** A first one is written down before it is ordered, so that `renew` goes on where this process is killed. */
const issueFirstOrNext = async (
  store: CertificateStore,
  { wanted, issue, state }: ObtainOptions,
): Promise<IssuedByCa> => {
  const before = await store.read()
  const isFirst = before?.current === undefined
  if (isFirst) await store.keepRecord({ ...wanted, schema: 2, current: undefined })
  try {
    return await issue(await previousOf(store, wanted))
  } catch (error) {
    // What came to nothing at the first try is not tried again unasked.
    const isOver = before === undefined || !toCertError(error).passing
    if (isFirst && isOver && !(await isBegun(state, wanted))) await store.removeRecord()
    throw error
  }
}

/** What the new certificate takes over from the one before. */
const previousOf = async (store: CertificateStore, { names, issue }: Wanted): Promise<Previous> => {
  const record = await store.read()
  const current = record?.current
  if (record === undefined || current === undefined) return { key: undefined, replaces: undefined }
  const material = await store.readMaterial(current)
  const isSafe = current.revokedAt === undefined && current.keyType === issue.keyType
  const { renewalId: id, directory } = current
  const isReplaced = id !== undefined && record.names.some((name) => names.includes(name))
  return { key: isSafe ? material?.privateKey : undefined, replaces: isReplaced ? { id, directory } : undefined }
}

/** Whatever is wrong with it, what was given on the command line is not to blame. */
const usable = <T>(check: () => T, ca: string): T => {
  try {
    return check()
  } catch (error) {
    const { message } = toCertError(error)
    throw new CertError('CA_REFUSED', `${ca} issued what cannot be used: ${message}`, {
      cause: error,
      hint: 'it was not deployed; check the clock of this machine, or use another --ca',
    })
  }
}

/** The stored certificate, where it is what is wanted, has time left, and no order for another was begun. */
export const findStored = async (state: StateFolder, wanted: Wanted, now: Date): Promise<Stored | undefined> => {
  const store = new CertificateStore(state, wanted.name)
  const record = await store.read()
  if (dueness(wanted, record, now).due) return undefined
  // The one that brought it is not at its end until it is deployed, and brings no other.
  const begun = (await begunFor(state, wanted)).filter(({ issued }) => issued !== record?.current?.id)
  return begun.length > 0 ? undefined : await readStored(store, record, now)
}

/** Is there an order for it that an earlier run could not bring to its end? */
export const isBegun = async (state: StateFolder, wanted: Omit<Wanted, 'deploy'>): Promise<boolean> =>
  (await begunFor(state, wanted)).length > 0

const begunFor = async (
  state: StateFolder,
  { name, names, issue }: Omit<Wanted, 'deploy'>,
): Promise<readonly OrderInProgress[]> => {
  const orders = await new OrdersInProgress(state, name).list()
  return orders.filter(
    (order) =>
      order.url !== undefined &&
      isOrderFor(order, { ...issue, names }) &&
      issue.ca.some(({ directory }) => directory === order.directory),
  )
}

/** Ends the orders that there are now, and none that another process begins meanwhile. */
const ender = async (state: StateFolder, name: string): Promise<() => Promise<void>> => {
  const orders = new OrdersInProgress(state, name)
  const known = await orders.list()
  return async () => {
    for (const one of known) {
      if ((await orders.read(one.directory))?.url === one.url) await orders.end(one, one.challenges)
    }
  }
}

const readStored = async (
  store: CertificateStore,
  record: CertificateRecord | undefined,
  now: Date,
): Promise<Stored | undefined> => {
  const version = record?.current
  const material = version && (await store.readMaterial(version))
  if (record === undefined || version === undefined || material === undefined) return undefined
  try {
    const stored = normalize({ ...material, name: record.name }, now)
    // The record may say what it likes.
    const isDue = ownRenewalTime(stored.bundle, spreadOf(version.id)) <= now
    return isDue ? undefined : { ...stored, version }
  } catch {
    // Damaged on disk: a new one is the way out.
    return undefined
  }
}

import { isStandby } from '../standby-name.js'
import {
  type DeploymentRecord,
  isGivenUp,
  isOlder,
  isOrWasWanted,
  type Pending,
  pendingOf,
} from '../state/deployment-record.js'
import { type HttpsRecords, type RelaxedPlace, relaxedPlaces } from '../state/https-record.js'
import type { Concern, ConcernKind } from './concern.js'
import type { NameFacts } from './name-facts.js'

export interface Thresholds {
  /** How long before its end a certificate is a concern; a third of its lifetime where that is less. */
  readonly expiryDays: number
}

export const defaultThresholds: Thresholds = { expiryDays: 30 }

/** The certificate that counts of a name: what ends with it, if nobody does anything. */
export interface Newest {
  /** The first 12 digits of its SHA-256. */
  readonly id: string
  readonly notBefore: Date
  readonly notAfter: Date
}

const minute = 60_000
const day = 24 * 60 * minute

/** What a person should know of one name, by what is on record. */
export const concernsOf = (facts: NameFacts, thresholds: Thresholds, now: Date): readonly Concern[] => {
  const all = [
    ...facts.damaged.map(({ id, error }) => concern('damaged', facts.name, [id], undefined, error.message, error.hint)),
    ...facts.records.flatMap((record) => pendingConcerns(facts.name, record)),
    ...renewalConcerns(facts, now),
    ...revokedConcerns(facts),
    ...expiryConcerns(facts, thresholds, now),
  ]
  // Two certificates of one name may fail in one place, which is one thing to mend.
  return [...new Map(all.map((one) => [one.id, one])).values()]
}

/** What a person should know of what was changed by `acme-oss https`. */
export const httpsConcerns = (https: HttpsRecords): readonly Concern[] => [
  ...relaxedConcerns(relaxedPlaces(https)),
  ...https.damaged.map((path) =>
    concern(
      'damaged',
      'https',
      [path],
      undefined,
      `what was saved of the HTTPS of a place is damaged, and with it whether it is relaxed: ${path}`,
      'look at what is in it, and move it away; acme-oss https status shows what stands at each place',
    ),
  ),
]

const relaxedConcerns = (relaxed: readonly RelaxedPlace[]): readonly Concern[] =>
  relaxed.map(({ identity, name, since, flags }) =>
    concern(
      'relaxed',
      name,
      [identity],
      name,
      `HTTPS is not enforced at ${name} since ${minuteOf(since)}`,
      `once the emergency is over: acme-oss https restore ${flags}, or acme-oss https enforce ${flags}`,
    ),
  )

/** @param parts by which it is told from others of its kind and name */
export const concern = (
  kind: ConcernKind,
  name: string,
  parts: readonly string[],
  place: string | undefined,
  sentence: string,
  hint: string | undefined,
): Concern => ({ id: JSON.stringify([kind, name, ...parts]), kind, name, place, sentence, hint })

/** What was not tried yet is nothing to know of. */
const pendingConcerns = (name: string, record: DeploymentRecord): Concern[] =>
  pendingOf(record).flatMap((one) => (one.error === undefined ? [] : [pendingConcern(name, one, one.error)]))

const pendingConcern = (
  name: string,
  { identity, target, step }: Pending,
  { message, hint }: NonNullable<Pending['error']>,
): Concern =>
  identity === undefined || step === undefined
    ? concern('unresolved', name, [], undefined, `nobody knows yet where ${name} is to go: ${message}`, hint)
    : concern('pending', name, [identity, step], target, `${name} is not in place on ${target}: ${message}`, hint)

/**
 * The newest certificate of a name that is wanted or kept ready; what is older has been replaced, or is about to be. One
 * that was gone back to counts before all others.
 */
export const newestOf = ({ records, certificate, isRenewed, hold, name }: NameFacts): Newest | undefined => {
  const wanted = records.filter(isStillWanted)
  const held = hold && wanted.find(({ archive }) => archive === hold.archive)
  if (held !== undefined) return toNewest(held)
  const current = isRenewed ? certificate?.current : undefined
  // Nobody looks after one that is not kept ready any more, and it is nowhere but in the archive.
  if (isStandby(name) && !isRenewed && certificate !== undefined) return undefined
  const newest = wanted[0]
  if (current === undefined) return newest && toNewest(newest)
  if (newest !== undefined && isOlder(current, newest)) return toNewest(newest)
  const { id, notBefore, notAfter } = current
  return { id, notBefore: new Date(notBefore), notAfter: new Date(notAfter) }
}

const toNewest = ({ fingerprint, notBefore, notAfter }: DeploymentRecord): Newest => ({
  id: fingerprint.sha256.slice(0, 12),
  notBefore: new Date(notBefore),
  notAfter: new Date(notAfter),
})

/** One that ended before it was in place was given up, which is not what anybody wanted. */
export const isStillWanted = ({ targets, unresolved }: DeploymentRecord): boolean =>
  unresolved !== null || Object.values(targets).some((target) => isOrWasWanted(target) || isGivenUp(target))

const lifetimeOf = ({ notBefore, notAfter }: Pick<Newest, 'notBefore' | 'notAfter'>): number =>
  notAfter.getTime() - notBefore.getTime()

/** How long a certificate may be due and not renewed, and a CA be out of order, before anybody need know. */
const graceOf = (certificate: Pick<Newest, 'notBefore' | 'notAfter'> | undefined): number =>
  certificate === undefined ? day : Math.min(day, lifetimeOf(certificate) / 10)

const revokedConcerns = (facts: NameFacts): Concern[] => {
  const { name, certificate } = facts
  const current = certificate?.current
  if (current?.revokedAt === undefined || newestOf(facts)?.id !== current.id) return []
  const at = minuteOf(new Date(current.revokedAt))
  return [
    concern(
      'revoked',
      name,
      [current.id],
      undefined,
      `the certificate of ${name} was revoked on ${at}, and no other has taken its place`,
      `acme-oss renew ${name}; or, where it is not wanted any more: acme-oss forget ${name}`,
    ),
  ]
}

const expiryConcerns = (facts: NameFacts, { expiryDays }: Thresholds, now: Date): Concern[] => {
  const { name, isRenewed, renewal } = facts
  const newest = newestOf(facts)
  if (newest === undefined) return []
  const left = newest.notAfter.getTime() - now.getTime()
  const hint = isRenewed ? `acme-oss renew ${name}` : `hand over a newer one, or: acme-oss forget ${name}`
  if (left <= 0) {
    const sentence = `the certificate of ${name} expired on ${minuteOf(newest.notAfter)}`
    return [concern('expired', name, [newest.id], undefined, sentence, hint)]
  }
  if (left > Math.min(expiryDays * day, lifetimeOf(newest) / 3)) return []
  // What is about to be renewed by itself is nothing to know of.
  if (renewal !== undefined && newest.id === facts.certificate?.current?.id && !isOverdue(renewal, newest, now))
    return []
  const sentence = `the certificate of ${name} expires ${inWords(left)}, on ${minuteOf(newest.notAfter)}`
  return [concern('expiring', name, [newest.id], undefined, sentence, hint)]
}

const isOverdue = (renewal: Date, certificate: Newest, now: Date): boolean =>
  now.getTime() - renewal.getTime() > graceOf(certificate)

const renewalConcerns = (facts: NameFacts, now: Date): Concern[] => {
  const { name, certificate, isRenewed, renewal, failedRenewal, orders, damaged } = facts
  // What is damaged cannot be renewed, which goes without saying.
  if (damaged.some(({ id }) => id === 'certificate') || (certificate !== undefined && !isRenewed)) return []
  const current = certificate?.current
  const dates = current && { notBefore: new Date(current.notBefore), notAfter: new Date(current.notAfter) }
  const isOfUse = dates !== undefined && dates.notAfter > now && current?.revokedAt === undefined
  const isPast = (since: string | Date): boolean => now.getTime() - new Date(since).getTime() > graceOf(dates)
  const said = (sentence: string, hint: string | undefined) => [
    concern('renewal', name, [], undefined, sentence, hint ?? `acme-oss renew ${name}`),
  ]
  if (failedRenewal !== undefined && (!failedRenewal.passing || !isOfUse || isPast(failedRenewal.since))) {
    const { tries, since, next, error } = failedRenewal
    const count = tries > 1 ? ` (${tries} tries since ${minuteOf(new Date(since))})` : ''
    // What says that a CA has been asked often enough says when that ends, too.
    const isToCome = next !== undefined && Date.parse(next) > now.getTime() && error.code !== 'ORDER_BUDGET_SPENT'
    const goesOn = isToCome ? `; it goes on ${minuteOf(new Date(next))}` : ''
    return said(`${name} could not be ${isOfUse ? 'renewed' : 'issued'}${count}: ${error.message}${goesOn}`, error.hint)
  }
  if (renewal !== undefined && isPast(renewal)) {
    const why = failedRenewal === undefined ? '' : `: ${failedRenewal.error.message}`
    const hint = `is the timer running? acme-oss renew ${name} does it now`
    return said(`${name} was to be renewed on ${minuteOf(renewal)} and has not been${why}`, hint)
  }
  const stuck = orders.find(({ url, placedAt }) => url !== undefined && isPast(placedAt))
  if (stuck === undefined) return []
  const { host } = new URL(stuck.directory)
  return said(`the order for ${name} at ${host} has not ended since ${minuteOf(new Date(stuck.placedAt))}`, undefined)
}

const inWords = (ms: number): string => {
  const days = Math.floor(ms / day)
  if (days >= 1) return `in ${days} ${days === 1 ? 'day' : 'days'}`
  const hours = Math.floor(ms / (60 * minute))
  return hours >= 1 ? `in ${hours} ${hours === 1 ? 'hour' : 'hours'}` : 'within the hour'
}

/** In UTC, to the minute. */
const minuteOf = (at: Date): string => `${at.toISOString().slice(0, 16).replace('T', ' ')}Z`

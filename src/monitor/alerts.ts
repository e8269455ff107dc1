import type { Concern, ConcernKind } from './concern.js'

/** A concern as it is told of. */
export interface Alert extends Concern {
  /** When it has come to another stage, it is told of once more: how many days are left. */
  readonly stage?: string
}

/** What somebody was told of, until they are told that it is over. */
export interface Told {
  readonly kind: ConcernKind
  readonly name: string
  readonly place: string | null
  readonly sentence: string
  readonly stage: string | null
  readonly at: string
}

/** By the id of the concern. */
export type ToldAll = ReadonlyMap<string, Told>

export interface News {
  readonly firing: readonly Firing[]
  readonly recovered: readonly Recovered[]
}

export interface Firing extends Alert {
  /** They have been told of it before. */
  readonly isAgain: boolean
}

export interface Recovered extends Told {
  readonly id: string
}

export interface Observation {
  readonly alerts: readonly Alert[]
  /** Since when each of them has been there, by id. */
  readonly seen: ReadonlyMap<string, string>
  /** Can this run say of such a concern that it is over? */
  readonly judges: (id: string) => boolean
  readonly now: Date
}

const minute = 60_000
const day = 24 * 60 * minute

// A step that failed once may go well a minute later, at its second try; the timer runs every five to fifteen minutes.
const patience: Readonly<Partial<Record<ConcernKind, number>>> = { pending: 4 * minute }

/** What is told of once more each day, as long as it lasts. */
const daily: readonly ConcernKind[] = ['relaxed', 'expired']

/** Days before the end at which it is told of once more. */
const stages = [1, 3, 7, 14]

/** How near the end is, in steps of which each is worth a message. */
export const stageOf = (left: number): string | undefined => {
  const reached = stages.find((days) => left <= days * day)
  return reached === undefined ? undefined : `${reached}`
}

/** Since when each has been there. */
export const seenSince = (
  before: ReadonlyMap<string, string>,
  alerts: readonly Alert[],
  judges: Observation['judges'],
  now: Date,
): ReadonlyMap<string, string> => {
  const own = alerts.map(({ id }): [string, string] => {
    const since = before.get(id)
    // What was written while the clock was wrong would be waited for until then.
    return [id, since !== undefined && Date.parse(since) <= now.getTime() ? since : now.toISOString()]
  })
  return new Map([...[...before].filter(([id]) => !judges(id)), ...own])
}

/** What one of those who are told does not know yet. */
export const newsFor = (told: ToldAll, { alerts, seen, judges, now }: Observation): News => {
  const firing = alerts.flatMap((alert): Firing[] => {
    const before = told.get(alert.id)
    if (before === undefined) return isRipe(alert, seen, now) ? [{ ...alert, isAgain: false }] : []
    if (before.kind !== alert.kind) return [{ ...alert, isAgain: false }]
    const isFurther = alert.stage !== undefined && alert.stage !== before.stage
    return isFurther || isDueAgain(before, now) ? [{ ...alert, isAgain: true }] : []
  })
  const present = new Set(alerts.map(({ id }) => id))
  const expired = new Set(alerts.filter(({ kind }) => kind === 'expired').map(({ name }) => name))
  const recovered = [...told].flatMap(([id, one]) => {
    if (present.has(id) || !judges(id)) return []
    // It has not been mended: it has come to its end.
    return one.kind === 'expiring' && expired.has(one.name) ? [] : [{ ...one, id }]
  })
  return { firing, recovered }
}

const isRipe = ({ id, kind }: Alert, seen: Observation['seen'], now: Date): boolean =>
  now.getTime() - Date.parse(seen.get(id) ?? now.toISOString()) >= (patience[kind] ?? 0)

const isDueAgain = ({ kind, at }: Told, now: Date): boolean => {
  if (!daily.includes(kind)) return false
  const since = now.getTime() - Date.parse(at)
  // The clock was wrong when it was told.
  return since >= day || since < -60 * minute
}

/** What they have been told, once they have been told the news. */
export const afterTelling = (
  told: ToldAll,
  { firing, recovered }: News,
  { alerts, judges, now }: Observation,
): ToldAll => {
  const present = new Set(alerts.map(({ id }) => id))
  const over = new Set(recovered.map(({ id }) => id))
  const kept = [...told].filter(([id]) => !over.has(id) && (present.has(id) || !judges(id)))
  const at = now.toISOString()
  return new Map([
    ...kept,
    ...firing.map(({ id, kind, name, place, sentence, stage }): [string, Told] => [
      id,
      { kind, name, place: place ?? null, sentence: sentence.slice(0, 300), stage: stage ?? null, at },
    ]),
  ])
}

export const isNews = ({ firing, recovered }: News): boolean => firing.length > 0 || recovered.length > 0

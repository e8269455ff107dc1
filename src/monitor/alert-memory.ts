import type { StateFolder } from '../state/state-folder.js'
import type { Told, ToldAll } from './alerts.js'

/** What was found amiss and who was told of it, so that the next run says only what is new. */
export interface AlertMemory {
  /** Since when each concern has been there, by its id. */
  readonly seen: ReadonlyMap<string, string>
  /** By whom it was told to, as `keyOf` calls them. */
  readonly told: ReadonlyMap<string, ToldAll>
}

export const noMemory: AlertMemory = { seen: new Map(), told: new Map() }

const file = ['alerts', 'told.json']
// Who has not been among those to be told for so long is not asked for any more, in ms.
const longestAbsence = 90 * 24 * 60 * 60_000

/** What cannot be made sense of counts as nothing: all of it is told once more. @throws CertError STATE_UNUSABLE */
export const readAlertMemory = async (state: StateFolder): Promise<AlertMemory> => {
  const text = await state.read(file)
  if (text === undefined) return noMemory
  try {
    const { schema, seen, told } = JSON.parse(text) as Record<string, unknown>
    if (schema !== 1 || !isMapping(seen) || !isMapping(told)) return noMemory
    return {
      seen: new Map(Object.entries(seen).filter((entry): entry is [string, string] => isDate(entry[1]))),
      told: new Map(
        Object.entries(told).flatMap(([key, all]) =>
          isMapping(all) ? [[key, new Map(Object.entries(all).filter(isTold))]] : [],
        ),
      ),
    }
  } catch {
    return noMemory
  }
}

/** @throws CertError STATE_UNUSABLE */
export const writeAlertMemory = async (
  state: StateFolder,
  { seen, told }: AlertMemory,
  present: readonly string[],
  now: Date,
): Promise<void> => {
  // A hook may be told of others than the timer: those are not to be told anew by each.
  const kept = [...told].filter(([key, all]) => all.size > 0 && (present.includes(key) || isRecent(all, now)))
  const text = JSON.stringify({
    schema: 1,
    seen: Object.fromEntries(seen),
    told: Object.fromEntries(kept.map(([key, all]) => [key, Object.fromEntries(all)])),
  })
  await state.write(file, `${text}\n`)
}

const isRecent = (all: ToldAll, now: Date): boolean =>
  [...all.values()].some(({ at }) => now.getTime() - Date.parse(at) < longestAbsence)

export const isSameMemory = (one: AlertMemory, other: AlertMemory): boolean => textOf(one) === textOf(other)

const textOf = ({ seen, told }: AlertMemory): string => {
  const all = [...told].filter(([, one]) => one.size > 0).map(([key, one]): [string, unknown] => [key, sorted(one)])
  return JSON.stringify([sorted(seen), sorted(new Map(all))])
}

const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isDate = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value))

const isTold = (entry: [string, unknown]): entry is [string, Told] => {
  const value = entry[1]
  if (!isMapping(value) || !isDate(value['at'])) return false
  const isText = (key: string): boolean => typeof value[key] === 'string'
  const isTextOrNull = (key: string): boolean => isText(key) || value[key] === null
  return ['kind', 'name', 'sentence'].every(isText) && ['place', 'stage'].every(isTextOrNull)
}

import { CertError } from '../errors.js'
import type { StateFolder } from './state-folder.js'

/** What was done to the HTTPS of one place, as it lies in `https/<place>/record.json`, so that it can be put back. */
export interface HttpsRecord {
  readonly schema: 1
  /** Which place it is, whatever options it is reached with. */
  readonly identity: string
  readonly kind: string
  /** As the reader would name it. */
  readonly name: string
  /** What it takes, besides credentials, to make the place again. */
  readonly settings: Readonly<Record<string, string | boolean>>
  /** Since when plain HTTP works again on purpose; absent where it does not, or not for that reason. */
  readonly relaxedSince?: string | undefined
  /** What stood there before each change, the oldest first. */
  readonly saved: readonly SavedHttps[]
}

export interface SavedHttps {
  readonly at: string
  /** The run that changed it, the same at every place that it changed. */
  readonly change: string
  readonly verb: 'enforce' | 'relax' | 'disable'
  /** Part by part; null where there was none. */
  readonly before: Readonly<Record<string, string | null>>
  /** What the change left; absent where it was not carried through. */
  readonly left?: Readonly<Record<string, string | null>> | undefined
  /** As it was before. */
  readonly relaxedSince?: string | undefined
}

/** A place where HTTPS is not enforced for now, on purpose. */
export interface RelaxedPlace {
  readonly identity: string
  readonly name: string
  readonly since: Date
  /** That name it to `acme-oss https`. */
  readonly flags: string
}

const folder = 'https'
const fileOf = (identity: string): string[] => [folder, identity, 'record.json']

// What stood there first is what an operator may want back in the end; of what came after it, this many.
const mostSaved = 20

/** Undefined where nothing was ever changed there. @throws CertError STATE_UNUSABLE: it is damaged */
export const readHttpsRecord = async (state: StateFolder, identity: string): Promise<HttpsRecord | undefined> => {
  const text = await state.read(fileOf(identity))
  if (text === undefined) return undefined
  const record = parse(text)
  // One that was copied from another place would be put back in the wrong one.
  if (record?.identity === identity) return record
  const path = state.path(...fileOf(identity))
  throw new CertError('STATE_UNUSABLE', `what was saved of the HTTPS of ${identity} is damaged: ${path}`, {
    hint: 'look at what is in it, and move it away; what stood there before is not known without it',
  })
}

/** @throws CertError STATE_UNUSABLE */
export const writeHttpsRecord = async (state: StateFolder, record: HttpsRecord): Promise<void> => {
  const [first, ...others] = record.saved
  const saved = first === undefined ? [] : [first, ...others.slice(-(mostSaved - 1))]
  await state.write(fileOf(record.identity), `${JSON.stringify({ ...record, saved }, null, 2)}\n`)
}

/** All that is on record of places. */
export interface HttpsRecords {
  readonly records: readonly HttpsRecord[]
  /** Files that cannot be made sense of: what they said is not known. */
  readonly damaged: readonly string[]
}

/** @throws CertError STATE_UNUSABLE */
export const httpsRecords = async (state: StateFolder): Promise<HttpsRecords> => {
  const places = (await state.listFolders([folder])).sort()
  const records: HttpsRecord[] = []
  const damaged: string[] = []
  for (const name of places) {
    const text = await state.read(fileOf(name))
    const record = text === undefined ? undefined : parse(text)
    if (record !== undefined && state.path(record.identity) === state.path(name)) records.push(record)
    else if (text !== undefined) damaged.push(state.path(...fileOf(name)))
  }
  return { records, damaged }
}

export const relaxedPlaces = ({ records }: HttpsRecords): RelaxedPlace[] =>
  records.flatMap(({ identity, name, kind, settings, relaxedSince }) =>
    relaxedSince === undefined
      ? []
      : [{ identity, name, since: new Date(relaxedSince), flags: flagsOf(kind, settings) }],
  )

/** As one would type it. */
const flagsOf = (kind: string, settings: HttpsRecord['settings']): string =>
  kind === 'oss'
    ? ['bucket', 'region', 'bucket-endpoint']
        .flatMap((name) => (settings[name] === undefined ? [] : [`--${name} ${settings[name]}`]))
        .join(' ')
    : `--${kind}-domain ${settings['domain']}`

type Fields = Readonly<Record<string, unknown>>

const parse = (text: string): HttpsRecord | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''

const isTime = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value))

const isRecord = (value: unknown): value is HttpsRecord =>
  isObject(value) &&
  value['schema'] === 1 &&
  [value['identity'], value['kind'], value['name']].every(isText) &&
  isObject(value['settings']) &&
  (value['relaxedSince'] === undefined || isTime(value['relaxedSince'])) &&
  Array.isArray(value['saved']) &&
  value['saved'].every(isSaved)

const isSaved = (value: unknown): boolean =>
  isObject(value) &&
  isTime(value['at']) &&
  isText(value['change']) &&
  ['enforce', 'relax', 'disable'].includes(String(value['verb'])) &&
  isParts(value['before']) &&
  (value['left'] === undefined || isParts(value['left'])) &&
  (value['relaxedSince'] === undefined || isTime(value['relaxedSince']))

const isParts = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((one) => one === null || typeof one === 'string')

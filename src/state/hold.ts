import { CertError } from '../errors.js'
import { type DeploymentRecord, isOlder, pendingOf } from './deployment-record.js'
import type { StateFolder } from './state-folder.js'

/**
 * A name that was rolled back, as it lies in `deployments/<name>/hold.json`: until a different certificate comes, the one
 * that it was rolled back to stays, whoever hands over again what it was rolled back from.
 */
export interface Hold {
  readonly schema: 1
  readonly name: string
  /** The certificate that is held: its folder in the archive, and its SHA-256. */
  readonly archive: string
  readonly sha256: string
  readonly notBefore: string
  readonly notAfter: string
  /** SHA-256 of those that it was rolled back from. */
  readonly away: readonly string[]
  /** When it was rolled back. */
  readonly at: string
}

const fileOf = (name: string): string[] => ['deployments', name, 'hold.json']

/** A hold, or what to say of a file that is there and is none. */
export interface FoundHold {
  readonly hold: Hold | undefined
  readonly damage: CertError | undefined
}

/** Neither of the two where the name is not held. @throws CertError STATE_UNUSABLE: it cannot be read */
export const lookAtHold = (state: StateFolder, name: string): FoundHold => {
  const text = state.readNow(fileOf(name))
  if (text === undefined) return { hold: undefined, damage: undefined }
  const hold = parseHold(text)
  // A long name is shortened on disk. One that was copied from another name holds nothing here.
  if (hold !== undefined && state.path(hold.name) === state.path(name)) return { hold, damage: undefined }
  return { hold: undefined, damage: damagedHold(name, state.path(...fileOf(name))) }
}

const damagedHold = (name: string, path: string): CertError =>
  new CertError('STATE_UNUSABLE', `${path} is damaged, and what ${name} was rolled back from is not known`, {
    hint: `roll it back again: acme-oss rollback ${name} --to ARCHIVE; or let it go: acme-oss forget ${name}`,
  })

/** Undefined where the name is not held. @throws CertError STATE_UNUSABLE: it cannot be read, or is damaged */
export const readHold = async (state: StateFolder, name: string): Promise<Hold | undefined> => {
  const { hold, damage } = lookAtHold(state, name)
  if (damage !== undefined) throw damage
  return hold
}

/** Only for whoever holds the lock of the name, as the next. @throws CertError STATE_UNUSABLE */
export const keepHold = async (state: StateFolder, hold: Hold): Promise<void> => {
  const file = fileOf(hold.name)
  await state.sweep(file.slice(0, -1))
  await state.write(file, `${JSON.stringify(hold, null, 2)}\n`)
}

/** @returns was there one? @throws CertError STATE_UNUSABLE */
export const endHold = async (state: StateFolder, name: string): Promise<boolean> => {
  if (!state.isThereNow(fileOf(name))) return false
  await state.remove(fileOf(name))
  return true
}

/** The hold that a record was written for, where a process was killed before it wrote that as well. */
export const holdIn = ({ hold }: DeploymentRecord): Hold | undefined => (isHold(hold) ? hold : undefined)

/** Was it asked for after the rollback, to take the place of what is held? */
export const endsHold = (record: DeploymentRecord, hold: Hold): boolean => {
  const { sha256 } = record.fingerprint
  if (sha256 === hold.sha256 || hold.away.includes(sha256) || record.recordedAt <= hold.at) return false
  const open = pendingOf(record)
  const isInsisted = (identity = ''): boolean => record.targets[identity]?.settings['allow-older'] === true
  return open.length > 0 && (!isOlder(record, hold) || open.some(({ identity }) => isInsisted(identity)))
}

const parseHold = (text: string): Hold | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isHold(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isSum = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const isDate = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value))

const isHold = (value: unknown): value is Hold => {
  if (typeof value !== 'object' || value === null) return false
  const hold = value as Readonly<Record<string, unknown>>
  return (
    hold['schema'] === 1 &&
    [hold['name'], hold['archive']].every((one) => typeof one === 'string') &&
    isSum(hold['sha256']) &&
    [hold['notBefore'], hold['notAfter'], hold['at']].every(isDate) &&
    Array.isArray(hold['away']) &&
    hold['away'].every(isSum)
  )
}

import { type CertificateBundle, fullchain } from '../certificate/bundle.js'
import type { CertError } from '../errors.js'
import { Secret } from '../secret.js'
import {
  closeSteps,
  type DeploymentRecord,
  forgetSteps,
  foundPlace,
  isGivenUp,
  isOrWasWanted,
  type Pending,
  parseRecord,
  pendingOf,
  proofOf,
  rolledBack,
  type StepRecord,
  superseded,
  type TargetRecord,
} from './deployment-record.js'
import { endHold, endsHold, type Hold, holdIn, keepHold, lookAtHold } from './hold.js'
import { failure, newRecord, pendingStep, toRecord, type WantedTarget } from './new-record.js'
import type { StateFolder } from './state-folder.js'

/** A certificate as it lies on disk: PEM, leaf first. */
export interface RecordedMaterial {
  readonly certificates: string
  readonly privateKey: Secret
}

/** The folder that all of them lie in. */
export const deploymentsFolder = 'deployments'
const recordFile = 'record.json'
const certificateFile = 'fullchain.pem'
export const keyFile = 'privkey.pem'
// In ms.
const longestWrite = 600_000

export const idOf = ({ fingerprint }: Pick<DeploymentRecord, 'fingerprint'>): string => fingerprint.sha256.slice(0, 12)

const folderOf = (record: Pick<DeploymentRecord, 'name' | 'fingerprint'>): string[] => [
  deploymentsFolder,
  record.name,
  idOf(record),
]

/**
 * What is wanted, written down before anything is tried, and crossed off step by step. Killed at any instant, the
 * record says at least what is still missing. Whoever writes one holds the lock of its name.
 */
export class Deployment {
  readonly #state: StateFolder
  readonly #now: () => Date
  /** What was known of the certificate before it was asked for once more. */
  readonly #before: DeploymentRecord | undefined
  #record: DeploymentRecord
  #writing: Promise<void> = Promise.resolve()
  /** Is a change still to be written that no write under way has? */
  #isQueued = false

  constructor(state: StateFolder, record: DeploymentRecord, now: () => Date, before?: DeploymentRecord) {
    this.#state = state
    this.#record = record
    this.#now = now
    this.#before = before
  }

  /**
   * Records that `bundle` is wanted on `targets`, which takes the place of what was wanted there before and is older.
   * The same certificate on other targets is added to its record; on the same ones, their steps begin anew.
   * @param unresolved why nobody knows yet where it is to go
   * @param hold that is to be in force from then on, or that the one there is holds no more, which is left to the caller
   * @throws CertError STATE_UNUSABLE
   */
  static async record(
    state: StateFolder,
    bundle: CertificateBundle,
    targets: readonly WantedTarget[],
    now: () => Date,
    unresolved?: CertError,
    hold?: Hold | 'ended',
  ): Promise<Deployment> {
    const { records } = await readDeployments(state, bundle.name)
    const known = records.find(isOf(bundle))
    const others = records.filter((record) => record !== known)
    const record = newRecord(bundle, targets, now(), unresolved, known)
    await state.sweep(folderOf(record))
    // With the hold in it: what is held without being wanted, or the other way round, nothing would put right.
    const about = hold === 'ended' ? { endsHold: true } : hold && { hold }
    await writeAll(state, bundle, { ...record, ...about })
    if (typeof hold === 'object') await keepHold(state, hold)
    // After it, so that a process killed in between leaves one certificate too many rather than none.
    for (const other of others) await keepSuperseded(state, other, [record], now())
    return new Deployment(state, record, now, known)
  }

  /**
   * The same for whoever has to wait for the lock, so that nothing is lost if that is in vain. A certificate that is
   * recorded already stays as it is: somebody may be at work on it.
   * @throws CertError STATE_UNUSABLE
   */
  static async note(
    state: StateFolder,
    bundle: CertificateBundle,
    targets: readonly WantedTarget[],
    now: () => Date,
    unresolved?: CertError,
  ): Promise<void> {
    const { records } = await readDeployments(state, bundle.name)
    if (!records.some(isOf(bundle))) {
      await writeAll(state, bundle, newRecord(bundle, targets, now(), unresolved, undefined))
    }
  }

  get record(): DeploymentRecord {
    return this.#record
  }

  /** What is still missing. */
  get pending(): readonly Pending[] {
    return pendingOf(this.#record)
  }

  /** Undefined once nothing needed it any more. */
  async readMaterial(): Promise<RecordedMaterial | undefined> {
    const folder = folderOf(this.#record)
    const [certificates, privateKey] = await Promise.all([
      this.#state.read([...folder, certificateFile]),
      this.#state.read([...folder, keyFile]),
    ])
    return certificates === undefined || privateKey === undefined
      ? undefined
      : { certificates, privateKey: new Secret(privateKey) }
  }

  /** By which what a step did for this certificate, in whichever run, can be told to be still there. */
  proofOf(identity: string, step: string): string | undefined {
    return proofOf(this.#record, identity, step)
  }

  /** Was nothing of it left to be done when the certificate was asked for once more? */
  wasDone(identity: string, step: string): boolean {
    const before = this.#before?.targets[identity]?.steps[step]
    return before?.status === 'done' && before.standsBack !== true
  }

  /** A step found out all that is to be done as well; what else an earlier run found is not there to be watched. */
  found(identity: string, steps: readonly string[]): void {
    const target = this.#record.targets[identity]
    if (target === undefined) return
    const added = steps.map((step) => [step, pendingStep(proofOf(this.#record, identity, step))])
    const own = Object.entries(target.steps).filter(([step]) => foundPlace(step) === undefined)
    const all = Object.fromEntries([...own, ...added])
    this.#change({ ...this.#record, targets: { ...this.#record.targets, [identity]: { ...target, steps: all } } })
  }

  done(identity: string, step: string, note: string | undefined, proof?: string, standsBack?: true): void {
    const known = proof ?? this.proofOf(identity, step)
    const at = this.#now().toISOString()
    const more = { ...(known !== undefined && { proof: known }), ...(standsBack && { standsBack }) }
    this.#set(identity, step, { status: 'done', at, note, ...more })
  }

  failed(identity: string, step: string, error: CertError): void {
    const before = this.#record.targets[identity]?.steps[step]
    const tries = before?.status === 'failed' ? before.tries : 0
    const proof = this.proofOf(identity, step)
    this.#set(identity, step, {
      status: 'failed',
      ...failure(error, tries, this.#now()),
      ...(proof !== undefined && { proof }),
    })
  }

  /** Where it is to go has been found out; what of it is new is wanted from now on. */
  resolved(targets: readonly WantedTarget[]): void {
    const added = targets.filter(({ identity }) => this.#record.targets[identity] === undefined)
    const records = Object.fromEntries(added.map((target) => [target.identity, toRecord(target)]))
    this.#change({ ...this.#record, unresolved: null, targets: { ...this.#record.targets, ...records } })
  }

  /** It is still not known where it is to go. */
  unresolved(error: CertError): void {
    const tries = this.#record.unresolved?.tries ?? 0
    this.#change({ ...this.#record, unresolved: failure(error, tries, this.#now()) })
  }

  /** The certificate is of no use any more. */
  expired(): void {
    const step: StepRecord = { status: 'expired', at: this.#now().toISOString() }
    this.#change({ ...closeSteps(this.#record, () => step), unresolved: null })
  }

  /**
   * No longer wanted, on the targets that `isMeant` picks: what is open is not done any more, and what is done is not
   * watched any more.
   * @param all also where nobody knows yet where it is to go
   * @returns the names of those that were wanted until now
   */
  forget(isMeant: (target: TargetRecord) => boolean, all: boolean): string[] {
    const wanted = Object.entries(this.#record.targets).filter(
      ([, target]) => isMeant(target) && (isOrWasWanted(target) || isGivenUp(target)),
    )
    const isUnresolved = all && this.#record.unresolved !== null
    if (wanted.length === 0 && !isUnresolved) return []
    const step: StepRecord = { status: 'forgotten', at: this.#now().toISOString() }
    const rest = Object.entries(this.#record.targets).filter(([, target]) => !isMeant(target) && isOrWasWanted(target))
    // What comes after all others comes after none.
    if (wanted.length > 0 && rest.every(([, { afterOthers }]) => afterOthers)) wanted.push(...rest)
    const record = forgetSteps(this.#record, new Set(wanted.map(([identity]) => identity)), step)
    this.#change(isUnresolved ? { ...record, unresolved: null } : record)
    return [...wanted.map(([, { name }]) => name), ...(isUnresolved ? [`the certificate ${record.archive}`] : [])]
  }

  #set(identity: string, step: string, state: StepRecord): void {
    const target = this.#record.targets[identity]
    if (target === undefined) return
    const steps = { ...target.steps, [step]: state }
    this.#change({ ...this.#record, targets: { ...this.#record.targets, [identity]: { ...target, steps } } })
  }

  #change(record: DeploymentRecord): void {
    this.#record = record
    if (this.#isQueued) return
    this.#isQueued = true
    this.#writing = this.#writing.then(() => {
      this.#isQueued = false
      // With what has changed meanwhile. What is lost in a power cut is done once more, which does no harm.
      const text = serialize(this.#record)
      return this.#state.write([...folderOf(this.#record), recordFile], text, { mayBeLost: true })
    })
    // A failure is kept for `settle`; the step itself is not delayed by the disk.
    this.#writing.catch(() => undefined)
  }

  /**
   * Waits until all of it is on disk, and forgets the private key once nothing needs it any more.
   * @throws CertError STATE_UNUSABLE
   */
  async settle(): Promise<void> {
    await this.#writing
    if (this.pending.length === 0) await this.#state.remove([...folderOf(this.#record), keyFile])
  }
}

const isOf =
  ({ fingerprint }: CertificateBundle) =>
  (record: DeploymentRecord): boolean =>
    record.fingerprint.sha256 === fingerprint.sha256

/** The record comes last: it is what makes the rest wanted. */
const writeAll = async (state: StateFolder, bundle: CertificateBundle, record: DeploymentRecord): Promise<void> => {
  const folder = folderOf(record)
  await Promise.all([
    state.write([...folder, certificateFile], fullchain(bundle)),
    state.write([...folder, keyFile], bundle.privateKey.reveal()),
  ])
  try {
    await state.write([...folder, recordFile], serialize(record))
  } catch (error) {
    // A key of which nothing says what it is for would stay for ever.
    if ((await state.writtenAt([...folder, recordFile])) === undefined) await state.remove([...folder, keyFile])
    throw error
  }
}

/** Writes down that a newer deployment takes from this one what it takes. */
const keepSuperseded = async (
  state: StateFolder,
  older: DeploymentRecord,
  newer: readonly DeploymentRecord[],
  now: Date,
): Promise<void> => {
  const closed = newer.reduce((record, one) => superseded(record, one, now), older)
  await keepClosed(state, older, closed)
}

const keepClosed = async (state: StateFolder, before: DeploymentRecord, closed: DeploymentRecord): Promise<void> => {
  if (closed !== before) await state.write([...folderOf(before), recordFile], serialize(closed))
  if (pendingOf(closed).length === 0) await state.remove([...folderOf(before), keyFile])
}

/** What was rolled back from is not wanted any more. @throws CertError STATE_UNUSABLE */
const keepHeld = async (state: StateFolder, name: string, now: Date): Promise<void> => {
  await adoptHold(state, name)
  const { hold } = lookAtHold(state, name)
  if (hold === undefined) return
  const { records } = await readDeployments(state, name)
  const held = records.find(({ fingerprint }) => fingerprint.sha256 === hold.sha256)
  for (const record of records) {
    if (!hold.away.includes(record.fingerprint.sha256)) continue
    await keepClosed(state, record, rolledBack(record, { by: hold.sha256, held, now }))
  }
  // A process was killed before it could.
  if (records.some((record) => endsHold(record, hold))) await endHold(state, name)
}

/**
 * Puts the hold in force, or ends the one, of which a process that was killed wrote the record alone. Only for whoever
 * holds the lock of the name.
 * @throws CertError STATE_UNUSABLE
 */
export const adoptHold = async (state: StateFolder, name: string): Promise<void> => {
  const { records } = await readDeployments(state, name)
  for (const record of records) {
    const meant = holdIn(record)
    const isEnd = record.endsHold === true
    if (meant === undefined && !isEnd) continue
    const { hold } = lookAtHold(state, name)
    if (meant !== undefined && (hold === undefined || hold.at < meant.at)) await keepHold(state, meant)
    // What cannot be read gives way to whoever asks for a certificate by hand.
    if (isEnd && (hold === undefined || hold.at < record.recordedAt)) await endHold(state, name)
    await state.write([...folderOf(record), recordFile], serialize({ ...record, hold: undefined, endsHold: undefined }))
  }
}

/**
 * Finishes what a killed process left half done: superseding, rolling back, keys that nothing needs any more, material whose record
 * was never written. Only for whoever holds the lock of the name.
 * @throws CertError STATE_UNUSABLE
 */
export const tidyDeployments = async (state: StateFolder, name: string, now: () => Date): Promise<void> => {
  await keepHeld(state, name, now())
  const { records } = await readDeployments(state, name)
  for (const older of records) await keepSuperseded(state, older, records, now())
  for (const id of await state.listFolders([deploymentsFolder, name])) {
    await state.sweep([deploymentsFolder, name, id])
    const written = await state.writtenAt([deploymentsFolder, name, id, keyFile])
    const isOrphan = (await state.read([deploymentsFolder, name, id, recordFile])) === undefined
    // One that is younger may be about to get its record.
    if (isOrphan && written !== undefined && now().getTime() - written.getTime() > longestWrite) {
      await state.remove([deploymentsFolder, name, id, keyFile])
    }
  }
}

/** The names under which anything is or was wanted. */
export const deploymentNames = (state: StateFolder): Promise<string[]> => state.listFolders([deploymentsFolder])

/** What lies under a name. */
export interface Deployments {
  /** The newest certificate first. */
  readonly records: readonly DeploymentRecord[]
  /** Records that cannot be made sense of: somebody else's hand was in them, since ours are written in one piece. */
  readonly damaged: readonly DamagedRecord[]
}

export interface DamagedRecord {
  readonly id: string
  readonly path: string
}

/** @throws CertError STATE_UNUSABLE */
export const readDeployments = async (state: StateFolder, name: string): Promise<Deployments> => {
  const { records, damaged } = readFolders(state, name)
  return { records, damaged }
}

export const readFolders = (state: StateFolder, name: string): Deployments & { readonly ids: readonly string[] } => {
  const ids = state.listFoldersNow([deploymentsFolder, name])
  const records: DeploymentRecord[] = []
  const damaged: DamagedRecord[] = []
  for (const id of ids) {
    const text = state.readNow([deploymentsFolder, name, id, recordFile])
    if (text === undefined) continue
    const record = parseRecord(text)
    // A long name is shortened on disk.
    const isOfName = record?.name === name || (record !== undefined && state.path(record.name) === state.path(name))
    if (record !== undefined && isOfName && idOf(record) === id) records.push(record)
    else damaged.push({ id, path: state.path(deploymentsFolder, name, id, recordFile) })
  }
  return { records: records.sort(newestFirst), damaged, ids }
}

/** Leaf and chain as they were recorded, PEM; undefined where they are gone. @throws CertError STATE_UNUSABLE */
export const recordedChain = (state: StateFolder, record: DeploymentRecord): Promise<string | undefined> =>
  state.read([...folderOf(record), certificateFile])

/** Takes away a record that cannot be made sense of, and the key beside it. */
export const removeDamaged = async (state: StateFolder, name: string, { id }: DamagedRecord): Promise<void> => {
  await state.remove([deploymentsFolder, name, id, keyFile])
  await state.remove([deploymentsFolder, name, id, recordFile])
}

const newestFirst = (a: DeploymentRecord, b: DeploymentRecord): number =>
  Date.parse(b.notBefore) - Date.parse(a.notBefore) ||
  Date.parse(b.notAfter) - Date.parse(a.notAfter) ||
  Date.parse(b.recordedAt) - Date.parse(a.recordedAt)

const serialize = (record: DeploymentRecord): string => `${JSON.stringify(record, null, 2)}\n`

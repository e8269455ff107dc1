import { archiveName, type CertificateBundle, fullchain } from '../certificate/bundle.js'
import type { CertError, VendorRefusal } from '../errors.js'
import type { StateFolder } from './state-folder.js'

/** One certificate and the places where it is wanted, as it lies in `deployments/<name>/<sha256[0:12]>/record.json`. */
export interface DeploymentRecord {
  readonly schema: 1
  readonly name: string
  readonly names: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  readonly serial: string
  readonly fingerprint: { readonly sha1: string; readonly sha256: string }
  readonly archive: string
  /** When it was last asked for. */
  readonly recordedAt: string
  /** By identity. */
  readonly targets: Record<string, TargetRecord>
}

export interface TargetRecord {
  readonly kind: string
  readonly name: string
  readonly settings: Readonly<Record<string, string | boolean>>
  readonly steps: Record<string, StepRecord>
}

export type StepRecord =
  | { readonly status: 'pending' }
  | { readonly status: 'done'; readonly at: string; readonly note?: string | undefined }
  | {
      readonly status: 'failed'
      readonly at: string
      readonly tries: number
      /** Not tried again before then. */
      readonly next: string
      readonly error: RecordedError
    }

export interface RecordedError {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
  readonly vendor?: VendorRefusal | undefined
}

/** A target as it is written down. */
export interface WantedTarget {
  readonly identity: string
  readonly kind: string
  readonly name: string
  readonly settings: Readonly<Record<string, string | boolean>>
  readonly steps: readonly string[]
}

export interface Pending {
  readonly target: string
  readonly step: string
  readonly next: string | undefined
  readonly error: RecordedError | undefined
}

const recordFile = 'record.json'
const certificateFile = 'fullchain.pem'
const keyFile = 'privkey.pem'

const minute = 60_000
const longestPause = 6 * 60 * minute
const day = 24 * 60 * minute

/** When a step that failed is due again: after a minute, then doubling; once a day if it cannot pass by itself. */
export const nextTry = (tries: number, passing: boolean, now: Date): Date =>
  new Date(now.getTime() + (passing ? Math.min(longestPause, minute * 2 ** Math.min(tries - 1, 20)) : day))

/**
 * What is wanted, written down before anything is tried, and crossed off step by step. Killed at any instant, the
 * record says at least what is still missing.
 */
export class Deployment {
  readonly #state: StateFolder
  readonly #folder: readonly string[]
  readonly #now: () => Date
  #record: DeploymentRecord
  #writing: Promise<void> = Promise.resolve()

  private constructor(state: StateFolder, folder: readonly string[], record: DeploymentRecord, now: () => Date) {
    this.#state = state
    this.#folder = folder
    this.#record = record
    this.#now = now
  }

  /**
   * Records that `bundle` is wanted on `targets`. The same certificate on other targets is added to its record; on the
   * same ones, their steps begin anew.
   * @throws CertError STATE_UNUSABLE
   */
  static async record(
    state: StateFolder,
    bundle: CertificateBundle,
    targets: readonly WantedTarget[],
    now: () => Date,
  ): Promise<Deployment> {
    const folder = ['deployments', bundle.name, bundle.fingerprint.sha256.slice(0, 12)]
    const known = await readRecord(state, folder)
    const record: DeploymentRecord = {
      schema: 1,
      name: bundle.name,
      names: bundle.names,
      notBefore: bundle.notBefore.toISOString(),
      notAfter: bundle.notAfter.toISOString(),
      serial: bundle.serial,
      fingerprint: bundle.fingerprint,
      archive: archiveName(bundle),
      recordedAt: now().toISOString(),
      targets: {
        ...known?.targets,
        ...Object.fromEntries(targets.map((target) => [target.identity, toRecord(target)])),
      },
    }
    await state.sweep(folder)
    // The record comes last: it is what makes the rest wanted.
    await Promise.all([
      state.write([...folder, certificateFile], fullchain(bundle)),
      state.write([...folder, keyFile], bundle.privateKey.reveal()),
    ])
    await state.write([...folder, recordFile], serialize(record))
    return new Deployment(state, folder, record, now)
  }

  done(identity: string, step: string, note: string | undefined): void {
    this.#set(identity, step, { status: 'done', at: this.#now().toISOString(), note })
  }

  failed(identity: string, step: string, { code, message, hint, vendor, passing }: CertError): void {
    const before = this.#record.targets[identity]?.steps[step]
    const tries = (before?.status === 'failed' ? before.tries : 0) + 1
    const at = this.#now()
    const next = nextTry(tries, passing, at).toISOString()
    this.#set(identity, step, {
      status: 'failed',
      at: at.toISOString(),
      tries,
      next,
      error: { code, message, hint, vendor },
    })
  }

  #set(identity: string, step: string, state: StepRecord): void {
    const target = this.#record.targets[identity]
    if (target === undefined) return
    const steps = { ...target.steps, [step]: state }
    this.#record = { ...this.#record, targets: { ...this.#record.targets, [identity]: { ...target, steps } } }
    const text = serialize(this.#record)
    this.#writing = this.#writing.then(() => this.#state.write([...this.#folder, recordFile], text))
    // A failure is kept for `settle`; the step itself is not delayed by the disk.
    this.#writing.catch(() => undefined)
  }

  /** What is still missing. */
  get pending(): readonly Pending[] {
    return Object.values(this.#record.targets).flatMap(({ name, steps }) =>
      Object.entries(steps).flatMap(([step, state]) =>
        state.status === 'done'
          ? []
          : [
              {
                target: name,
                step,
                next: state.status === 'failed' ? state.next : undefined,
                error: state.status === 'failed' ? state.error : undefined,
              },
            ],
      ),
    )
  }

  /**
   * Waits until all of it is on disk, and forgets the private key once nothing needs it any more.
   * @throws CertError STATE_UNUSABLE
   */
  async settle(): Promise<void> {
    await this.#writing
    if (this.pending.length === 0) await this.#state.remove([...this.#folder, keyFile])
  }
}

const toRecord = ({ kind, name, settings, steps }: WantedTarget): TargetRecord => ({
  kind,
  name,
  settings,
  steps: Object.fromEntries(steps.map((step) => [step, { status: 'pending' }])),
})

const serialize = (record: DeploymentRecord): string => `${JSON.stringify(record, null, 2)}\n`

const readRecord = async (state: StateFolder, folder: readonly string[]): Promise<DeploymentRecord | undefined> => {
  const text = await state.read([...folder, recordFile])
  if (text === undefined) return undefined
  try {
    const record = JSON.parse(text) as DeploymentRecord
    return record.schema === 1 ? record : undefined
  } catch {
    // Ours are written in one piece: somebody else's hand was in it, and what is wanted now is known anyway.
    return undefined
  }
}

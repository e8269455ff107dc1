import type { CertificateBundle } from '../certificate/bundle.js'
import { CertError, toCertError } from '../errors.js'
import type { Pending } from '../state/deployment-record.js'
import { Deployment, tidyDeployments } from '../state/deployments.js'
import { endHold, type Hold } from '../state/hold.js'
import { type LockOptions, withLock, withLocks } from '../state/lock.js'
import type { WantedTarget } from '../state/new-record.js'
import { newestOn } from '../state/newest-on.js'
import { recordedOn } from '../state/recorded-on.js'
import type { StateFolder } from '../state/state-folder.js'
import type { DeployTarget, Strand } from '../targets/target.js'
import { execute, type Observer, type ProofOf, type Report, type WasDone } from './execute.js'
import { type HoldRule, type SettledHold, settleHold } from './hold.js'
import { type Plan, planDeployment } from './plan.js'

export interface DeployOptions {
  readonly bundle: CertificateBundle
  readonly targets: readonly DeployTarget[]
  /** Where the wanted deployment is recorded; an error where it cannot be, which then is a warning. */
  readonly state: StateFolder | CertError
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly observer: Observer
  /** Told once, when another process is at work on the same name. */
  readonly onWait?: ((owner: string) => void) | undefined
  /** Awaited when it is on record what is wanted: from then on `sync` sees to it. */
  readonly onRecorded?: (() => Promise<void>) | undefined
  /** What is done about a hold on the name; heeded, where it is absent. */
  readonly hold?: HoldRule | undefined
}

export interface Deployed extends Report {
  readonly pending: readonly Pending[]
}

/**
 * Records what is wanted, carries it out, and crosses off what is done. Whatever fails is in the report and, unless the
 * state folder is unusable, still wanted.
 * @throws CertError NAME_NOT_COVERED, USAGE: before anything is touched; LOCKED; what a rule for the hold throws
 */
export const deploy = async (options: DeployOptions): Promise<Deployed> => {
  const { bundle, targets, state, signal, observer, onWait } = options
  const recorded = 'root' in state ? recordedOn(state, bundle) : undefined
  const plan = planDeployment(bundle, targets, undefined, recorded)
  for (const target of targets) target.warmUp?.()
  if (!('root' in state)) return await deployUnrecorded(options, plan, state)
  try {
    // What is to be wanted without its hold is not to be wanted: a rollback that waits in vain never began.
    const isNoted = typeof options.hold !== 'function'
    return await withRecord(
      { ...options, state, isNoted },
      wantedTargets(plan),
      undefined,
      async (record, hasWaited) => {
        const settledHold = await settleHold(state, bundle, { rule: options.hold, targets })
        if (settledHold.isKeptBack) {
          // What another process noted while this one waited.
          await tidyDeployments(state, bundle.name, options.now)
          await options.onRecorded?.()
          return { bundle, stages: [], warnings: settledHold.warnings, pending: [] }
        }
        const deployment = await recordHeld(state, bundle, settledHold, record)
        await options.onRecorded?.()
        // Where reading is not permitted, only the records tell that a newer one came meanwhile.
        const now = hasWaited ? planDeployment(bundle, targets, await newestOn(state, bundle), recorded) : plan
        const report = await executeAlone(now, {
          state,
          signal,
          onWait,
          observers: [observer, recorder(deployment)],
          proofOf: (identity, step) => deployment.proofOf(identity, step),
          wasDone: (identity, step) => deployment.wasDone(identity, step),
        })
        const done = await settled(deployment, [...settledHold.warnings, ...report.warnings])
        // What was found takes the place of what an older one wanted there; in vain, that is left to the next run.
        if (findsPlaces(now) || settledHold.isHeld)
          await tidyDeployments(state, bundle.name, options.now).catch(() => undefined)
        return { ...report, ...done }
      },
    )
  } catch (error) {
    if (error instanceof CertError && error.code === 'STATE_UNUSABLE') {
      return await deployUnrecorded(options, plan, error)
    }
    throw error
  }
}

/**
 * Runs `work`, which has it written down, with nobody else at work on the same name. Whoever has to wait for that has
 * written it down before, unless it is not to be.
 */
const withRecord = async <T>(
  { bundle, state, now, signal, onWait, isNoted }: KeepOptions & { readonly isNoted: boolean },
  targets: readonly WantedTarget[],
  unresolved: CertError | undefined,
  work: (record: (hold?: Hold | 'ended') => Promise<Deployment>, hasWaited: boolean) => Promise<T>,
): Promise<T> => {
  let noting: Promise<unknown> = Promise.resolve()
  let hasWaited = false
  const note = (owner: string): void => {
    hasWaited = true
    // Where it fails, recording fails as well, and is reported.
    if (isNoted) noting = Deployment.note(state, bundle, targets, now, unresolved).catch(() => undefined)
    onWait?.(owner)
  }
  try {
    return await withLock(state, bundle.name, { signal, onWait: note }, async () => {
      await noting
      const record = (hold?: Hold | 'ended') => Deployment.record(state, bundle, targets, now, unresolved, hold)
      return await work(record, hasWaited)
    })
  } finally {
    await noting
  }
}

/** First the record, which `sync` goes on with; then what it means for the hold: a process may be killed in between. */
const recordHeld = async (
  state: StateFolder,
  { name }: CertificateBundle,
  { keeps, isEnded }: Pick<SettledHold, 'keeps' | 'isEnded'>,
  record: (hold?: Hold | 'ended') => Promise<Deployment>,
): Promise<Deployment> => {
  try {
    return await record(isEnded ? 'ended' : keeps)
  } finally {
    // It is deployed all the same where it cannot be recorded.
    if (isEnded) await endHold(state, name)
  }
}

export interface ExecuteAloneOptions extends LockOptions {
  readonly state: StateFolder
  readonly observers: readonly Observer[]
  readonly proofOf: ProofOf
  /** Nothing was, where it is absent. */
  readonly wasDone?: WasDone
}

/**
 * Carries a plan out with nobody else at work on its targets: two certificates may have been given the same place, and
 * files of the one must not come to lie among files of the other.
 * @throws CertError LOCKED, STATE_UNUSABLE
 */
export const executeAlone = async (
  plan: Plan,
  { state, signal, onWait, observers, proofOf, wasDone }: ExecuteAloneOptions,
): Promise<Report> => {
  // What comes after all others is no place.
  const places = plan.stages.flatMap(({ target }) => (target.afterOthers ? [] : [`at ${target.name}`]))
  return await withLocks(state, places, { signal, onWait }, () => execute(plan, signal, observers, proofOf, wasDone))
}

const findsPlaces = ({ stages }: Plan): boolean => stages.some(({ steps }) => steps.some(({ finds }) => finds))

/** Being deployed matters more than being recorded. */
const deployUnrecorded = async ({ signal, observer }: DeployOptions, plan: Plan, why: CertError): Promise<Deployed> => {
  const report = await execute(plan, signal, [observer])
  const warning = `nothing was recorded, so what failed is not tried again by itself: ${why.message}`
  return { ...report, warnings: [...report.warnings, warning], pending: [] }
}

/** What is to be written down of the targets of a plan. */
export const wantedTargets = (plan: Plan): WantedTarget[] =>
  plan.stages.map(({ target: { identity, kind, name, settings, afterOthers }, steps }) => ({
    identity,
    kind,
    name,
    settings,
    afterOthers,
    steps: steps.map(({ id }) => id),
  }))

/** Crosses off what is done. */
export const recorder = (deployment: Deployment): Observer => ({
  found: (target, strands) => deployment.found(target.identity, strands.flatMap(idsOf)),
  ended: (target, result) => {
    if (result.status === 'failed') deployment.failed(target.identity, result.id, result.error)
    else if (result.status !== 'skipped') {
      deployment.done(target.identity, result.id, result.note, result.proof, result.standsBack)
    } else if (result.isDone) deployment.done(target.identity, result.id, result.note)
  },
})

const idsOf = (strand: Strand): string[] => strand.map(({ id }) => id)

/** What is left, once all of it is on disk. */
export const settled = async (
  deployment: Deployment,
  warnings: readonly string[],
): Promise<{ readonly warnings: readonly string[]; readonly pending: readonly Pending[] }> => {
  try {
    await deployment.settle()
    return { warnings, pending: deployment.pending }
  } catch (error) {
    const warning = `the record of what is done could not be written: ${toCertError(error).message}`
    return { warnings: [...warnings, warning], pending: deployment.pending }
  }
}

export type KeepOptions = Pick<DeployOptions, 'bundle' | 'now' | 'signal' | 'onWait'> & { readonly state: StateFolder }

/**
 * Writes a certificate down of which nobody knows yet where it is to go, and why.
 * @throws CertError LOCKED, STATE_UNUSABLE
 */
export const keepUnresolved = async (options: KeepOptions, why: CertError): Promise<readonly Pending[]> =>
  await withRecord({ ...options, isNoted: true }, [], why, async (record) => {
    const { state, bundle } = options
    const settledHold = await settleHold(state, bundle, { rule: undefined, targets: [] })
    if (settledHold.isKeptBack) return []
    const deployment = await recordHeld(state, bundle, settledHold, record)
    await deployment.settle()
    return deployment.pending
  })

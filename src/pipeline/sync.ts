import { breath } from '../breath.js'
import type { CertificateBundle, CertificateFacts } from '../certificate/bundle.js'
import { normalize } from '../certificate/normalize.js'
import { CertError, toCertError } from '../errors.js'
import {
  type DeploymentRecord,
  isDue,
  isInTurn,
  isLast,
  isOrWasWanted,
  type Pending,
  pendingOf,
  upcomingOf,
} from '../state/deployment-record.js'
import { Deployment, readDeployments, tidyDeployments } from '../state/deployments.js'
import { lookAtHold } from '../state/hold.js'
import { withLock } from '../state/lock.js'
import { newestOn } from '../state/newest-on.js'
import { recordedOn } from '../state/recorded-on.js'
import type { StateFolder } from '../state/state-folder.js'
import { surveyDeployments } from '../state/survey.js'
import type { DeployTarget, TargetSettings } from '../targets/target.js'
import { executeAlone, recorder, settled, wantedTargets } from './deploy.js'
import type { Observer, StageReport } from './execute.js'
import { placingsOf } from './placing.js'
import { circumstancesOf, planDeployment, requireUseful, type Stage } from './plan.js'

export interface SyncOptions {
  readonly state: StateFolder
  readonly now: () => Date
  readonly signal: AbortSignal
  /** What is not due yet as well. */
  readonly all: boolean
  /** Makes a target out of what was recorded of it. @throws CertError */
  readonly create: (kind: string, settings: TargetSettings) => DeployTarget
  /** Where a certificate is to go that was recorded without that being known. @throws CertError */
  readonly resolve: (bundle: CertificateBundle) => Promise<readonly DeployTarget[]>
  readonly observer: (name: string) => Observer
  readonly onWait: (name: string, owner: string) => void
}

/** What became of one certificate that was still wanted somewhere. */
export interface Synced {
  readonly facts: CertificateFacts
  /** Only the targets that were tried. */
  readonly stages: readonly StageReport[]
  readonly pending: readonly Pending[]
  readonly warnings: readonly string[]
  /** Why it could not even be tried. */
  readonly error: CertError | undefined
}

export interface SyncedName {
  readonly name: string
  readonly certificates: readonly Synced[]
  /** Records that are lost, or another process that would not let go. */
  readonly error: CertError | undefined
}

/** Tries again what is still wanted under a name, the newest certificate first. Never throws for what failed. */
export const syncName = async (name: string, options: SyncOptions): Promise<SyncedName> => {
  const { state, signal, onWait } = options
  try {
    await breath()
    const { records, damaged, isUntidy } = await surveyDeployments(state, name)
    const error = damaged[0] && damagedRecord(name, damaged[0].path)
    // A process that was killed may have left a key that nothing needs.
    if (!records.some((record) => isToDo(record, options)) && !isUntidy) {
      return { name, certificates: records.filter(isOpen).map(untried), error }
    }
    const certificates = await withLock(state, name, { signal, onWait: (owner) => onWait(name, owner) }, () =>
      syncRecords(name, options),
    )
    return { name, certificates, error }
  } catch (error) {
    return { name, certificates: [], error: toCertError(error) }
  }
}

/** What to say of a record that somebody else's hand was in. */
export const damagedRecord = (name: string, path: string): CertError =>
  new CertError('STATE_UNUSABLE', `the record ${path} is damaged, and what was still to be done by it is not known`, {
    hint: `deploy that certificate again (call the hook once more), or: acme-oss forget ${name}`,
  })

const isOpen = (record: DeploymentRecord): boolean => pendingOf(record).length > 0

const hasExpired = (record: DeploymentRecord, now: Date): boolean => Date.parse(record.notAfter) <= now.getTime()

const isToDo = (record: DeploymentRecord, { all, now }: SyncOptions): boolean =>
  isOpen(record) && (all || hasExpired(record, now()) || upcomingOf(record).some((one) => isDue(one, now())))

const untried = (record: DeploymentRecord): Synced => ({
  facts: factsOf(record),
  stages: [],
  pending: pendingOf(record),
  warnings: [],
  error: undefined,
})

export const factsOf = ({
  name,
  names,
  notBefore,
  notAfter,
  serial,
  fingerprint,
}: DeploymentRecord): CertificateFacts => ({
  name,
  names,
  notBefore: new Date(notBefore),
  notAfter: new Date(notAfter),
  serial,
  fingerprint,
})

const syncRecords = async (name: string, options: SyncOptions): Promise<Synced[]> => {
  const { state, now } = options
  await tidyDeployments(state, name, now)
  const unresolved = await resolveAll(name, options)
  const synced: Synced[] = []
  const tried = new Set<string>()
  for (;;) {
    const { records } = await readDeployments(state, name)
    const next = records.find((record) => isOpen(record) && !tried.has(record.fingerprint.sha256))
    if (next === undefined) return warned(synced, lookAtHold(state, name).damage)
    tried.add(next.fingerprint.sha256)
    synced.push(await syncRecord(next, unresolved.get(next.fingerprint.sha256), options))
    await tidyDeployments(state, name, now)
  }
}

/** What is to be done is done all the same. */
const warned = ([first, ...more]: readonly Synced[], damage: CertError | undefined): Synced[] => {
  if (first === undefined) return []
  return [damage === undefined ? first : { ...first, warnings: [damage.message, ...first.warnings] }, ...more]
}

/**
 * Finds out where those are to go of which that is not known, before any is deployed: a newer one may be found to go to
 * the same place. @returns why it still is not known, by fingerprint
 */
const resolveAll = async (name: string, options: SyncOptions): Promise<ReadonlyMap<string, CertError>> => {
  const { state, now, all } = options
  const reasons = new Map<string, CertError>()
  const { records } = await readDeployments(state, name)
  for (const record of records) {
    const deployment = new Deployment(state, record, now)
    const open = deployment.pending.find(({ identity }) => identity === undefined)
    if (open === undefined || hasExpired(record, now()) || !(all || isDue(open, now()))) continue
    try {
      const bundle = await readBundle(deployment, now())
      deployment.resolved(wantedTargets(planDeployment(bundle, await options.resolve(bundle))))
    } catch (error) {
      const why = toCertError(error)
      deployment.unresolved(why)
      reasons.set(record.fingerprint.sha256, why)
    }
    await deployment.settle()
  }
  await tidyDeployments(state, name, now)
  return reasons
}

const syncRecord = async (
  record: DeploymentRecord,
  unresolved: CertError | undefined,
  options: SyncOptions,
): Promise<Synced> => {
  const { state, now, signal, observer, onWait } = options
  const { name } = record
  const deployment = new Deployment(state, record, now)
  const nothing = { facts: factsOf(record), stages: [], error: unresolved }
  if (hasExpired(record, now())) {
    deployment.expired()
    const warning = `${name}: the certificate ${record.archive} expired before it was in place, and is given up`
    return { ...nothing, ...(await settled(deployment, [warning])) }
  }
  if (unresolved !== undefined && Object.keys(record.targets).length === 0) {
    return { ...nothing, pending: deployment.pending, warnings: [] }
  }
  if (!isToDo(record, options)) return { ...nothing, pending: deployment.pending, warnings: [] }
  try {
    const bundle = await readBundle(deployment, now())
    const earlier = placingsOf(deployment.record)
    const { stages, failed } = await plannedStages(deployment, bundle, options)
    const report = await executeAlone(
      { bundle, stages, earlier },
      {
        state,
        signal,
        onWait: (owner) => onWait(name, owner),
        observers: [observer(name), recorder(deployment)],
        proofOf: (identity, step) => deployment.proofOf(identity, step),
      },
    )
    for (const { target, steps } of failed) {
      for (const step of steps) observer(name).ended?.(target, step)
    }
    const done = await settled(deployment, report.warnings)
    return { ...nothing, stages: [...report.stages, ...failed.map((one) => one.report)], ...done }
  } catch (thrown) {
    const error = toCertError(thrown)
    if (error.code !== 'LOCKED') fail(deployment, error)
    return { ...nothing, ...(await settled(deployment, [])), error }
  }
}

/** @throws CertError STATE_UNUSABLE, or what `normalize` refuses */
const readBundle = async (deployment: Deployment, now: Date): Promise<CertificateBundle> => {
  const { name } = deployment.record
  const material = await deployment.readMaterial()
  if (material === undefined) {
    throw new CertError('STATE_UNUSABLE', `the certificate or the key that was recorded for ${name} is gone`, {
      hint: `deploy it again (call the hook once more), or: acme-oss forget ${name}`,
    })
  }
  return normalize({ ...material, name }, now).bundle
}

/** None of it can be done. */
const fail = (deployment: Deployment, error: CertError): void => {
  for (const { identity, step } of deployment.pending) {
    if (identity === undefined || step === undefined) deployment.unresolved(error)
    else deployment.failed(identity, step, error)
  }
}

interface FailedStage {
  readonly target: DeployTarget
  readonly steps: StageReport['steps']
  readonly report: StageReport
}

/** The open steps of every target whose time has come. */
const plannedStages = async (
  deployment: Deployment,
  bundle: CertificateBundle,
  options: SyncOptions,
): Promise<{ readonly stages: readonly Stage[]; readonly failed: readonly FailedStage[] }> => {
  const { state, all, now } = options
  const newest = await newestOn(state, bundle)
  const targets = targetsOf(deployment, options)
  const stages: Stage[] = []
  const failed: FailedStage[] = []
  for (const [identity, open] of dueSteps(deployment.record, all, now())) {
    const recorded = deployment.record.targets[identity]
    // What comes after all others waits for those that cannot even be made.
    if (recorded === undefined || (recorded.afterOthers && failed.length > 0)) continue
    try {
      const target = options.create(recorded.kind, recorded.settings)
      requireUseful(bundle.names, [target])
      const circumstances = circumstancesOf(identity, targets, newest, recordedOn(state, bundle))
      const steps = target.plan(bundle, circumstances).filter(({ id }) => open.includes(id))
      // What is looked for anew is found again: a process was killed before it could cross the looking off.
      const strands = steps.some(({ finds }) => finds) ? [] : (target.planFound?.(bundle, circumstances, open) ?? [])
      if (steps.length + strands.length === 0)
        throw new CertError('INTERNAL', `${recorded.name} has no step ${open[0]}`)
      // Crossed off where it stands, whatever the target is called by now.
      stages.push({ target: { ...target, identity }, steps, strands })
    } catch (error) {
      const why = toCertError(error)
      const [step = ''] = open
      deployment.failed(identity, step, why)
      failed.push(failedStage(identity, recorded, step, why))
    }
  }
  return { stages, failed }
}

/**
 * By the target's identity: the steps that are open, where the one whose turn it is is due. What comes after all others is
 * among them, behind them, where they are all that is left of those.
 */
const dueSteps = (record: DeploymentRecord, all: boolean, now: Date): ReadonlyMap<string, readonly string[]> => {
  const pending = pendingOf(record)
  const due = upcomingOf(record).filter((one) => all || isDue(one, now))
  const first = pending.filter((one) => !isLast(record, one))
  const tried = first.filter((one) => due.some((upcoming) => isInTurn(upcoming, one)))
  const isAll = tried.length === first.length && tried.every(({ identity }) => identity !== undefined)
  const last = pending.filter((one) => isLast(record, one) && (all || isDue(one, now)))
  const steps = new Map<string, string[]>()
  for (const { identity, step } of isAll ? [...tried, ...last] : tried) {
    if (identity === undefined || step === undefined) continue
    steps.set(identity, [...(steps.get(identity) ?? []), step])
  }
  return steps
}

/** Where the certificate is wanted or was put, unless that is forgotten, as far as those targets can still be made. */
const targetsOf = (deployment: Deployment, { create }: SyncOptions): DeployTarget[] =>
  Object.entries(deployment.record.targets).flatMap(([identity, target]) => {
    if (!isOrWasWanted(target)) return []
    const { kind, settings } = target
    try {
      return [{ ...create(kind, settings), identity }]
    } catch {
      return []
    }
  })

const failedStage = (
  identity: string,
  { kind, name, settings }: DeploymentRecord['targets'][string],
  step: string,
  error: CertError,
): FailedStage => {
  const steps = [{ id: step, does: step, ms: 0, status: 'failed' as const, error }]
  return {
    target: {
      kind,
      identity,
      name,
      settings,
      serves: [],
      plan: () => [],
      observe: async () => ({ status: 'refused' }),
    },
    steps,
    report: { target: name, status: 'failed', isPartly: false, steps },
  }
}

import { CertError, toCertError } from '../errors.js'
import { Deployment, type Pending } from '../state/deployments.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import { execute, type Observer, type Report } from './execute.js'
import type { Plan } from './plan.js'

export interface DeployOptions {
  readonly plan: Plan
  /** Where the wanted deployment is recorded; an error where it cannot be, which then is a warning. */
  readonly state: StateFolder | CertError
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly observer: Observer
  /** Told once, when another process is at work on the same name. */
  readonly onWait?: (owner: string) => void
}

export interface Deployed extends Report {
  readonly pending: readonly Pending[]
}

/**
 * Records what is wanted, carries the plan out, and crosses off what is done. Whatever fails is in the report and,
 * unless the state folder is unusable, still wanted.
 */
export const deploy = async (options: DeployOptions): Promise<Deployed> => {
  const { plan, state, signal, onWait } = options
  for (const { target } of plan.stages) target.warmUp?.()
  if (!('root' in state)) return await deployUnrecorded(options, state)
  try {
    return await withLock(state, plan.bundle.name, { signal, onWait }, () => deployRecorded(options, state))
  } catch (error) {
    if (error instanceof CertError && error.code === 'STATE_UNUSABLE') return await deployUnrecorded(options, error)
    throw error
  }
}

const deployRecorded = async (
  { plan, now, signal, observer }: DeployOptions,
  state: StateFolder,
): Promise<Deployed> => {
  const deployment = await Deployment.record(state, plan.bundle, wantedTargets(plan), now)
  const report = await execute(plan, signal, [observer, recorder(deployment)])
  const warnings = [...report.warnings]
  await deployment.settle().catch((error: unknown) => {
    warnings.push(`the record of what is done could not be written: ${toCertError(error).message}`)
  })
  return { ...report, warnings, pending: deployment.pending }
}

/** Being deployed matters more than being recorded. */
const deployUnrecorded = async ({ plan, signal, observer }: DeployOptions, why: CertError): Promise<Deployed> => {
  const report = await execute(plan, signal, [observer])
  const warning = `nothing was recorded, so what failed is not tried again by itself: ${why.message}`
  return { ...report, warnings: [...report.warnings, warning], pending: [] }
}

const wantedTargets = (plan: Plan) =>
  plan.stages.map(({ target: { identity, kind, name, settings }, steps }) => ({
    identity,
    kind,
    name,
    settings,
    steps: steps.map(({ id }) => id),
  }))

const recorder = (deployment: Deployment): Observer => ({
  ended: (target, result) => {
    if (result.status === 'failed') deployment.failed(target.identity, result.id, result.error)
    else if (result.status !== 'skipped') deployment.done(target.identity, result.id, result.note)
  },
})

import type { CertificateBundle } from '../certificate/bundle.js'
import { type CertError, toCertError } from '../errors.js'
import type { DeployTarget, Outcome, Step } from '../targets/target.js'
import type { Plan, Stage } from './plan.js'

export type StepResult = { readonly id: string; readonly does: string; readonly ms: number } & (
  | { readonly status: 'changed' | 'unchanged'; readonly note: string | undefined }
  | { readonly status: 'failed'; readonly error: CertError }
  | { readonly status: 'skipped' }
)

export interface StageReport {
  readonly target: string
  readonly status: 'changed' | 'unchanged' | 'failed'
  readonly steps: readonly StepResult[]
}

export interface Report {
  readonly bundle: CertificateBundle
  readonly stages: readonly StageReport[]
  readonly warnings: readonly string[]
}

/** Told of every step as it begins and ends, so that progress can be shown and recorded. */
export interface Observer {
  begun?(target: DeployTarget, step: Step): void
  ended?(target: DeployTarget, result: StepResult): void
}

/** Runs the stages side by side and the steps of each in order. Never throws for a failed step: read the report. */
export const execute = async (plan: Plan, signal: AbortSignal, observers: readonly Observer[]): Promise<Report> => {
  const warnings: string[] = []
  const stages = await Promise.all(plan.stages.map((stage) => runStage(stage, signal, observers, warnings)))
  return { bundle: plan.bundle, stages, warnings }
}

const runStage = async (
  { target, steps }: Stage,
  signal: AbortSignal,
  observers: readonly Observer[],
  warnings: string[],
): Promise<StageReport> => {
  const results: StepResult[] = []
  for (const step of steps) {
    const failed = results.some(({ status }) => status === 'failed')
    const result = failed ? skipped(step) : await runStep(target, step, signal, observers, warnings)
    results.push(result)
    for (const observer of observers) observer.ended?.(target, result)
  }
  const has = (status: StepResult['status']) => results.some((result) => result.status === status)
  return {
    target: target.name,
    status: has('failed') ? 'failed' : has('changed') ? 'changed' : 'unchanged',
    steps: results,
  }
}

const skipped = ({ id, does }: Step): StepResult => ({ id, does, ms: 0, status: 'skipped' })

const runStep = async (
  target: DeployTarget,
  step: Step,
  signal: AbortSignal,
  observers: readonly Observer[],
  warnings: string[],
): Promise<StepResult> => {
  for (const observer of observers) observer.begun?.(target, step)
  const start = performance.now()
  const about = () => ({ id: step.id, does: step.does, ms: Math.round(performance.now() - start) })
  try {
    const outcome: Outcome = await step.run(signal)
    warnings.push(...(outcome.warnings ?? []).filter((warning) => !warnings.includes(warning)))
    return { ...about(), status: outcome.status, note: outcome.note }
  } catch (error) {
    return { ...about(), status: 'failed', error: toCertError(error) }
  }
}

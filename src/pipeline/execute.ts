import type { CertificateBundle } from '../certificate/bundle.js'
import { eachOf } from '../each-of.js'
import { type CertError, toCertError } from '../errors.js'
import type { DeployTarget, Outcome, Step, Strand } from '../targets/target.js'
import { isNowhere } from './placing.js'
import type { Plan, Stage } from './plan.js'

export type StepResult = { readonly id: string; readonly does: string; readonly ms: number } & (
  | {
      readonly status: 'changed' | 'unchanged'
      readonly note: string | undefined
      readonly proof?: string | undefined
      readonly standsBack?: true | undefined
    }
  | { readonly status: 'failed'; readonly error: CertError }
  /** `isDone`: there was nothing to do it to, rather than that it was not tried. */
  | { readonly status: 'skipped'; readonly note?: string | undefined; readonly isDone: boolean }
)

export interface StageReport {
  readonly target: string
  readonly status: 'changed' | 'unchanged' | 'failed' | 'skipped'
  /** It failed, but not everywhere: where it found several places, some of them have the certificate. */
  readonly isPartly: boolean
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
  /** What a step found to be done as well, before any of it is: all of it, which may be nothing. */
  found?(target: DeployTarget, strands: readonly Strand[]): void
  ended?(target: DeployTarget, result: StepResult): void
}

/** What is known of a step that was done before. */
export type ProofOf = (identity: string, step: string) => string | undefined

/** Is this very certificate on record as one for which a step was done before, with nothing wanted since? */
export type WasDone = (identity: string, step: string) => boolean

// Side by side in one stage. Each waits for the network most of its time; more would only wait for their turn.
const strandsAtOnce = 16

interface Run {
  readonly signal: AbortSignal
  readonly observers: readonly Observer[]
  readonly proofOf: ProofOf
  readonly wasDone: WasDone
  readonly warnings: string[]
}

/**
 * Runs the stages side by side and the steps of each in order. A stage that is reached through a domain which another
 * one binds waits for that. Those that come after all others are run then, one after another, if none of the others
 * failed and the certificate is in any place at all. Never throws for a failed step: read the report.
 */
export const execute = async (
  plan: Plan,
  signal: AbortSignal,
  observers: readonly Observer[],
  proofOf: ProofOf = () => undefined,
  wasDone: WasDone = () => false,
): Promise<Report> => {
  const run: Run = { signal, observers, proofOf, wasDone, warnings: [] }
  const running = new Map<Stage, Promise<StageReport>>()
  const start = (stage: Stage): Promise<StageReport> => {
    const known = running.get(stage)
    if (known !== undefined) return known
    const started = afterBinding(stage, plan.stages, start).then(() => runStage(stage, run))
    running.set(stage, started)
    return started
  }
  const first = plan.stages.filter((stage) => !isLast(stage))
  const others = await Promise.all(first.map(start))
  const placings = new Map(first.map(({ target }, i) => [target.identity, others[i]?.steps ?? []]))
  const isOut = isNowhere(placings, plan.earlier ?? new Map())
  for (const stage of plan.stages.filter(isLast)) {
    const ending = runLast(stage, { others, isOut }, run)
    running.set(stage, ending)
    await ending
  }
  // In the order of the plan, now that all of them have ended.
  const stages = await Promise.all(plan.stages.map(start))
  return { bundle: plan.bundle, stages, warnings: run.warnings }
}

const isLast = ({ target }: Stage): boolean => target.afterOthers === true

interface Before {
  readonly others: readonly StageReport[]
  readonly isOut: boolean
}

const runLast = async (stage: Stage, { others, isOut }: Before, run: Run): Promise<StageReport> => {
  const { target, steps } = stage
  if (others.some(({ status }) => status === 'failed')) return passOver(stage, run, notTried)
  if (isOut) return passOver(stage, run, forNothing)
  const isAsBefore =
    others.every(({ status }) => status !== 'changed') && steps.every(({ id }) => run.wasDone(target.identity, id))
  return isAsBefore ? passOver(stage, run, asBefore) : await runStage(stage, run)
}

const forNothing = ({ id, does }: Step): StepResult => ({
  id,
  does,
  ms: 0,
  status: 'unchanged',
  note: 'another certificate is in every place where this one was to go',
  standsBack: true,
})

const asBefore = ({ id, does }: Step): StepResult => ({
  id,
  does,
  ms: 0,
  status: 'unchanged',
  note: 'nothing has changed since it was done',
})

const passOver = ({ target, steps }: Stage, run: Run, resultOf: (step: Step) => StepResult): StageReport => {
  const results = steps.map(resultOf)
  for (const result of results) for (const observer of run.observers) observer.ended?.(target, result)
  const isUnchanged = results.some(({ status }) => status === 'unchanged')
  return { target: target.name, status: isUnchanged ? 'unchanged' : 'skipped', isPartly: false, steps: results }
}

/** Whether or not the binding succeeds: the domain may have been bound long ago. */
const afterBinding = async (
  { target }: Stage,
  stages: readonly Stage[],
  start: (stage: Stage) => Promise<StageReport>,
): Promise<void> => {
  const { reachedThrough } = target
  if (reachedThrough === undefined) return
  const binding = stages.filter(({ target: other }) => other !== target && other.binds?.(reachedThrough))
  const reports = await Promise.all(binding.map(start))
  if (reports.some(({ status, isPartly }) => status === 'changed' || isPartly)) target.justBound?.()
}

const runStage = async ({ target, steps, strands }: Stage, run: Run): Promise<StageReport> => {
  const own = await runSteps(target, steps, run)
  const found = await runStrands(target, distinct([...own.found, ...strands]), run)
  const results = [own.results, ...found].flat()
  const has = (status: StepResult['status']) => results.some((result) => result.status === status)
  const isWhole = (all: readonly StepResult[]) => all.every(({ status }) => status !== 'failed')
  return {
    target: target.name,
    status: has('failed') ? 'failed' : has('changed') ? 'changed' : has('unchanged') ? 'unchanged' : 'skipped',
    isPartly: has('failed') && found.some(isWhole),
    steps: results,
  }
}

/** No step twice: a list that changes while it is read may hold a place on two of its pages. */
const distinct = (strands: readonly Strand[]): readonly Strand[] => {
  const seen = new Set<string>()
  return strands.filter((strand) => {
    const isNew = strand.every(({ id }) => !seen.has(id))
    for (const { id } of strand) seen.add(id)
    return isNew
  })
}

/** Some at a time; but those that have come to where they only wait make room for others. */
const runStrands = async (
  target: DeployTarget,
  strands: readonly Strand[],
  run: Run,
): Promise<readonly (readonly StepResult[])[]> => {
  const begun = await eachOf(strands, strandsAtOnce, async (strand) => {
    const first = strand.findIndex(({ waits }) => waits)
    const work = first < 0 ? strand : strand.slice(0, first)
    const { results } = await runSteps(target, work, run)
    const rest = runSteps(target, strand.slice(work.length), run, results)
    return { results, rest }
  })
  return await Promise.all(begun.map(async ({ results, rest }) => [...results, ...(await rest).results]))
}

const isNothing = (result: StepResult): boolean => result.status === 'skipped' && result.isDone

const nothing = (step: Step): StepResult => ({ ...notTried(step), status: 'skipped', isDone: true })

const isFailed = ({ status }: StepResult): boolean => status === 'failed'

interface StrandResult {
  readonly results: readonly StepResult[]
  readonly found: readonly Strand[]
}

/** In order, until one fails. @param before what became of the steps before these */
const runSteps = async (
  target: DeployTarget,
  steps: readonly Step[],
  run: Run,
  before: readonly StepResult[] = [],
): Promise<StrandResult> => {
  const results: StepResult[] = []
  const found: Strand[] = []
  for (const step of steps) {
    const ended = [...before, ...results]
    // Where there was nothing to do something to, there is nothing for what follows either.
    const passedOver = ended.some(isFailed) ? notTried(step) : ended.some(isNothing) ? nothing(step) : undefined
    const { result, more } = passedOver ? { result: passedOver, more: undefined } : await runStep(target, step, run)
    results.push(result)
    found.push(...(more ?? []))
    // What was found is on record before the step that found it is crossed off.
    if (more !== undefined) for (const observer of run.observers) observer.found?.(target, more)
    for (const observer of run.observers) observer.ended?.(target, result)
  }
  return { results, found }
}

const notTried = ({ id, does }: Step): StepResult => ({
  id,
  does,
  ms: 0,
  status: 'skipped',
  isDone: false,
})

interface StepEnd {
  readonly result: StepResult
  /** Undefined where it did not look for any. */
  readonly more: readonly Strand[] | undefined
}

const runStep = async (target: DeployTarget, step: Step, run: Run): Promise<StepEnd> => {
  for (const observer of run.observers) observer.begun?.(target, step)
  const start = performance.now()
  const about = () => ({ id: step.id, does: step.does, ms: Math.round(performance.now() - start) })
  try {
    const outcome = await step.run(run.signal, run.proofOf(target.identity, step.id))
    run.warnings.push(...(outcome.warnings ?? []).filter((warning) => !run.warnings.includes(warning)))
    return { result: { ...about(), ...ended(outcome) }, more: outcome.found ?? (step.finds && []) }
  } catch (error) {
    return { result: { ...about(), status: 'failed', error: toCertError(error) }, more: undefined }
  }
}

const ended = ({ status, note, proof, standsBack }: Outcome) =>
  status === 'skipped' ? { status, note, isDone: true } : { status, note, proof, standsBack }

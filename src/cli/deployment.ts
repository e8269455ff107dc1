import { defaultCredentials } from '../aliyun/credentials.js'
import { archiveName, type CertificateBundle, type CertificateFacts } from '../certificate/bundle.js'
import type { CertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { type Deployed, deploy } from '../pipeline/deploy.js'
import type { Observer, StageReport, StepResult } from '../pipeline/execute.js'
import type { HoldRule } from '../pipeline/hold.js'
import { planDeployment } from '../pipeline/plan.js'
import type { StateFolder } from '../state/state-folder.js'
import type { TargetContext } from '../targets/index.js'
import type { Looking } from '../targets/served.js'
import type { DeployTarget } from '../targets/target.js'
import { exitCodes, type Surroundings } from './command.js'
import { type lookFlags, lookingOf, type reachFlags } from './common-flags.js'
import type { Values } from './flag.js'
import {
  certificateJson,
  type OrderJson,
  pendingJson,
  plannedStages,
  printJson,
  type ResultJson,
  stageJson,
  unresolved,
} from './json.js'
import { type AskedTarget, createTargets } from './target-flags.js'
import type { Terminal } from './terminal.js'

/** What a command needs to reach the cloud, closed when it is done. */
export interface Reach {
  readonly connections: HttpConnections
  readonly context: TargetContext
  targets(asked: readonly AskedTarget[]): DeployTarget[]
}

export type ReachValues = Values<typeof reachFlags & typeof lookFlags>

/** @throws CertError USAGE */
export const openReach = (
  values: ReachValues,
  surroundings: Surroundings,
  terminal: Terminal,
  environment = surroundings.environment,
): Reach => {
  const looking = { ...lookingOf(values), onLook: shownLooks(terminal) }
  const connections = new HttpConnections()
  const context = {
    connections,
    credentials: defaultCredentials(environment),
    timeout: values.timeout * 1000,
    now: surroundings.now,
    looking,
    trace: (line: string) => terminal.detail(line),
    environment: surroundings.environment,
  }
  return { connections, context, targets: (asked) => createTargets(asked, context) }
}

/** Says what is waited for when it is first seen to be missing, and when that changes. */
const shownLooks = (terminal: Terminal): Looking['onLook'] => {
  const said = new Map<string, string>()
  return ({ host, served, addresses, problem }, elapsed) => {
    if (served) return
    const serving = addresses.filter(({ verdict }) => verdict.served).length
    const line = `${host}: ${serving} of ${addresses.length} addresses serve it; ${problem?.sentence ?? 'waiting'}`
    if (said.get(host) !== line) terminal.progress(`${line} (${Math.round(elapsed / 1000)} s)`)
    said.set(host, line)
  }
}

export interface DeploymentRequest {
  readonly command: string
  readonly json: boolean
  readonly bundle: CertificateBundle
  readonly targets: readonly DeployTarget[]
  /** Found before anything was deployed. */
  readonly warnings: readonly string[]
  /** Warnings that have been shown already. */
  readonly said?: readonly string[]
  /** What came before the deployment, where a certificate was to be issued. */
  readonly order?: OrderJson
  /** The name in front of each line, where several are deployed side by side. */
  readonly about?: string
  /** See `deploy`. */
  readonly onRecorded?: () => Promise<void>
  /** See `deploy`. */
  readonly hold?: HoldRule
  readonly state: StateFolder | CertError
  readonly surroundings: Surroundings
  readonly terminal: Terminal
}

/** A deployment that has ended, one way or another. */
export interface Ended {
  readonly result: ResultJson
  readonly status: number
}

/** Carries a deployment out, and shows how it goes and what became of it. */
export const carryOut = async (request: DeploymentRequest): Promise<Ended> => {
  const { bundle, targets, terminal, surroundings, state } = request
  for (const warning of request.warnings) terminal.warning(warning)
  const deployed = await deploy({
    bundle,
    targets,
    state,
    now: surroundings.now,
    signal: surroundings.signal,
    onWait: (owner) => terminal.progress(`waiting for ${owner}, which is at work on ${bundle.name}`),
    observer: shownSteps(terminal, request.about),
    onRecorded: request.onRecorded,
    hold: request.hold,
  })
  for (const warning of deployed.warnings) terminal.warning(warning)
  const status = statusOf(deployed.stages)
  if (!request.json) showResult(terminal, deployed)
  return { result: resultJson(request, deployed, status), status }
}

/** The same for a command that is about one certificate: prints the result, and says with which status to exit. */
export const carryOutAlone = async (request: DeploymentRequest): Promise<number> => {
  const { result, status } = await carryOut(request)
  if (request.json) request.terminal.result(printJson(result))
  return status
}

/** Shows each step as it goes. */
export const shownSteps = (terminal: Terminal, name?: string): Observer => ({
  begun: (_target, step) => terminal.start(step.does),
  ended: (target, result) => {
    terminal.stop(result.does)
    terminal.progress(`${name === undefined ? '' : `${name}: `}${stepLine(terminal, target, result)}`)
  },
})

export interface PlanRequest extends Omit<DeploymentRequest, 'state' | 'surroundings'> {
  /** The certificate of the plan is yet to be ordered; this is what would be. */
  readonly unissued?: string
}

/** Shows what would be done; for programs, it is in the result alone. */
export const showPlan = (request: PlanRequest): Ended => {
  const { bundle, targets, terminal, warnings, json, command, unissued } = request
  const plan = planDeployment(bundle, targets)
  for (const warning of warnings) terminal.warning(warning)
  const result: ResultJson = {
    schema: 'acme-oss/1',
    command,
    ok: true,
    certificate: unissued === undefined ? certificateJson(bundle) : null,
    ...(request.order && { order: request.order }),
    stages: plannedStages(plan),
    pending: [],
    warnings,
    error: null,
  }
  const ended = { result, status: exitCodes.done }
  if (json) return ended
  if (unissued !== undefined) terminal.result(unissued)
  terminal.result(`${unissued === undefined ? title(bundle) : bundle.name} would go to:`)
  for (const { target, steps } of plan.stages) {
    terminal.result(target.name)
    steps.forEach(({ does, finds }, i) => void terminal.result(`  ${i + 1}. ${does}${finds ? ` (${unresolved})` : ''}`))
  }
  return ended
}

/** The same for a command that is about one certificate. */
export const showPlanAlone = (request: PlanRequest): number => {
  const { result, status } = showPlan(request)
  if (request.json) request.terminal.result(printJson(result))
  return status
}

export const statusOf = (stages: readonly Pick<StageReport, 'status' | 'isPartly'>[]): number => {
  if (stages.every(({ status }) => status !== 'failed')) return exitCodes.done
  return stages.some(({ status, isPartly }) => status === 'changed' || status === 'unchanged' || isPartly)
    ? exitCodes.partly
    : exitCodes.failed
}

const marks = { changed: ['✓', 'green'], unchanged: ['=', 'dim'], failed: ['✗', 'red'], skipped: ['-', 'dim'] } as const

const stepLine = (terminal: Terminal, target: DeployTarget, result: StepResult): string => {
  const [mark, style] = marks[result.status]
  const time = result.status === 'skipped' && !result.isDone ? 'not tried' : `${result.ms} ms`
  const note = 'note' in result && result.note !== undefined ? `: ${result.note}` : ''
  return `${terminal.paint(style, mark)} ${target.kind}: ${result.does}${note} ${terminal.paint('dim', `(${time})`)}`
}

/** A lineage may be called anything, and a terminal obeys what it is shown. */
export const printable = (name: string): string => name.replace(/\p{Cc}/gu, '�')

export const title = (facts: CertificateFacts): string =>
  `${printable(facts.name)} (${archiveName(facts)}, valid until ${facts.notAfter.toISOString().slice(0, 10)})`

const showResult = (terminal: Terminal, { bundle, stages, pending }: Deployed): void => {
  const names = (wanted: (stage: StageReport) => boolean) =>
    stages
      .filter(wanted)
      .map(({ target }) => target)
      .join(', ')
  const inPlace = names(({ status }) => status === 'changed' || status === 'unchanged')
  if (inPlace !== '') terminal.result(`${title(bundle)} is in place: ${inPlace}`)
  for (const { target, steps } of stages) {
    for (const step of steps) if (step.status === 'failed') showFailure(terminal, target, step.error)
  }
  if (pending.length > 0 && stages.some(({ status }) => status === 'failed')) {
    terminal.progress('what is missing has been recorded; acme-oss sync does it, and nothing twice')
  }
}

export const showFailure = (terminal: Terminal, target: string, error: CertError): void => {
  terminal.failure(`${target}: ${error.message}`, error.hint)
  if (error.vendor?.requestId !== undefined) terminal.detail(`request id ${error.vendor.requestId}`)
}

const resultJson = (request: DeploymentRequest, deployed: Deployed, status: number): ResultJson => ({
  schema: 'acme-oss/1',
  command: request.command,
  ok: status === exitCodes.done,
  certificate: certificateJson(deployed.bundle),
  ...(request.order && { order: request.order }),
  stages: deployed.stages.map(stageJson),
  pending: deployed.pending.map(pendingJson),
  warnings: [...(request.said ?? []), ...request.warnings, ...deployed.warnings],
  error: null,
})

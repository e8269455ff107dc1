import { defaultCredentials } from '../aliyun/credentials.js'
import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import type { CertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { type Deployed, deploy } from '../pipeline/deploy.js'
import type { StageReport, StepResult } from '../pipeline/execute.js'
import type { Plan } from '../pipeline/plan.js'
import type { StateFolder } from '../state/state-folder.js'
import type { DeployTarget } from '../targets/target.js'
import { exitCodes, type Surroundings } from './command.js'
import {
  certificateJson,
  type OrderJson,
  pendingJson,
  plannedStages,
  printJson,
  type ResultJson,
  stageJson,
} from './json.js'
import { type AskedTarget, createTargets } from './target-flags.js'
import type { Terminal } from './terminal.js'

/** What a command needs to reach the cloud, closed when it is done. */
export interface Reach {
  readonly connections: HttpConnections
  targets(asked: readonly AskedTarget[]): DeployTarget[]
}

export const openReach = (timeoutSeconds: number, surroundings: Surroundings, terminal: Terminal): Reach => {
  const connections = new HttpConnections()
  const context = {
    connections,
    credentials: defaultCredentials(surroundings.environment),
    timeout: timeoutSeconds * 1000,
    now: surroundings.now,
    trace: (line: string) => terminal.detail(line),
  }
  return { connections, targets: (asked) => createTargets(asked, context) }
}

export interface DeploymentRequest {
  readonly command: string
  readonly json: boolean
  readonly plan: Plan
  /** Found before anything was deployed. */
  readonly warnings: readonly string[]
  /** Warnings that have been shown already. */
  readonly said?: readonly string[]
  /** What came before the deployment, where a certificate was to be issued. */
  readonly order?: OrderJson
  readonly state: StateFolder | CertError
  readonly surroundings: Surroundings
  readonly terminal: Terminal
}

/** Carries a plan out, shows how it goes and what became of it, and says with which status to exit. */
export const carryOut = async (request: DeploymentRequest): Promise<number> => {
  const { plan, terminal, surroundings, state } = request
  for (const warning of request.warnings) terminal.warning(warning)
  const deployed = await deploy({
    plan,
    state,
    now: surroundings.now,
    signal: surroundings.signal,
    onWait: (owner) => terminal.progress(`waiting for ${owner}, which is at work on ${plan.bundle.name}`),
    observer: {
      begun: (_target, step) => terminal.start(step.does),
      ended: (target, result) => {
        terminal.stop(result.does)
        terminal.progress(stepLine(terminal, target, result))
      },
    },
  })
  for (const warning of deployed.warnings) terminal.warning(warning)
  const status = statusOf(deployed)
  if (request.json) terminal.result(printJson(resultJson(request, deployed, status)))
  else showResult(terminal, deployed)
  return status
}

export interface PlanRequest extends Omit<DeploymentRequest, 'state' | 'surroundings'> {
  /** The certificate of the plan is yet to be ordered; this is what would be. */
  readonly unissued?: string
}

/** Prints what would be done. */
export const showPlan = (request: PlanRequest): number => {
  const { plan, terminal, warnings, json, command, unissued } = request
  for (const warning of warnings) terminal.warning(warning)
  if (json) {
    const result: ResultJson = {
      schema: 'acme-oss/1',
      command,
      ok: true,
      certificate: unissued === undefined ? certificateJson(plan.bundle) : null,
      ...(request.order && { order: request.order }),
      stages: plannedStages(plan),
      pending: [],
      warnings,
      error: null,
    }
    terminal.result(printJson(result))
    return exitCodes.done
  }
  if (unissued !== undefined) terminal.result(unissued)
  terminal.result(`${unissued === undefined ? title(plan.bundle) : plan.bundle.name} would go to:`)
  for (const { target, steps } of plan.stages) {
    terminal.result(target.name)
    steps.forEach((step, i) => void terminal.result(`  ${i + 1}. ${step.does}`))
  }
  return exitCodes.done
}

const statusOf = ({ stages }: Deployed): number => {
  const inPlace = stages.filter(({ status }) => status !== 'failed').length
  if (inPlace === stages.length) return exitCodes.done
  return inPlace === 0 ? exitCodes.failed : exitCodes.partly
}

const marks = { changed: ['✓', 'green'], unchanged: ['=', 'dim'], failed: ['✗', 'red'], skipped: ['-', 'dim'] } as const

const stepLine = (terminal: Terminal, target: DeployTarget, result: StepResult): string => {
  const [mark, style] = marks[result.status]
  const time = result.status === 'skipped' ? 'not tried' : `${result.ms} ms`
  const note = 'note' in result && result.note !== undefined ? `: ${result.note}` : ''
  return `${terminal.paint(style, mark)} ${target.kind}: ${result.does}${note} ${terminal.paint('dim', `(${time})`)}`
}

const title = (bundle: CertificateBundle): string =>
  `${bundle.name} (${archiveName(bundle)}, valid until ${bundle.notAfter.toISOString().slice(0, 10)})`

const showResult = (terminal: Terminal, { bundle, stages, pending }: Deployed): void => {
  const names = (wanted: (stage: StageReport) => boolean) =>
    stages
      .filter(wanted)
      .map(({ target }) => target)
      .join(', ')
  const inPlace = names(({ status }) => status !== 'failed')
  if (inPlace !== '') terminal.result(`${title(bundle)} is in place: ${inPlace}`)
  for (const { target, steps } of stages) {
    for (const step of steps) if (step.status === 'failed') showFailure(terminal, target, step.error)
  }
  if (pending.length > 0 && stages.some(({ status }) => status === 'failed')) {
    terminal.progress('what is missing has been recorded; the same command again does it, and nothing twice')
  }
}

const showFailure = (terminal: Terminal, target: string, error: CertError): void => {
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

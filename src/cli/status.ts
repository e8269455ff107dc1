import { type CertError, toCertError } from '../errors.js'
import { damagedRecord, factsOf } from '../pipeline/sync.js'
import {
  type DeploymentRecord,
  type Pending,
  pendingOf,
  type StepRecord,
  upcomingOf,
} from '../state/deployment-record.js'
import { readDeployments } from '../state/deployments.js'
import { StateFolder } from '../state/state-folder.js'
import { defineCommand, exitCodes } from './command.js'
import { commonFlags, stateRoot } from './common-flags.js'
import { title } from './deployment.js'
import { certificateJson, errorJson, pendingJson, printJson } from './json.js'
import { chosenNames } from './sync.js'
import { Terminal, wantsColor } from './terminal.js'

export const command = defineCommand({
  name: 'status',
  summary:
    'Lists what is wanted, what of it is done, and what is pending with its last error and its next try. Exit status 1 where something is pending.',
  flags: commonFlags,
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss status', 'all of it'],
    ['acme-oss status example.com --json', 'one certificate, for a program'],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    // Only looked at: asking is not to make anything.
    const state = StateFolder.at(stateRoot(values, surroundings))
    const names = await chosenNames(state, words)
    const standings: Standing[] = []
    for (const name of names) {
      // What is wrong with one name keeps no other from being shown.
      const found = standingsOf(state, name).catch((error: unknown) => [unreadable(name, toCertError(error))])
      standings.push(...(await found))
    }
    const needsAttention = standings.some(({ pending, error }) => pending.length > 0 || error !== undefined)
    if (values.json) terminal.result(printJson(resultJson(standings, !needsAttention)))
    else if (standings.length === 0) terminal.result(`nothing is wanted (${state.root} holds no deployment)`)
    else for (const standing of standings) show(terminal, standing, surroundings.now())
    return needsAttention ? exitCodes.failed : exitCodes.done
  },
})

/** One certificate and where it stands, or a record of which nobody knows what it said. */
interface Standing {
  readonly name: string
  readonly record: DeploymentRecord | undefined
  readonly pending: readonly Pending[]
  readonly error: CertError | undefined
}

const unreadable = (name: string, error: CertError): Standing => ({ name, record: undefined, pending: [], error })

/** The newest certificate of a name, and each older one of which something is still open. */
const standingsOf = async (state: StateFolder, name: string): Promise<Standing[]> => {
  const { records, damaged } = await readDeployments(state, name)
  return [
    ...records
      .map((record) => ({ name, record, pending: pendingOf(record), error: undefined }))
      .filter(({ pending }, i) => i === 0 || pending.length > 0),
    ...damaged.map(({ path }) => unreadable(name, damagedRecord(name, path))),
  ]
}

const resultJson = (standings: readonly Standing[], ok: boolean) => ({
  schema: 'acme-oss/1',
  command: 'status',
  ok,
  results: standings.map(({ name, record, pending, error }) => ({
    name,
    certificate: record === undefined ? null : certificateJson(factsOf(record)),
    stages: Object.values(record?.targets ?? {}).map(({ name: target, steps }) => ({
      target,
      status: worstOf(Object.values(steps)),
      steps: Object.entries(steps).map(([id, step]) => ({
        id,
        status: step.status,
        at: 'at' in step ? step.at : null,
        note: step.status === 'done' ? (step.note ?? null) : null,
      })),
    })),
    pending: pending.map(pendingJson),
    warnings: [],
    error: error === undefined ? null : errorJson(error),
  })),
  warnings: [],
  error: null,
})

const ranking = ['failed', 'pending', 'expired', 'forgotten', 'superseded', 'done'] as const

const worstOf = (steps: readonly StepRecord[]): StepRecord['status'] =>
  ranking.find((status) => steps.some((step) => step.status === status)) ?? 'done'

const marks = {
  done: ['✓', 'green'],
  pending: ['…', 'yellow'],
  failed: ['✗', 'red'],
  expired: ['-', 'dim'],
  forgotten: ['-', 'dim'],
  superseded: ['-', 'dim'],
} as const

const show = (terminal: Terminal, { name, record, error }: Standing, now: Date): void => {
  if (error !== undefined) terminal.failure(`${name}: ${error.message}`, error.hint)
  if (record === undefined) return
  const upcoming = upcomingOf(record)
  const expired = Date.parse(record.notAfter) <= now.getTime() ? terminal.paint('red', ' (expired)') : ''
  terminal.result(`${title(factsOf(record))}${expired}`)
  for (const [identity, { name: target, steps }] of Object.entries(record.targets)) {
    const status = worstOf(Object.values(steps))
    const [mark, style] = marks[status]
    const when = Object.values(steps)
      .flatMap((step) => ('at' in step ? [step.at] : []))
      .sort()
    const at = when.at(-1)
    terminal.result(
      `  ${terminal.paint(style, mark)} ${target}: ${status}${at === undefined ? '' : ` ${minuteOf(at)}`}`,
    )
    for (const one of upcoming.filter((one) => one.identity === identity)) showPending(terminal, one, now)
  }
  for (const one of upcoming.filter(({ identity }) => identity === undefined)) {
    terminal.result(`  ${terminal.paint('red', '✗')} nobody knows yet where it is to go`)
    showPending(terminal, one, now)
  }
}

const showPending = (terminal: Terminal, { step, next, error }: Pending, now: Date): void => {
  const due = next === undefined || Date.parse(next) <= now.getTime() ? 'with the next acme-oss sync' : minuteOf(next)
  const why = error === undefined ? '' : `: ${error.message}`
  terminal.result(`      ${step === undefined ? '' : `${step} `}is tried again ${due}${why}`)
  if (error?.hint !== undefined) terminal.result(`      what to do: ${error.hint}`)
}

/** In UTC, to the minute. */
const minuteOf = (at: string): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')}Z`

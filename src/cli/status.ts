import { breath } from '../breath.js'
import { eachOf } from '../each-of.js'
import { CertError, toCertError } from '../errors.js'
import { type Found, isAmiss, standingsOf, type TargetStanding } from '../monitor/standing.js'
import { damagedRecord, factsOf } from '../pipeline/sync.js'
import type { HostProof } from '../proof/look.js'
import {
  type DeploymentRecord,
  type Pending,
  pendingOf,
  type StepRecord,
  upcomingOf,
} from '../state/deployment-record.js'
import { readDeployments, recordedChain } from '../state/deployments.js'
import { StateFolder } from '../state/state-folder.js'
import { createTarget } from '../targets/index.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { commonFlags, stateRoot } from './common-flags.js'
import { openReach, type ReachValues, title } from './deployment.js'
import { toggle, wholeNumber } from './flag.js'
import { certificateJson, errorJson, pendingJson, printJson } from './json.js'
import { once } from './once.js'
import { proofFlags } from './proof-flags.js'
import { hostJson } from './show-proof.js'
import { chosenNames } from './sync.js'
import { namesAtOnce } from './synced.js'
import { Terminal, wantsColor } from './terminal.js'

export const command = defineCommand({
  name: 'status',
  summary:
    'Lists what is wanted, what each place holds, and what is pending with its last error and its next try; with --live also what is served. Exit status 1 where something is pending, or another certificate stands where one was put.',
  flags: {
    live: toggle('look at what every domain serves, too'),
    'no-look': toggle('do not ask the cloud: what is on record is enough'),
    ...proofFlags,
    timeout: wholeNumber('seconds for one place to be looked at', { min: 1, max: 3600, fallback: 10 }),
    ...commonFlags,
  },
  words: { usage: '[NAME...]', most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss status --live', 'all of it, and what is served'],
    ['acme-oss status example.com --json', 'one certificate, for a program'],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    if (values.live && values['no-look']) {
      throw new CertError('USAGE', '--live looks, and --no-look does not', { hint: 'leave one of them out' })
    }
    // Only looked at: asking is not to make anything.
    const state = StateFolder.at(stateRoot(values, surroundings))
    const names = await chosenNames(state, words)
    const standings: Standing[] = []
    for (const name of names) {
      // What is wrong with one name keeps no other from being shown.
      const found = recordsOf(state, name).catch((error: unknown) => [unreadable(name, toCertError(error))])
      standings.push(...(await found))
      await breath()
    }
    if (!values['no-look']) await lookAtAll(state, standings, values, surroundings, terminal)
    const needsAttention = standings.some(
      ({ pending, error, targets }) => pending.length > 0 || error !== undefined || [...targets.values()].some(isAmiss),
    )
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
  /** Every record of the name. */
  readonly all: readonly DeploymentRecord[]
  /** What was found at its targets, by their identity; empty where nobody looked. */
  targets: ReadonlyMap<string, TargetStanding>
}

const nothing: ReadonlyMap<string, TargetStanding> = new Map()

const unreadable = (name: string, error: CertError): Standing => ({
  name,
  record: undefined,
  pending: [],
  error,
  all: [],
  targets: nothing,
})

type StatusValues = ReachLess & { readonly live: boolean }
type ReachLess = Omit<ReachValues, 'verify-timeout'>

/** Of each name the newest certificate alone: the others are there to be taken over from. */
const lookAtAll = async (
  state: StateFolder,
  standings: readonly Standing[],
  { live, ...values }: StatusValues,
  surroundings: Surroundings,
  terminal: Terminal,
): Promise<void> => {
  const reach = openReach({ ...values, 'verify-timeout': 0 }, surroundings, terminal)
  const credentials = once(reach.context.credentials)
  const { looking } = reach.context
  try {
    const seen = new Set<string>()
    const newest = standings.filter(({ name, record }) => {
      const isFirst = record !== undefined && !seen.has(name)
      if (isFirst) seen.add(name)
      return isFirst
    })
    await eachOf(newest, namesAtOnce, async (standing) => {
      if (standing.record === undefined) return
      standing.targets = await standingsOf(standing.record, standing.all, {
        create: (kind, settings) => createTarget(kind, settings, { ...reach.context, credentials }),
        looking: live ? looking : undefined,
        chainOf: (record) => recordedChain(state, record),
        now: surroundings.now,
        signal: surroundings.signal,
      })
    })
  } finally {
    reach.connections.close()
  }
}

/** The newest certificate of a name, and each older one of which something is still open. */
const recordsOf = async (state: StateFolder, name: string): Promise<Standing[]> => {
  const { records, damaged } = await readDeployments(state, name)
  return [
    ...records
      .map((record) => ({ name, record, pending: pendingOf(record), error: undefined, all: records, targets: nothing }))
      .filter(({ pending }, i) => i === 0 || pending.length > 0),
    ...damaged.map(({ path }) => unreadable(name, damagedRecord(name, path))),
  ]
}

const resultJson = (standings: readonly Standing[], ok: boolean) => ({
  schema: 'acme-oss/1',
  command: 'status',
  ok,
  results: standings.map(({ name, record, pending, error, targets }) => ({
    name,
    certificate: record === undefined ? null : certificateJson(factsOf(record)),
    stages: Object.entries(record?.targets ?? {}).map(([identity, { name: target, steps }]) => ({
      target,
      status: worstOf(Object.values(steps)),
      there: thereJson(targets.get(identity)),
      served: servedJson(targets.get(identity)),
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

const thereJson = (standing: TargetStanding | undefined) => {
  if (standing === undefined) return null
  const { there } = standing
  return there.status === 'unknown'
    ? { status: 'unknown', why: there.why, places: [] }
    : {
        status: 'known',
        why: null,
        places: there.places.map(({ place, found, certificate }) => ({
          place,
          found,
          notBefore: certificate?.notBefore?.toISOString() ?? null,
          notAfter: certificate?.notAfter?.toISOString() ?? null,
          id: certificate?.id ?? null,
        })),
      }
}

const servedJson = (standing: TargetStanding | undefined) => standing?.served?.map(hostJson) ?? null

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

const show = (terminal: Terminal, { name, record, error, targets }: Standing, now: Date): void => {
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
    for (const line of foundLines(targets.get(identity))) terminal.result(`      ${line}`)
    for (const one of upcoming.filter((one) => one.identity === identity)) showPending(terminal, one, now)
  }
  for (const one of upcoming.filter(({ identity }) => identity === undefined)) {
    terminal.result(`  ${terminal.paint('red', '✗')} nobody knows yet where it is to go`)
    showPending(terminal, one, now)
  }
}

const foundWords: Readonly<Record<Found, string>> = {
  wanted: 'it is there',
  newer: 'a newer certificate is there',
  other: 'another certificate is there',
  none: 'no certificate is there',
}

// One line each would bury the rest.
const mostPlaces = 10

const foundLines = (standing: TargetStanding | undefined): string[] => {
  if (standing === undefined) return []
  const { there, served } = standing
  const unknown = there.status === 'unknown' ? [`what is there is not known: ${there.why}`] : []
  const places = there.status === 'known' ? there.places : []
  const amiss = places.filter(({ found }) => found !== 'wanted')
  const shown = amiss.slice(0, mostPlaces).map(({ place, found, certificate }) => {
    const until =
      certificate?.notAfter === undefined ? '' : `, valid until ${certificate.notAfter.toISOString().slice(0, 10)}`
    return `${place}: ${foundWords[found]}${until}`
  })
  const more = amiss.length > mostPlaces ? [`and ${amiss.length - mostPlaces} more places like these`] : []
  const good = places.length - amiss.length
  const whole =
    good === 0 ? [] : [places.length === 1 ? foundWords.wanted : `it is in ${good} of ${places.length} places`]
  return [...whole, ...shown, ...more, ...unknown, ...servedLines(served ?? [])]
}

const servedLines = (proofs: readonly HostProof[]): string[] => {
  const missing = proofs.filter(({ served }) => !served)
  const count = proofs.length - missing.length
  const good =
    count === 0 ? [] : [proofs.length === 1 ? 'it is served' : `it is served by ${count} of ${proofs.length} hosts`]
  return [
    ...good,
    ...missing.slice(0, mostPlaces).map(({ host, problem }) => `${host}: ${problem?.sentence ?? 'not served'}`),
  ]
}

const showPending = (terminal: Terminal, { step, next, error }: Pending, now: Date): void => {
  const due = next === undefined || Date.parse(next) <= now.getTime() ? 'with the next acme-oss sync' : minuteOf(next)
  const why = error === undefined ? '' : `: ${error.message}`
  terminal.result(`      ${step === undefined ? '' : `${step} `}is tried again ${due}${why}`)
  if (error?.hint !== undefined) terminal.result(`      what to do: ${error.hint}`)
}

/** In UTC, to the minute. */
const minuteOf = (at: string): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')}Z`

import type { Concern, ConcernKind } from '../monitor/concern.js'
import { isLookedAfter } from '../monitor/name-facts.js'
import type { Entry, NameStanding } from '../monitor/name-standing.js'
import type { Found, TargetStanding } from '../monitor/standing.js'
import { factsOf } from '../pipeline/sync.js'
import type { HostProof } from '../proof/look.js'
import {
  isOrWasWanted,
  type Pending,
  type StepRecord,
  type TargetRecord,
  upcomingOf,
} from '../state/deployment-record.js'
import { printable, title } from './deployment.js'
import type { Terminal } from './terminal.js'

const day = 86_400_000

/** Whole days; below zero once it has ended. */
export const daysLeft = (notAfter: Date, now: Date): number => Math.floor((notAfter.getTime() - now.getTime()) / day)

const ranking = ['failed', 'pending', 'expired', 'forgotten', 'superseded', 'done'] as const

export const worstOf = (steps: readonly StepRecord[]): StepRecord['status'] =>
  ranking.find((status) => steps.some((step) => step.status === status)) ?? 'done'

// --- one line for each name ---

// The same for every run, so that a name is shown as soon as it is known, and lines can be compared.
const columns = [40, 5, 11, 6] as const

const row = (cells: readonly string[], state: string): string =>
  `${cells.map((cell, i) => (i === 1 || i === 3 ? cell.padStart(columns[i] ?? 0) : cell.padEnd(columns[i] ?? 0))).join('  ')}  ${state}`

export const tableHead = (terminal: Terminal): string =>
  terminal.paint('bold', `  ${row(['CERTIFICATE', 'DAYS', 'RENEWAL', 'PLACES'], 'STATE')}`)

export const tableLine = (terminal: Terminal, standing: NameStanding, now: Date): string => {
  const { newest, concerns, needsAttention } = standing
  const left = newest === undefined ? '' : String(daysLeft(newest.notAfter, now))
  const cells = [called(standing), left, renewalWord(standing, now), placesWord(standing)]
  const mark = concerns.length > 0 ? terminal.paint('red', '✗') : terminal.paint(...markOfRest(needsAttention))
  return `${mark} ${row(cells, stateWord(standing))}`.trimEnd()
}

const markOfRest = (isPending: boolean): ['yellow' | 'green', string] => (isPending ? ['yellow', '…'] : ['green', '✓'])

/** `example.com +2`, and where it is called otherwise than its first name `shop: example.com +2`. */
const called = ({ facts: { name, records, certificate } }: NameStanding): string => {
  const names = records[0]?.names ?? certificate?.names ?? []
  const more = names.length > 1 ? ` +${names.length - 1}` : ''
  const [first] = names
  return printable(first === undefined || first === name ? `${name}${more}` : `${name}: ${first}${more}`)
}

const renewalWord = ({ facts }: NameStanding, now: Date): string => {
  const { failedRenewal, renewal } = facts
  if (!isLookedAfter(facts)) return '-'
  if (failedRenewal !== undefined) return 'failed'
  return renewal === undefined || renewal <= now ? 'due' : dayOf(renewal)
}

const placesWord = ({ entries: [first] }: NameStanding): string => {
  const wanted = Object.entries(first?.record?.targets ?? {}).filter(([, target]) => isOrWasWanted(target))
  const good = wanted.filter(([identity, { steps }]) => {
    const standing = first?.targets.get(identity)
    return (
      worstOf(Object.values(steps)) === 'done' && (standing === undefined || (isInPlace(standing) && standing.isServed))
    )
  })
  return wanted.length === 0 ? '-' : `${good.length}/${wanted.length}`
}

const isInPlace = ({ there }: TargetStanding): boolean =>
  there.status === 'unknown' || there.places.every(({ found }) => found === 'wanted' || found === 'newer')

const kindWords: Readonly<Record<ConcernKind, string>> = {
  pending: 'pending',
  unresolved: 'unresolved',
  expiring: 'expires soon',
  expired: 'expired',
  drift: 'drift',
  'not-served': 'not served',
  renewal: 'not renewed',
  revoked: 'revoked',
  relaxed: 'relaxed',
  damaged: 'damaged',
}

const stateWord = ({ concerns, facts, entries, needsAttention }: NameStanding): string => {
  const kinds = [...new Set(concerns.map(({ kind }) => kindWords[kind]))]
  const held = facts.hold === undefined ? [] : ['held']
  if (kinds.length > 0) return [...kinds, ...held].join(', ')
  if (needsAttention) return ['pending', ...held].join(', ')
  return [entries[0]?.record === undefined ? 'deployed nowhere' : 'well', ...held].join(', ')
}

// --- one block for each name ---

export const showStanding = (terminal: Terminal, standing: NameStanding, now: Date): void => {
  const { facts, concerns, entries } = standing
  if (entries[0]?.record === undefined) terminal.result(headOf(terminal, standing, now))
  for (const [i, entry] of entries.entries()) {
    const { error } = entry
    if (error !== undefined) terminal.failure(`${printable(facts.name)}: ${error.message}`, error.hint)
    showEntry(terminal, entry, now)
    if (i === 0) showAbout(terminal, standing, now)
  }
  for (const one of concerns) if (!isShownAbove(one)) showConcern(terminal, one)
}

/** Of what was never deployed, or of which nobody knows. */
const headOf = (terminal: Terminal, { facts, newest, entries }: NameStanding, now: Date): string => {
  const name = printable(facts.name)
  if (entries[0]?.error !== undefined) return `${name} (damaged)`
  if (newest === undefined) return `${name} (not issued yet)`
  const { notAfter } = newest
  return `${name} (issued and deployed nowhere, valid until ${dayOf(notAfter)})${leftOf(terminal, notAfter, now)}`
}

const leftOf = (terminal: Terminal, notAfter: Date, now: Date): string => {
  if (notAfter <= now) return terminal.paint('red', ' (expired)')
  const days = daysLeft(notAfter, now)
  return ` ${days} ${days === 1 ? 'day' : 'days'} left`
}

/** What is no concern, and good to know. */
const showAbout = (terminal: Terminal, { facts, concerns }: NameStanding, now: Date): void => {
  const { hold, renewal } = facts
  const failedRenewal = isLookedAfter(facts) ? facts.failedRenewal : undefined
  if (hold !== undefined) {
    terminal.result(`  - held: acme-oss rollback went back to ${hold.archive} on ${minuteOf(hold.at)}`)
  }
  const isSaid = concerns.some(({ kind }) => kind === 'renewal')
  if (failedRenewal !== undefined && !isSaid) {
    terminal.result(`  - it could not be renewed yet, and is tried again: ${failedRenewal.error.message}`)
  } else if (renewal !== undefined) {
    terminal.result(
      `  - ${renewal > now ? 'is renewed on' : 'was to be renewed on'} ${minuteOf(renewal.toISOString())}`,
    )
  }
}

/** With its step, with what was found in its place, or as an error. */
const isShownAbove = ({ kind }: Concern): boolean =>
  ['pending', 'unresolved', 'drift', 'not-served', 'damaged'].includes(kind)

export const showConcern = (terminal: Terminal, { sentence, hint }: Concern): void => {
  terminal.result(`  ${terminal.paint('red', '✗')} ${printable(sentence)}`)
  if (hint !== undefined) terminal.result(`      what to do: ${printable(hint)}`)
}

const marks = {
  done: ['✓', 'green'],
  pending: ['…', 'yellow'],
  failed: ['✗', 'red'],
  expired: ['-', 'dim'],
  forgotten: ['-', 'dim'],
  superseded: ['-', 'dim'],
} as const

const showEntry = (terminal: Terminal, { record, targets }: Entry, now: Date): void => {
  if (record === undefined) return
  const upcoming = upcomingOf(record)
  terminal.result(`${title(factsOf(record))}${leftOf(terminal, new Date(record.notAfter), now)}`)
  for (const [identity, target] of Object.entries(record.targets)) {
    const steps = Object.values(target.steps)
    const status = worstOf(steps)
    const [mark, style] = marks[status]
    const at = steps
      .flatMap((step) => ('at' in step ? [step.at] : []))
      .sort()
      .at(-1)
    const when = at === undefined ? '' : ` ${minuteOf(at)}`
    const stages = stagesOf(terminal, target, targets.get(identity))
    terminal.result(`  ${terminal.paint(style, mark)} ${printable(target.name)}: ${status}${when}${stages}`)
    for (const line of foundLines(targets.get(identity))) terminal.result(`      ${line}`)
    for (const one of upcoming.filter((one) => one.identity === identity)) showPending(terminal, one, now)
  }
  for (const one of upcoming.filter(({ identity }) => identity === undefined)) {
    terminal.result(`  ${terminal.paint('red', '✗')} nobody knows yet where it is to go`)
    showPending(terminal, one, now)
  }
}

const stages = [
  ['stored', /^(archive|latest|private|upload)( |$)/],
  ['bound', /^(find|bind)( |$)/],
  ['served', /^served( |$)/],
] as const

/** `wanted ✓ stored ✓ bound ≠`: how far it has come, as far as the target has such stages. */
const stagesOf = (terminal: Terminal, target: TargetRecord, standing: TargetStanding | undefined): string => {
  if (!isOrWasWanted(target)) return ''
  const own = stages.flatMap(([stage, isMeant]) => {
    const steps = Object.entries(target.steps).flatMap(([id, step]) => (isMeant.test(id) ? [step] : []))
    return steps.length === 0 ? [] : [[stage, marks[worstOf(steps)]] as const]
  })
  const put = own.filter(([stage]) => stage !== 'served')
  const last = put.at(-1)?.[0]
  const shown = put.map(([stage, [mark, style]]) =>
    stage === last && mark === '✓' && standing !== undefined && !isInPlace(standing)
      ? ([stage, ['≠', 'red']] as const)
      : ([stage, [mark, style]] as const),
  )
  const looked = standing?.served == null || standing.served.length === 0 ? undefined : standing.isServed
  const served =
    looked === undefined
      ? own.filter(([stage]) => stage === 'served')
      : [['served', looked ? marks.done : marks.failed] as const]
  return `  ${[['wanted', marks.done] as const, ...shown, ...served].map(([stage, [mark, style]]) => `${stage} ${terminal.paint(style, mark)}`).join(' ')}`
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
    const until = certificate?.notAfter === undefined ? '' : `, valid until ${dayOf(certificate.notAfter)}`
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

const dayOf = (at: Date): string => at.toISOString().slice(0, 10)

/** In UTC, to the minute. */
const minuteOf = (at: string): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')}Z`

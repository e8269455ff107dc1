import type { VendorRefusal } from '../errors.js'

/** One certificate and the places where it is wanted, as it lies in `deployments/<name>/<sha256[0:12]>/record.json`. */
export interface DeploymentRecord {
  readonly schema: 1
  readonly name: string
  readonly names: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  readonly serial: string
  readonly fingerprint: { readonly sha1: string; readonly sha256: string }
  readonly archive: string
  /** When it was last asked for. */
  readonly recordedAt: string
  /** Why nobody knows yet where it is to go; then `targets` may be empty. */
  readonly unresolved: Failure | null
  /** The hold that it was written for, until that is written as well. */
  readonly hold?: unknown
  /** It was asked for in place of what is held, until that is held no more. */
  readonly endsHold?: unknown
  /** By identity. */
  readonly targets: Readonly<Record<string, TargetRecord>>
}

export interface TargetRecord {
  readonly kind: string
  readonly name: string
  readonly settings: Readonly<Record<string, string | boolean>>
  readonly steps: Readonly<Record<string, StepRecord>>
  /** Its turn comes when nothing is to be done on any other target. */
  readonly afterOthers?: true
}

export type StepRecord =
  | ({ readonly status: 'pending' } & Proven)
  | ({ readonly status: 'failed' } & Failure & Proven)
  | ({ readonly status: 'done'; readonly at: string; readonly note?: string | undefined } & Proven & StoodBack)
  /** A newer certificate is wanted there instead, or one that was rolled back to. */
  | { readonly status: 'superseded'; readonly at: string; readonly by: string }
  | { readonly status: 'forgotten'; readonly at: string }
  | { readonly status: 'expired'; readonly at: string }

interface Proven {
  /** By which it can be told that what was done for this certificate is still there. */
  readonly proof?: string | undefined
}

interface StoodBack {
  /** There was nothing to do, since a newer certificate is there. */
  readonly standsBack?: true | undefined
}

export interface Failure {
  readonly at: string
  readonly tries: number
  /** Not tried again before then. */
  readonly next: string
  readonly error: RecordedError
}

export interface RecordedError {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
  readonly vendor?: VendorRefusal | undefined
}

export interface Pending {
  /** Undefined for a certificate of which nobody knows yet where it is to go. */
  readonly target: string | undefined
  readonly identity: string | undefined
  readonly step: string | undefined
  readonly next: string | undefined
  readonly error: RecordedError | undefined
}

const minute = 60_000
const longestPause = 6 * 60 * minute
const day = 24 * 60 * minute

/** When something that failed is due again: after a minute, then doubling; once a day if it cannot pass by itself. */
export const nextTry = (tries: number, passing: boolean, now: Date): Date =>
  new Date(now.getTime() + (passing ? Math.min(longestPause, minute * 2 ** Math.min(tries - 1, 20)) : day))

export const isOpen = ({ status }: StepRecord): boolean => status === 'pending' || status === 'failed'

/** What is still to be done. */
export const pendingOf = (record: DeploymentRecord): Pending[] => {
  const steps = Object.entries(record.targets).flatMap(([identity, { name, steps: all }]) =>
    Object.entries(all)
      .filter(([, state]) => isOpen(state))
      .map(([step, state]) => ({ target: name, identity, step, ...failureOf(state) })),
  )
  if (record.unresolved === null) return steps
  const { next, error } = record.unresolved
  return [...steps, { target: undefined, identity: undefined, step: undefined, next, error }]
}

const failureOf = (state: StepRecord) =>
  state.status === 'failed' ? { next: state.next, error: state.error } : { next: undefined, error: undefined }

/** Of what is still to be done: is it for a target that waits for all others? */
export const isLast = ({ targets }: DeploymentRecord, { identity }: Pick<Pending, 'identity'>): boolean =>
  identity !== undefined && targets[identity]?.afterOthers === true

/**
 * Of what is still to be done, that whose turn it is: the steps behind it wait for it. Steps that were found (`bind
 * www.example.com`) wait for those of the same place alone, and what comes last for all.
 */
export const upcomingOf = (record: DeploymentRecord): Pending[] => {
  const pending = pendingOf(record)
  const first = pending.filter((one) => !isLast(record, one))
  const all = first.length > 0 ? first : pending
  return all.filter((one, i) => all.findIndex((other) => isInTurn(other, one)) === i)
}

/** Do these two follow each other, rather than stand side by side? */
export const isInTurn = (one: Pending, other: Pending): boolean =>
  one.identity === other.identity && foundPlace(one.step ?? '') === foundPlace(other.step ?? '')

/** A target that finds its places has a step of each, with the place behind a space. */
export const foundPlace = (step: string): string | undefined => /^\S+ (.*)$/s.exec(step)?.[1]

/** What a target would be called, or identified by, that is this place alone: of `cdn auto`, `cdn www.example.com`. */
export const calledAlone = (target: string, place: string | undefined): string =>
  place === undefined
    ? target
    : target.replace(/^(\S+ (?:[^/\s]+\/)?)auto(?= at |$)/, (_, before) => `${before}${place}`)

/** Has its time come? What is further off than any pause was written while the clock was wrong. */
export const isDue = ({ next }: Pick<Pending, 'next'>, now: Date): boolean => {
  const wait = next === undefined ? 0 : Date.parse(next) - now.getTime()
  return wait <= 0 || wait > day
}

/** Only what both begins and ends earlier is older: a short-lived certificate may well replace a long-lived one. */
export const isOlder = (
  one: Pick<DeploymentRecord, 'notBefore' | 'notAfter'>,
  other: Pick<DeploymentRecord, 'notBefore' | 'notAfter'>,
): boolean =>
  Date.parse(one.notBefore) < Date.parse(other.notBefore) && Date.parse(one.notAfter) < Date.parse(other.notAfter)

/** Does the one take the other's place? Between two of which neither is older, the one that was asked for last does. */
const supersedes = (one: DeploymentRecord, other: DeploymentRecord): boolean =>
  one.fingerprint.sha256 !== other.fingerprint.sha256 &&
  !isOlder(one, other) &&
  (isOlder(other, one) || Date.parse(one.recordedAt) > Date.parse(other.recordedAt))

export const proofOf = (record: DeploymentRecord | undefined, identity: string, step: string): string | undefined => {
  const state = record?.targets[identity]?.steps[step]
  const proof = state !== undefined && 'proof' in state ? state.proof : undefined
  return typeof proof === 'string' ? proof : undefined
}

/** Wanted there still, or put there; neither forgotten nor given up. */
export const isOrWasWanted = (target: TargetRecord | undefined): boolean =>
  target !== undefined && Object.values(target.steps).some(isStepWanted)

export const isWantedAnywhere = ({ targets }: DeploymentRecord): boolean => Object.values(targets).some(isOrWasWanted)

export const lastAskedFor = (records: readonly DeploymentRecord[]): DeploymentRecord | undefined =>
  records.reduce<DeploymentRecord | undefined>(
    (last, one) => (last !== undefined && last.recordedAt >= one.recordedAt ? last : one),
    undefined,
  )

/** Did it end before it was in place? Somebody wants to know, until another one is there or it is forgotten. */
export const isGivenUp = ({ steps }: TargetRecord): boolean =>
  Object.values(steps).some(({ status }) => status === 'expired')

const isStepWanted = ({ status }: StepRecord): boolean => ['pending', 'failed', 'done'].includes(status)

/**
 * Where a step puts a certificate: its target, by identity and by name (it may be reached through another endpoint), and
 * the place that was found, as a target that was given that place alone would be called.
 */
const placesOf = (identity: string, { name }: TargetRecord, step: string): string[] =>
  [identity, name].flatMap((target) => [target, calledAlone(target, foundPlace(step))])

/**
 * Where a record wants its certificate still, or put it, by identity and by name; not where a trusted one keeps it out,
 * for there it must not keep out others.
 */
export const wantedPlaces = ({ targets }: DeploymentRecord): ReadonlySet<string> =>
  new Set(
    Object.entries(targets).flatMap(([identity, target]) =>
      Object.entries(target.steps).flatMap(([step, state]) =>
        isStepWanted(state) && !isKeptOut(target, step) ? placesOf(identity, target, step) : [],
      ),
    ),
  )

const isKeptOut = ({ steps }: TargetRecord, step: string): boolean =>
  Object.entries(steps).some(
    ([other, state]) =>
      state.status === 'failed' &&
      state.error.code === 'CERTIFICATE_UNTRUSTED' &&
      foundPlace(other) === foundPlace(step),
  )

/** When a step put the certificate in one of these places, by identity or name; empty where none did. */
export const doneAt = ({ targets }: DeploymentRecord, wanted: string, places: readonly string[]): string =>
  Object.entries(targets)
    .flatMap(([identity, target]) =>
      Object.entries(target.steps).flatMap(([step, state]) =>
        state.status === 'done' &&
        (step === wanted || step === `${wanted} ${foundPlace(step)}`) &&
        placesOf(identity, target, step).some((place) => places.includes(place))
          ? [state.at]
          : [],
      ),
    )
    .reduce((latest, at) => (at > latest ? at : latest), '')

/** The record without what it wants of places that are asked for through other endpoints now. */
export const withoutOtherWays = (
  record: DeploymentRecord,
  wanted: readonly { readonly identity: string; readonly name: string }[],
  now: Date,
): DeploymentRecord => {
  const step: StepRecord = { status: 'superseded', at: now.toISOString(), by: record.fingerprint.sha256.slice(0, 12) }
  const isAskedFor = (identity: string) => wanted.some((one) => one.identity === identity)
  return closeSteps(record, (identity, { name }) =>
    !isAskedFor(identity) && wanted.some((one) => one.name === name) ? step : undefined,
  )
}

/**
 * The record without commands in whose place others are asked for now, after all the targets that those waited for: a
 * command that was given wrongly would be tried for ever.
 */
export const withoutFormerCommands = (
  record: DeploymentRecord,
  wanted: readonly { readonly identity: string; readonly afterOthers?: true | undefined }[],
  now: Date,
): DeploymentRecord => {
  const isAskedFor = (identity: string) => wanted.some((one) => one.identity === identity)
  const isCovered = Object.entries(record.targets).every(
    ([identity, target]) => target.afterOthers || !isOrWasWanted(target) || isAskedFor(identity),
  )
  if (!isCovered || !wanted.some(({ afterOthers }) => afterOthers)) return record
  const step: StepRecord = { status: 'superseded', at: now.toISOString(), by: record.fingerprint.sha256.slice(0, 12) }
  return closeSteps(record, (identity, { afterOthers }) => (afterOthers && !isAskedFor(identity) ? step : undefined))
}

/** What is left of the older record beside the newer one: the same record where that takes nothing from it. */
export const superseded = (older: DeploymentRecord, newer: DeploymentRecord, now: Date): DeploymentRecord => {
  if (!supersedes(newer, older)) return older
  const step: StepRecord = {
    status: 'superseded',
    at: now.toISOString(),
    by: newer.fingerprint.sha256.slice(0, 12),
  }
  // An older one that was asked for later, and is to replace what is newer, is wanted all the same.
  const isInsisted = ({ settings }: TargetRecord): boolean =>
    settings['allow-older'] === true && Date.parse(older.recordedAt) > Date.parse(newer.recordedAt)
  const taken = wantedPlaces(newer)
  const isTaken = (identity: string, target: TargetRecord, id: string): boolean =>
    placesOf(identity, target, id).some((place) => taken.has(place)) && !isInsisted(target)
  // What comes after all others is no place that could be taken, but of no use to a certificate that the newer one has
  // pushed out everywhere.
  const isOut = !Object.entries(older.targets).some(([identity, target]) =>
    Object.entries(target.steps).some(
      ([id, state]) => !target.afterOthers && isStepWanted(state) && !isTaken(identity, target, id),
    ),
  )
  const closed = {
    ...closeSteps(older, (identity, target, id) =>
      (target.afterOthers ? isOut : isTaken(identity, target, id)) ? step : undefined,
    ),
    // What will be found out for the newer one would have held for the older one.
    unresolved: newer.unresolved === null ? older.unresolved : null,
  }
  return pendingOf(closed).length === pendingOf(older).length ? older : closed
}

/**
 * What is left of the record of a certificate that was rolled back from: nothing of it is to be done any more, and where
 * the one that is held is wanted it counts for nothing. The same record where that is so already.
 */
export const rolledBack = (
  record: DeploymentRecord,
  { by, held, now }: { readonly by: string; readonly held: DeploymentRecord | undefined; readonly now: Date },
): DeploymentRecord => {
  const step: StepRecord = { status: 'superseded', at: now.toISOString(), by: by.slice(0, 12) }
  const taken = held === undefined ? new Set<string>() : wantedPlaces(held)
  let isSame = record.unresolved === null
  const targets = Object.entries(record.targets).map(([identity, target]) => {
    const steps = Object.entries(target.steps).map(([id, state]) => {
      const isTaken = state.status === 'done' && placesOf(identity, target, id).some((place) => taken.has(place))
      if (!isOpen(state) && !isTaken) return [id, state]
      isSame = false
      return [id, step]
    })
    return [identity, { ...target, steps: Object.fromEntries(steps) }]
  })
  return isSame ? record : { ...record, unresolved: null, targets: Object.fromEntries(targets) }
}

/** The record in a text, or undefined where it is none. */
export const parseRecord = (text: string): DeploymentRecord | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === 'string'

const isDate = (value: unknown): boolean => isText(value) && !Number.isNaN(Date.parse(value))

const sha1 = /^[0-9a-f]{40}$/
const sha256 = /^[0-9a-f]{64}$/

const isHex = (value: unknown, digits: RegExp): boolean => isText(value) && digits.test(value)

const isRecord = (value: unknown): value is DeploymentRecord =>
  isObject(value) &&
  value['schema'] === 1 &&
  [value['name'], value['serial'], value['archive']].every(isText) &&
  Array.isArray(value['names']) &&
  value['names'].every(isText) &&
  [value['notBefore'], value['notAfter'], value['recordedAt']].every(isDate) &&
  isObject(value['fingerprint']) &&
  isHex(value['fingerprint']['sha1'], sha1) &&
  isHex(value['fingerprint']['sha256'], sha256) &&
  (value['unresolved'] === null || isFailure(value['unresolved'])) &&
  isObject(value['targets']) &&
  Object.values(value['targets']).every(isTarget)

const isTarget = (value: unknown): value is TargetRecord =>
  isObject(value) &&
  isText(value['kind']) &&
  isText(value['name']) &&
  isObject(value['settings']) &&
  isObject(value['steps']) &&
  Object.values(value['steps']).every(isStep)

// One in a state that is not known would pass for done.
const isStep = (value: unknown): value is StepRecord =>
  isObject(value) &&
  (value['status'] === 'pending' ||
    (value['status'] === 'failed' && isFailure(value)) ||
    (['done', 'superseded', 'forgotten', 'expired'].some((one) => one === value['status']) && isDate(value['at'])))

const isFailure = (value: unknown): boolean =>
  isObject(value) &&
  isDate(value['next']) &&
  typeof value['tries'] === 'number' &&
  isObject(value['error']) &&
  typeof value['error']['message'] === 'string'

/** The record with every step of these targets that is open, done or given up marked as forgotten. */
export const forgetSteps = (
  record: DeploymentRecord,
  identities: ReadonlySet<string>,
  step: StepRecord,
): DeploymentRecord => ({
  ...record,
  targets: Object.fromEntries(
    Object.entries(record.targets).map(([identity, target]) => {
      if (!identities.has(identity)) return [identity, target]
      const steps = Object.entries(target.steps).map(([id, state]) => [
        id,
        isOpen(state) || ['done', 'expired'].includes(state.status) ? step : state,
      ])
      return [identity, { ...target, steps: Object.fromEntries(steps) }]
    }),
  ),
})

/** The record with every open step that `close` answers for closed. */
export const closeSteps = (
  record: DeploymentRecord,
  close: (identity: string, target: TargetRecord, step: string) => StepRecord | undefined,
): DeploymentRecord => ({
  ...record,
  targets: Object.fromEntries(
    Object.entries(record.targets).map(([identity, target]) => {
      const steps = Object.entries(target.steps).map(([step, state]) => [
        step,
        (isOpen(state) && close(identity, target, step)) || state,
      ])
      return [identity, { ...target, steps: Object.fromEntries(steps) }]
    }),
  ),
})

import { type DeploymentRecord, type Pending, pendingOf, type RecordedError } from '../state/deployment-record.js'
import type { Concern } from './concern.js'
import { concernsOf, type Newest, newestOf, type Thresholds } from './concerns.js'
import { isLookedAfter, type NameFacts } from './name-facts.js'
import { isAmiss, type TargetStanding } from './standing.js'
import { standingConcerns } from './standing-concerns.js'

/** One name, and how it stands with all that is known of it. */
export interface NameStanding {
  readonly facts: NameFacts
  readonly concerns: readonly Concern[]
  readonly newest: Newest | undefined
  /** Its newest certificate first; empty where nothing is left of it that anybody wants to know. */
  readonly entries: readonly Entry[]
  /** Is anything pending, or does anything need a person? */
  readonly needsAttention: boolean
}

/** One certificate, or a record of which nobody knows what it said. */
export interface Entry {
  readonly record: DeploymentRecord | undefined
  readonly pending: readonly Pending[]
  readonly error: RecordedError | undefined
  /** What was found at its targets, by their identity; empty where nobody looked. */
  readonly targets: ReadonlyMap<string, TargetStanding>
}

const nothing: ReadonlyMap<string, TargetStanding> = new Map()

/** @param targets what was found at the targets of the newest certificate; that alone is looked for */
export const nameStanding = (
  facts: NameFacts,
  targets: ReadonlyMap<string, TargetStanding> | undefined,
  thresholds: Thresholds,
  now: Date,
): NameStanding => {
  const [record] = facts.records
  const seen = record === undefined || targets === undefined ? [] : standingConcerns(facts.name, record, targets)
  const concerns = [...concernsOf(facts, thresholds, now), ...seen]
  const entries = entriesOf(facts, targets ?? nothing)
  const needsAttention =
    concerns.length > 0 || entries.some((one) => one.pending.length > 0 || [...one.targets.values()].some(isAmiss))
  return { facts, concerns, newest: newestOf(facts), entries, needsAttention }
}

/** The newest certificate, each older one of which something is still open, and what cannot be made sense of. */
const entriesOf = (facts: NameFacts, targets: ReadonlyMap<string, TargetStanding>): Entry[] => {
  const { records, damaged } = facts
  const known = records
    .map((record, i) => ({
      record,
      pending: pendingOf(record),
      error: undefined,
      targets: i === 0 ? targets : nothing,
    }))
    .filter(({ pending }, i) => i === 0 || pending.length > 0)
  const broken = damaged.map(({ error }) => ({ record: undefined, pending: [], error, targets: nothing }))
  const all = [...known, ...broken]
  if (all.length > 0) return all
  // Issued and deployed nowhere yet, or not even issued.
  return isLookedAfter(facts) ? [{ record: undefined, pending: [], error: undefined, targets: nothing }] : []
}

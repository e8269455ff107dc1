import type { Concern } from '../monitor/concern.js'
import { isRenewalDue } from '../monitor/metrics.js'
import { isLookedAfter, type NameFacts } from '../monitor/name-facts.js'
import type { Entry, NameStanding } from '../monitor/name-standing.js'
import type { TargetStanding } from '../monitor/standing.js'
import { factsOf } from '../pipeline/sync.js'
import type { RelaxedPlace } from '../state/https-record.js'
import { certificateJson, errorJson, pendingJson } from './json.js'
import { hostJson } from './show-proof.js'
import { daysLeft, worstOf } from './status-table.js'

/** One for each certificate; what is about the name as a whole stands with the first. */
export const standingJson = ({ facts, newest, concerns, entries }: NameStanding, now: Date) =>
  entries.map((entry, i) => {
    const isFirst = i === 0
    const notAfter = entry.record === undefined ? isFirst && newest?.notAfter : new Date(entry.record.notAfter)
    return {
      name: facts.name,
      certificate: entry.record === undefined ? null : certificateJson(factsOf(entry.record)),
      daysLeft: notAfter ? daysLeft(notAfter, now) : null,
      renewal: isFirst ? renewalJson(facts, now) : null,
      held: isFirst ? heldJson(facts.hold) : null,
      concerns: isFirst ? concerns.map(concernJson) : [],
      stages: stagesJson(entry),
      pending: entry.pending.map(pendingJson),
      warnings: [],
      error: entry.error === undefined ? null : errorJson(entry.error),
    }
  })

const heldJson = (hold: NameFacts['hold']) => (hold === undefined ? null : { archive: hold.archive, at: hold.at })

const renewalJson = (facts: NameStanding['facts'], now: Date) => {
  const { renewal, failedRenewal } = facts
  if (!isLookedAfter(facts)) return null
  return {
    due: isRenewalDue(facts, now),
    at: renewal?.toISOString() ?? null,
    error: failedRenewal === undefined ? null : errorJson(failedRenewal.error),
  }
}

export const concernJson = ({ id, kind, place, sentence, hint }: Concern) => ({
  id,
  kind,
  place: place ?? null,
  sentence,
  hint: hint ?? null,
})

export const relaxedJson = ({ name, since }: RelaxedPlace) => ({ place: name, since: since.toISOString() })

const stagesJson = ({ record, targets }: Entry) =>
  Object.entries(record?.targets ?? {}).map(([identity, { name: target, steps }]) => ({
    target,
    status: worstOf(Object.values(steps)),
    there: thereJson(targets.get(identity)),
    served: targets.get(identity)?.served?.map(hostJson) ?? null,
    steps: Object.entries(steps).map(([id, step]) => ({
      id,
      status: step.status,
      at: 'at' in step ? step.at : null,
      note: step.status === 'done' ? (step.note ?? null) : null,
    })),
  }))

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

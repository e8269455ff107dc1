import { type DeploymentRecord, foundPlace, isOpen, type TargetRecord } from '../state/deployment-record.js'

/** What came of a step, as far as it tells where the certificate is. */
export interface Placing {
  readonly id: string
  /** Another certificate is where this one was to go. */
  readonly standsBack?: boolean | undefined
}

type Placings = ReadonlyMap<string, readonly Placing[]>

/**
 * Has the certificate come to none of the places where it was to go, since others are in all of them? All by the target's
 * identity; what came of a step now counts, rather than earlier.
 */
export const isNowhere = (now: Placings, earlier: Placings): boolean => {
  const identities = [...new Set([...earlier.keys(), ...now.keys()])]
  return (
    identities.length > 0 &&
    identities.every((identity) => {
      const all = [...(earlier.get(identity) ?? []), ...(now.get(identity) ?? [])]
      return hasStoodBack([...new Map(all.map((one) => [one.id, one])).values()])
    })
  )
}

/** Everywhere: a target that finds its places may have come to some of them. */
const hasStoodBack = (steps: readonly Placing[]): boolean => {
  const lost = new Set(steps.filter(({ standsBack }) => standsBack).map(({ id }) => foundPlace(id)))
  if (lost.size === 0) return false
  return lost.has(undefined) || steps.every(({ id }) => foundPlace(id) === undefined || lost.has(foundPlace(id)))
}

/** What is on record of it, without what is still to be done. */
export const placingsOf = ({ targets }: DeploymentRecord): Placings =>
  new Map(
    Object.entries(targets).flatMap(([identity, target]) => (target.afterOthers ? [] : [[identity, placed(target)]])),
  )

const placed = ({ steps }: TargetRecord): Placing[] =>
  Object.entries(steps).flatMap(([id, state]) =>
    isOpen(state) ? [] : [{ id, standsBack: state.status !== 'done' || state.standsBack === true }],
  )

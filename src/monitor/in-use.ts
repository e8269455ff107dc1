import { type DeploymentRecord, foundPlace, isOrWasWanted } from '../state/deployment-record.js'
import type { ArchiveFacts } from '../targets/archive-facts.js'
import type { DeployTarget, StandingCertificate } from '../targets/target.js'

/** A certificate that is in use in one place. */
export interface Use {
  /** As the reader names the target. */
  readonly target: string
  /** The domain that `auto` found; the target's own name where it is one place. */
  readonly place: string
  /** What the place says of it; where nobody could look, what is on record. */
  readonly certificate: StandingCertificate | { readonly archive: string }
}

/**
 * Which certificate is in use where, as far as places tell; where they do not, or nobody is to look, as it was put there.
 */
export const usesOf = async (
  targets: readonly DeployTarget[],
  records: readonly DeploymentRecord[],
  { isLooking, signal }: { readonly isLooking: boolean; readonly signal: AbortSignal },
): Promise<Use[]> => {
  const uses = await Promise.all(
    targets.map(
      async (target) => (isLooking ? await seen(target, records, signal) : undefined) ?? onRecord(target, records),
    ),
  )
  return uses.flat()
}

const recordsOn = ({ identity }: DeployTarget, records: readonly DeploymentRecord[]) =>
  records.flatMap((record) => {
    const target = record.targets[identity]
    return target !== undefined && isOrWasWanted(target) ? [{ record, target }] : []
  })

const seen = async (
  target: DeployTarget,
  records: readonly DeploymentRecord[],
  signal: AbortSignal,
): Promise<Use[] | undefined> => {
  const ids = recordsOn(target, records).flatMap((one) => Object.keys(one.target.steps))
  try {
    const observed = await target.observe([...new Set(ids)], signal)
    if (observed.status === 'refused') return undefined
    return observed.places.flatMap(({ place, certificate }) =>
      certificate === undefined ? [] : [{ target: target.name, place, certificate }],
    )
  } catch (error) {
    if (signal.aborted) throw error
    return undefined
  }
}

/** What puts it in use; everything else prepares that, or looks at it. */
const isPutting = (step: string): boolean => /^(latest|bind)( |$)/.test(step)

const onRecord = (target: DeployTarget, records: readonly DeploymentRecord[]): Use[] => {
  const last = new Map<string, { readonly at: string; readonly archive: string }>()
  for (const { record, target: known } of recordsOn(target, records)) {
    for (const [step, state] of Object.entries(known.steps)) {
      if (state.status !== 'done' || !isPutting(step)) continue
      const place = foundPlace(step) ?? target.name
      if ((last.get(place)?.at ?? '') < state.at) last.set(place, { at: state.at, archive: record.archive })
    }
  }
  return [...last].map(([place, { archive }]) => ({ target: target.name, place, certificate: { archive } }))
}

/** Is this the certificate in the archive? By its fingerprint; where none is told, by its dates. */
export const isArchived = (
  { archive, manifest, sha1, sha256 }: ArchiveFacts,
  certificate: Use['certificate'],
): boolean => {
  if ('archive' in certificate) return certificate.archive === archive
  const { fingerprint, notBefore, notAfter } = certificate
  if (fingerprint?.length === 64 && sha256 !== undefined) return fingerprint === sha256
  if (fingerprint?.length === 40 && sha1 !== undefined) return fingerprint === sha1
  return (
    manifest !== undefined &&
    manifest.notBefore.getTime() === notBefore?.getTime() &&
    manifest.notAfter.getTime() === notAfter?.getTime()
  )
}

import type { DeploymentRecord } from '../state/deployment-record.js'
import { isServedOrNewer } from '../targets/served.js'
import type { Concern } from './concern.js'
import { concern } from './concerns.js'
import type { TargetStanding } from './standing.js'

/** What a person should know of what was found at the places of a certificate. @param standings by the target's identity */
export const standingConcerns = (
  name: string,
  record: DeploymentRecord,
  standings: ReadonlyMap<string, TargetStanding>,
): readonly Concern[] =>
  [...standings].flatMap(([identity, standing]) => {
    const target = record.targets[identity]
    if (target === undefined) return []
    // What was never put there, or is just being put there, has not been pushed out.
    const isPut = !Object.values(target.steps).some(({ status }) => status === 'pending' || status === 'failed')
    const moved = isPut ? drift(name, identity, target.name, standing) : []
    return [...moved, ...notServed(name, identity, record, standing)]
  })

const drift = (name: string, identity: string, target: string, { there }: TargetStanding): Concern[] =>
  (there.status === 'known' ? there.places : []).flatMap(({ place, found }) => {
    if (found !== 'other' && found !== 'none') return []
    const what = found === 'none' ? 'no certificate' : 'another certificate'
    return [
      concern(
        'drift',
        name,
        [identity, place],
        place,
        `${what} is at ${place}, where that of ${name} belongs`,
        `deploy it once more, as it was deployed before; or, where it is not to be there: acme-oss forget ${name} '${target}'`,
      ),
    ]
  })

const notServed = (
  name: string,
  identity: string,
  { notBefore, notAfter }: DeploymentRecord,
  { served }: TargetStanding,
): Concern[] => {
  const wanted = { notBefore: new Date(notBefore), notAfter: new Date(notAfter) }
  return (served ?? []).flatMap((proof) => {
    if (proof.served || isServedOrNewer(proof, wanted)) return []
    const { host, problem } = proof
    const why = problem?.sentence ?? 'it serves something else'
    const hint = problem?.hint ?? `acme-oss verify ${host}`
    return [
      concern(
        'not-served',
        name,
        [identity, host],
        host,
        `${host} does not serve the certificate of ${name}: ${why}`,
        hint,
      ),
    ]
  })
}

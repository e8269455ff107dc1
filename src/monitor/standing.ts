import { toCertError } from '../errors.js'
import { certificateSums } from '../proof/expectation.js'
import { type HostProof, lookAt } from '../proof/look.js'
import { type DeploymentRecord, isOrWasWanted, proofOf, type TargetRecord } from '../state/deployment-record.js'
import { idOfProof } from '../targets/oss-cname-binding.js'
import { isServedOrNewer, type Looking } from '../targets/served.js'
import type { DeployTarget, ObservedPlace, StandingCertificate, TargetSettings } from '../targets/target.js'

/** Of what was found in a place, measured by what is wanted there. */
export type Found = 'wanted' | 'newer' | 'other' | 'none'

export interface PlaceStanding {
  readonly place: string
  readonly found: Found
  readonly certificate: StandingCertificate | undefined
}

/** What a target holds, and what is served of it. */
export interface TargetStanding {
  readonly there:
    | { readonly status: 'known'; readonly places: readonly PlaceStanding[] }
    | { readonly status: 'unknown'; readonly why: string }
  /** Null where nobody looked. */
  readonly served: readonly HostProof[] | null
  /** Does each of them serve what is wanted, or a newer one? True where nobody looked. */
  readonly isServed: boolean
}

export interface MonitorOptions {
  /** Makes a target out of what was recorded of it. @throws CertError */
  readonly create: (kind: string, settings: TargetSettings) => DeployTarget
  /** Looks at what is served as well. */
  readonly looking: Looking | undefined
  /** Leaf and chain as they were recorded, PEM. */
  readonly chainOf: (record: DeploymentRecord) => Promise<string | undefined>
  /** The name was rolled back, perhaps from something newer: that one is not what is wanted there. */
  readonly isHeld: boolean
  readonly now: () => Date
  readonly signal: AbortSignal
}

/**
 * Looks at every place where a certificate is wanted or was put. What cannot be found out is an answer as well.
 * @param all every record of the same name: an older certificate may have been asked for later
 * @returns by the target's identity
 */
export const standingsOf = async (
  record: DeploymentRecord,
  all: readonly DeploymentRecord[],
  options: MonitorOptions,
): Promise<ReadonlyMap<string, TargetStanding>> => {
  const wanted = Object.entries(record.targets).filter(([, target]) => isOrWasWanted(target))
  const standings = await Promise.all(
    wanted.map(async ([identity, target]) => {
      const last = options.isHeld ? record : lastAskedFor(identity, record, all)
      return [identity, await standingOf(last, identity, last.targets[identity] ?? target, options)] as const
    }),
  )
  return new Map(standings)
}

const lastAskedFor = (identity: string, record: DeploymentRecord, all: readonly DeploymentRecord[]): DeploymentRecord =>
  all
    .filter(({ targets }) => isOrWasWanted(targets[identity]))
    .reduce((last, one) => (Date.parse(one.recordedAt) > Date.parse(last.recordedAt) ? one : last), record)

const standingOf = async (
  record: DeploymentRecord,
  identity: string,
  { kind, settings, steps }: TargetRecord,
  options: MonitorOptions,
): Promise<TargetStanding> => {
  const ids = Object.keys(steps)
  try {
    const target = options.create(kind, settings)
    const [there, served] = await Promise.all([
      observed(record, identity, ids, target, options),
      options.looking === undefined ? null : looks(record, target.hosts?.(ids) ?? [], options.looking, options),
    ])
    const wanted = { notBefore: new Date(record.notBefore), notAfter: new Date(record.notAfter) }
    const isServed = (proof: HostProof) => proof.served || (!options.isHeld && isServedOrNewer(proof, wanted))
    return { there, served, isServed: (served ?? []).every(isServed) }
  } catch (error) {
    if (options.signal.aborted) throw error
    return { there: { status: 'unknown', why: toCertError(error).message }, served: null, isServed: true }
  }
}

const observed = async (
  record: DeploymentRecord,
  identity: string,
  ids: readonly string[],
  target: DeployTarget,
  { signal, isHeld }: MonitorOptions,
): Promise<TargetStanding['there']> => {
  try {
    const found = await target.observe(ids, signal)
    if (found.status === 'refused') return { status: 'unknown', why: 'reading is not permitted' }
    const places = found.places.map((one) => {
      const proofs = ids.flatMap((id) => (id === 'bind' || id === `bind ${one.place}` ? [id] : []))
      const standing = compare(
        record,
        one,
        proofs.map((id) => idOfProof(proofOf(record, identity, id))),
      )
      return isHeld && standing.found === 'newer' ? ({ ...standing, found: 'other' } as const) : standing
    })
    return { status: 'known', places }
  } catch (error) {
    if (signal.aborted) throw error
    return { status: 'unknown', why: toCertError(error).message }
  }
}

type Facts = Pick<DeploymentRecord, 'fingerprint' | 'notBefore' | 'notAfter'>

/** @param proofs what the place called the wanted certificate when it was put there */
export const compare = (
  wanted: Facts,
  { place, certificate }: ObservedPlace,
  proofs: readonly (string | undefined)[],
): PlaceStanding => ({
  place,
  certificate,
  found: certificate === undefined ? 'none' : judge(wanted, certificate, proofs),
})

const judge = (
  { fingerprint, notBefore, notAfter }: Facts,
  standing: StandingCertificate,
  proofs: readonly (string | undefined)[],
): Found => {
  const [begins, ends] = [Date.parse(notBefore), Date.parse(notAfter)]
  const [hasBegun, willEnd] = [standing.notBefore?.getTime(), standing.notAfter?.getTime()]
  const isByName =
    standing.fingerprint === fingerprint.sha256 ||
    standing.fingerprint === fingerprint.sha1 ||
    (standing.id !== undefined && proofs.includes(standing.id))
  if (isByName) return 'wanted'
  // A place that tells neither fingerprint nor id as we know them tells dates: two of ours do not share both.
  const isFingerprinted = standing.fingerprint?.length === 64
  if (!isFingerprinted && begins === hasBegun && ends === willEnd) return 'wanted'
  return hasBegun !== undefined && willEnd !== undefined && hasBegun > begins && willEnd > ends ? 'newer' : 'other'
}

const looks = async (
  record: DeploymentRecord,
  hosts: readonly string[],
  { connect, nameServer }: Looking,
  { now, signal, chainOf }: MonitorOptions,
): Promise<HostProof[]> => {
  const [, ...chain] = certificateSums((await chainOf(record).catch(() => undefined)) ?? '')
  const expectation = { sha256: record.fingerprint.sha256, chain }
  return await Promise.all(hosts.map((host) => lookAt(host, { expectation, connect, nameServer, now, signal })))
}

/** Is anything there that should not be, or not served that should be? */
export const isAmiss = ({ there, isServed }: TargetStanding): boolean =>
  (there.status === 'known' && there.places.some(({ found }) => found === 'none' || found === 'other')) || !isServed

import { endpointUrl, isBoundDomain, type OssEndpoint, ossEndpoint } from '../aliyun/endpoint.js'
import { OssClient, type OssClientOptions } from '../aliyun/oss-client.js'
import { hostOf, originOf } from '../aliyun/oss-request.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { keyPrefix } from '../targets/layout.js'
import type { DeployTarget } from '../targets/target.js'
import { type ReachContext, type Situation, textIn, type Wanted, type WantedTarget } from './situation.js'

/** One bucket, as it is reached. */
export interface BucketPlace extends Pick<OssClientOptions, 'bucket' | 'endpoint' | 'bucketEndpoint'> {
  /** The layouts in it. */
  readonly layouts: readonly LayoutPlace[]
}

export interface LayoutPlace {
  /** Of all keys: empty, or with a slash at its end. */
  readonly prefix: string
  readonly allowsPublic: boolean
  /** The other targets of the same deployment. */
  readonly others: readonly DeployTarget[]
}

const known = new WeakMap<Situation['deployments'], readonly BucketPlace[]>()

/** Every bucket of a situation once. @throws CertError USAGE */
export const bucketsOf = ({ deployments }: Pick<Situation, 'deployments'>): readonly BucketPlace[] => {
  // Each right of thousands of certificates is looked for in one.
  const found = known.get(deployments) ?? findBuckets(deployments)
  known.set(deployments, found)
  return found
}

const findBuckets = (deployments: Situation['deployments']): BucketPlace[] => {
  const places = new Map<string, BucketPlace>()
  const layouts = new Set<string>()
  for (const wanted of deployments) {
    for (const one of [...wanted.targets.flatMap((target) => placesOf(target, wanted)), ...challengePlace(wanted)]) {
      const key = `${one.bucket} ${one.endpoint.url.origin} ${one.bucketEndpoint.url.origin}`
      const known = places.get(key)
      const fresh = one.layouts.filter(({ prefix }) => !layouts.has(`${key} ${prefix}`))
      for (const { prefix } of fresh) layouts.add(`${key} ${prefix}`)
      places.set(key, { ...one, layouts: [...(known?.layouts ?? []), ...fresh] })
    }
  }
  return [...places.values()]
}

const placesOf = ({ kind, settings, target }: WantedTarget, { targets }: Wanted): BucketPlace[] => {
  const bucket = textIn(settings, 'bucket')
  if ((kind !== 'oss' && kind !== 'oss-cname') || bucket === undefined) return []
  const region = textIn(settings, 'region')
  const isBound = settings['cname-endpoint'] === true
  const given = textIn(settings, 'bucket-endpoint')
  const shared = textIn(settings, 'endpoint')
  const ofBucket = (of: string | undefined, other: string | undefined) =>
    ossEndpoint({ bucket, region: other, endpoint: of, flag: '--bucket-endpoint' })
  if (kind === 'oss-cname') {
    const endpoint = ofBucket(given ?? (isBound ? undefined : shared), region)
    return [{ bucket, endpoint, bucketEndpoint: endpoint, layouts: [] }]
  }
  const endpoint = ossEndpoint({ bucket, region, endpoint: shared, cnameEndpoint: isBound })
  const bucketEndpoint = given === undefined && !endpoint.cname ? endpoint : ofBucket(given, endpoint.region)
  const layout = {
    prefix: keyPrefix(textIn(settings, 'prefix') ?? ''),
    allowsPublic: settings['allow-public-bucket'] === true,
    others: targets.flatMap((other) => (other.target === target ? [] : [other.target])),
  }
  return [{ bucket, endpoint, bucketEndpoint, layouts: [layout] }]
}

const challengePlace = ({ solver }: Wanted): BucketPlace[] => {
  if (solver?.solver !== 'bucket' || solver.challengeBucket === undefined) return []
  const endpoint = challengeEndpoint(solver, solver.challengeBucket)
  return [{ bucket: solver.challengeBucket, endpoint, bucketEndpoint: endpoint, layouts: [] }]
}

/** As the solver reads it. */
const challengeEndpoint = (
  { challengeRegion, challengeEndpoint: given, challengeEndpointIs: is }: SolverSettings,
  bucket: string,
): OssEndpoint => {
  const flag = '--challenge-endpoint'
  const url = given === undefined ? undefined : endpointUrl(flag, given)
  return ossEndpoint({
    bucket,
    region: challengeRegion,
    endpoint: url?.origin,
    cnameEndpoint: url !== undefined && (is === undefined ? isBoundDomain(url) : is === 'bound domain'),
    flag,
    regionFlag: '--challenge-region',
  })
}

export const clientOf = (place: BucketPlace, context: ReachContext): OssClient =>
  new OssClient({ ...context, ...place })

/** Where strangers would ask the bucket itself. */
export const doorOf = ({ bucket, endpoint }: BucketPlace): { readonly origin: URL; readonly host: string } => ({
  origin: originOf(bucket, endpoint),
  host: hostOf(bucket, endpoint),
})

/** The harmless file of a layout. */
export const manifestIn = ({ prefix }: Pick<LayoutPlace, 'prefix'>): string => `${prefix}latest/README.md`

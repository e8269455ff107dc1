import { OssBucket } from '../../aliyun/oss.js'
import { element } from '../../aliyun/oss-client.js'
import { boundDomains } from '../../aliyun/products.js'
import { CertError } from '../../errors.js'
import { followDns, placeNames } from '../../proof/dns-path.js'
import { type Openness, openTo } from '../../targets/open-to.js'
import { type BucketPlace, bucketsOf, clientOf, doorOf, type LayoutPlace, manifestIn } from '../bucket-place.js'
import { type Check, failed, failedBy, type Outcome, ok, unknown, unknownBy, warning } from '../check.js'
import { isElsewhere, isRefusal } from '../refused.js'
import type { ReachContext, Situation } from '../situation.js'

const about = 'bucket'

export const bucketChecks = (situation: Situation): readonly Check[] =>
  bucketsOf(situation).flatMap((place) => checksOfPlace(place, situation.context))

const checksOfPlace = (place: BucketPlace, context: ReachContext): Check[] => {
  const { bucket, endpoint, bucketEndpoint, layouts } = place
  const isApart = bucketEndpoint.url.origin !== endpoint.url.origin
  const own = { about, reaches: true } as const
  return [
    {
      ...own,
      id: `endpoint ${bucket}`,
      what: `the endpoint of ${bucket}`,
      run: (signal) => endpointOutcome(place, context, signal),
    },
    ...(isApart
      ? [
          {
            ...own,
            id: `bucket-endpoint ${bucket}`,
            what: `the endpoint for the configuration of ${bucket}`,
            run: (signal: AbortSignal) => configurationEndpoint(place, context, signal),
          },
        ]
      : []),
    ...(endpoint.cname
      ? [
          {
            ...own,
            id: `bound-endpoint ${bucket}`,
            what: `where ${endpoint.url.hostname} leads`,
            run: (signal: AbortSignal) => boundEndpoint(endpoint.url.hostname, context, signal),
          },
        ]
      : []),
    ...(layouts.length === 0
      ? []
      : [
          {
            ...own,
            id: `versioning ${bucket}`,
            what: `versioning of ${bucket}`,
            run: (signal: AbortSignal) => versioningOutcome(place, context, signal),
          },
          {
            ...own,
            id: `public ${bucket}`,
            what: `whether ${bucket} is public`,
            run: async (signal: AbortSignal) => {
              const exposure = await new OssBucket({ ...context, ...place }).exposure(signal)
              return exposureOutcome(
                bucket,
                exposure,
                layouts.every(({ allowsPublic }) => allowsPublic),
              )
            },
          },
        ]),
    ...layouts.map((layout) => ({
      ...own,
      id: `strangers ${bucket}/${layout.prefix}`,
      what: `whether strangers can read ${bucket}/${layout.prefix}latest/`,
      run: async (signal: AbortSignal) =>
        opennessOutcome(`${bucket}/${layout.prefix}latest/`, await openness(place, layout, context, signal)),
    })),
  ]
}

/** What is asked for need not be there, nor permitted: any answer of the bucket's own will do. */
const endpointOutcome = async (place: BucketPlace, context: ReachContext, signal: AbortSignal): Promise<Outcome> => {
  const client = clientOf(place, context)
  const key = manifestIn(place.layouts[0] ?? { prefix: '' })
  const attempted = client.attempt('looking for', 'oss:GetObject', key)
  return await reached(place.bucket, doorOf(place).host, () => client.call({ method: 'HEAD', key, attempted }, signal))
}

const configurationEndpoint = async (
  place: BucketPlace,
  context: ReachContext,
  signal: AbortSignal,
): Promise<Outcome> => {
  const client = clientOf(place, context)
  const attempted = client.attempt('looking at', 'oss:GetBucketAcl')
  return await reached(place.bucket, place.bucketEndpoint.url.host, () =>
    client.call({ method: 'GET', query: { acl: null }, attempted }, signal),
  )
}

const reached = async (bucket: string, host: string, ask: () => Promise<unknown>): Promise<Outcome> => {
  try {
    await ask()
  } catch (error) {
    if (!(error instanceof CertError)) throw error
    const { code, vendor, message } = error
    if (code === 'CREDENTIALS_MISSING') return unknown(`the endpoint of ${bucket}: ${message}`)
    const isAnswer = vendor?.code === 'NoSuchKey' || (isRefusal(error) && !isElsewhere(error))
    if (!isAnswer) return failedBy(error)
  }
  return ok(`${bucket} answers at ${host}`)
}

const boundEndpoint = async (host: string, { looking }: ReachContext, signal: AbortSignal): Promise<Outcome> => {
  const { leadsTo, cnames } = await followDns(host, { nameServer: looking.nameServer, signal })
  if (leadsTo === 'oss') return ok(`${host} leads to OSS (${cnames.at(-1) ?? host})`)
  if (leadsTo === 'unknown') return unknown(`DNS does not tell whether ${host} leads to OSS`)
  return failed(
    `${host} leads to ${placeNames[leadsTo]}, which takes no writing calls`,
    'give a domain as --endpoint that is bound to the bucket and leads to OSS itself, not to CDN',
  )
}

const versioningOutcome = async (place: BucketPlace, context: ReachContext, signal: AbortSignal): Promise<Outcome> => {
  const client = clientOf(place, context)
  const attempted = client.attempt('looking at versioning of', 'oss:GetBucketVersioning')
  try {
    const { body } = await client.call({ method: 'GET', query: { versioning: null }, attempted }, signal)
    return versioned(place.bucket, element(body.toString('utf8'), 'Status'))
  } catch (error) {
    return isRefusal(error) && !isElsewhere(error)
      ? unknown(`versioning of ${place.bucket} may not be looked at (oss:GetBucketVersioning)`)
      : unknownBy(error, `versioning of ${place.bucket}`)
  }
}

export const versioned = (bucket: string, status: string | undefined): Outcome =>
  status === undefined
    ? ok(`versioning of ${bucket} was never on: what is archived there is never overwritten`)
    : warning(
        `versioning of ${bucket} is ${status.toLowerCase()}: OSS then does not keep archives from being overwritten`,
        'two runs at once may write the same archive twice, with the same content; use a bucket whose versioning was never on if that is not enough',
      )

export const exposureOutcome = (
  bucket: string,
  exposure: 'public' | 'private' | 'unknown',
  isAllowed: boolean,
): Outcome => {
  if (exposure === 'private') return ok(`${bucket} is private`)
  if (exposure === 'unknown') {
    return unknown(
      `whether ${bucket} is public may not be looked at`,
      `grant oss:GetBucketAcl and oss:GetBucketPolicyStatus on ${bucket}: acme-oss policy prints them`,
    )
  }
  const sentence = `${bucket} can be read by anybody`
  return isAllowed
    ? warning(`${sentence} (--allow-public-bucket)`, 'make it private, and keep public files in another bucket')
    : failed(sentence, `make it private (its ACL, or its policy), or use another bucket for private keys`)
}

const openness = async (
  place: BucketPlace,
  layout: LayoutPlace,
  context: ReachContext,
  signal: AbortSignal,
): Promise<Openness> => {
  const { bucketEndpoint } = place
  const domains = boundDomains({ ...context, bucket: place.bucket, endpoint: bucketEndpoint, bucketEndpoint })
  const options = { bucket: place.bucket, own: doorOf(place), domains, others: layout.others, context }
  return await openTo(manifestIn(layout), options, signal)
}

export const opennessOutcome = (place: string, { open, unknown: unclear }: Openness): Outcome => {
  if (open.length > 0) {
    return failed(
      `${place} can be read by anybody through ${open.join(', ')}`,
      'make the bucket private, keep CDN from fetching this prefix from a private bucket, or use another bucket; then have the certificate issued anew with a new key, for this one may be known',
    )
  }
  return unclear.length === 0
    ? ok(`strangers cannot read ${place}`)
    : unknown(`strangers cannot read ${place} where they could be tried; but ${unclear.join(', and ')}`)
}

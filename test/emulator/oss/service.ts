import { randomBytes } from 'node:crypto'
import type { KeyRing } from '../access-key.js'
import type { Service } from '../service.js'
import type { WireRequest } from '../wire-request.js'
import { element } from '../xml.js'
import { locate, type Place } from './addressing.js'
import { ossAnswers } from './answers.js'
import { authenticate } from './authenticate.js'
import { authorize, obeyPolicy } from './authorize.js'
import type { Bucket } from './bucket.js'
import { readClaim } from './claim.js'
import type { Directory } from './directory.js'
import type { Operation, Outcome } from './operation.js'
import { operationFor } from './operations.js'
import { accessDenied, OssRefusal, wording } from './refusal.js'

export interface OssParts {
  readonly directory: Directory
  readonly keys: KeyRing
  readonly now: () => Date
  /** Whether `/bucket/key` works on the emulator's own address; the real service knows no such thing. */
  readonly pathStyle: boolean
  /** Whether requests count as plain HTTP; elsewhere those without TLS stand for ones with it. */
  readonly plain?: boolean
}

/** `fn`'s value, or the refusal it threw. Anything else it throws is a defect. */
const attempt = <T>(fn: () => T): T | OssRefusal => {
  try {
    return fn()
  } catch (error) {
    if (error instanceof OssRefusal) return error
    throw error
  }
}

const existing = (place: Place, directory: Directory): Bucket => {
  const name = place.bucket ?? ''
  const bucket = directory.find(name)
  if (bucket !== undefined) return bucket
  throw new OssRefusal(404, 'NoSuchBucket', 'The specified bucket does not exist.', '0015-00000101', [
    element('BucketName', name),
  ])
}

/** Whether this bucket may be reached through this endpoint. */
const checkEndpoint = ({ endpoint }: Place, bucket: Bucket, operation: Operation | undefined): void => {
  if (endpoint.region !== undefined && endpoint.region !== bucket.region)
    throw accessDenied(
      'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.',
      '0003-00001403',
      [element('Bucket', bucket.name), element('Endpoint', `${bucket.location}.aliyuncs.com`)],
    )
  if (endpoint.kind === 'accelerate' && !bucket.accelerate)
    throw new OssRefusal(403, 'TransferAccelerationDisabled', 'Transfer acceleration is disabled on this bucket.')
  // Configuration goes to the endpoint of the region: a bound domain serves objects.
  if (endpoint.kind === 'cname' && operation?.data === false)
    throw new OssRefusal(
      403,
      'NonStandardHostForbidden',
      'Your host is invalid. Please use Open Storage Service standard host.',
      '0003-00001402',
    )
  if (endpoint.kind === 'public' && bucket.publicEndpointForbidden && operation?.data)
    throw new OssRefusal(
      400,
      'PublicEndpointForbidden',
      'Not allowed using the OSS public endpoint, please use CNAME instead.',
      '0048-00000401',
    )
}

const notBuilt = ({ method, path, parameters }: WireRequest): OssRefusal => {
  const query = parameters.map(([name]) => name).join('&')
  return new OssRefusal(400, 'NotImplemented', `The emulator does not know ${method} ${path}${query && `?${query}`}.`)
}

const demandEither = ({ action, orAction }: Operation, demand: (action: string) => void): void => {
  const refusal = attempt(() => demand(action))
  if (!(refusal instanceof OssRefusal)) return
  if (orAction === undefined || attempt(() => demand(orAction)) instanceof OssRefusal) throw refusal
}

const carryOut = (parts: OssParts, request: WireRequest, place: Place, operation: Operation | undefined): Outcome => {
  const signed = { ...request, bucket: place.bucket, key: place.key }
  const known = place.bucket === undefined ? undefined : parts.directory.find(place.bucket)
  const region = place.endpoint.region ?? known?.region
  const sender = authenticate(signed, request.body, region, parts.keys, request.time)
  if (place.bucket === undefined) throw notBuilt(request)
  const bucket = existing(place, parts.directory)
  checkEndpoint(place, bucket, operation)
  if (operation === undefined) throw notBuilt(request)
  const demand = (action: string, resource?: string): void =>
    authorize(sender, { action, bucket, key: place.key, resource })
  obeyPolicy({ action: operation.action, bucket, key: place.key }, parts.plain ?? false)
  demandEither(operation, demand)
  const { directory } = parts
  return operation.perform({
    request,
    bucket,
    key: place.key,
    sender,
    now: request.time,
    domains: directory.domains,
    demand,
  })
}

/** The object store. It takes whatever no other service wants, so it comes last. */
export const ossService = (parts: OssParts): Service => ({
  match(request) {
    const requestId = randomBytes(12).toString('hex').toUpperCase()
    const place = attempt(() => locate(request, parts.directory, parts.pathStyle))
    const located = place instanceof OssRefusal ? undefined : place
    const operation = located?.bucket === undefined ? undefined : operationFor(request, located.key)
    const claim = attempt(() => readClaim({ ...request, bucket: located?.bucket, key: located?.key ?? '' }))

    const answers = ossAnswers(request, requestId, parts.now)

    return {
      action: operation?.action,
      bucket: located?.bucket,
      key: located?.key === '' ? undefined : located?.key,
      accessKeyId: claim instanceof OssRefusal ? undefined : claim?.id,
      requestId,
      perform: () =>
        answers.of(attempt(() => (place instanceof OssRefusal ? place : carryOut(parts, request, place, operation)))),
      refuse: (status, code, message, headers) =>
        answers.of(new OssRefusal(status, code, message ?? wording(code)), headers),
    }
  },
})

import { randomBytes } from 'node:crypto'
import type { Answer } from '../answer.js'
import type { Domain } from '../cdn/domain.js'
import { ossAnswers } from '../oss/answers.js'
import { authorize, obeyPolicy } from '../oss/authorize.js'
import type { Bucket } from '../oss/bucket.js'
import type { Directory } from '../oss/directory.js'
import type { Outcome } from '../oss/operation.js'
import { getObject, headObject } from '../oss/read-object.js'
import { OssRefusal, wording } from '../oss/refusal.js'
import { percentDecode } from '../percent-encoding.js'
import type { Service } from '../service.js'
import type { WireRequest } from '../wire-request.js'

export interface OriginParts {
  readonly directory: Directory
  readonly now: () => Date
  /** Whether requests come by plain HTTP, and are fetched by it. */
  readonly plain: boolean
  /** The accelerated domain of a host, and whose it is. */
  readonly domainOf: (host: string) => { readonly product: 'cdn' | 'dcdn'; readonly domain: Domain } | undefined
}

const sentToHttps = ({ host, target }: WireRequest, port: number): Answer => ({
  status: 301,
  headers: {
    Server: 'Tengine',
    Location: `https://${host.replace(/:\d+$/, '')}${port === 443 ? '' : `:${port}`}${target}`,
    'Content-Type': 'text/html',
  },
  body: Buffer.from('<html><head><title>301 Moved Permanently</title></head></html>\n'),
})

const fetched = (request: WireRequest, domain: Domain, bucket: Bucket, key: string, directory: Directory): Outcome => {
  const operation = [getObject, headObject].find(({ method }) => method === request.method)
  if (operation === undefined)
    throw new OssRefusal(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource.')
  // The product asks as everybody would, unless it was let in.
  if (!domain.privateOrigin) authorize(undefined, { action: operation.action, bucket, key })
  const { domains } = directory
  return operation.perform({
    request,
    bucket,
    key,
    sender: undefined,
    now: request.time,
    domains,
    demand: () => undefined,
  })
}

/** What CDN and DCDN answer: the objects of the bucket behind a domain, never from a cache. */
export const originService = ({ directory, now, plain, domainOf }: OriginParts): Service => ({
  match(request) {
    const found = domainOf(request.host.replace(/:\d+$/, ''))
    const bucket = found?.domain.origin === undefined ? undefined : directory.find(found.domain.origin)
    const key = percentDecode(request.path.slice(1))
    if (found === undefined || bucket === undefined || key === undefined) return undefined
    const requestId = randomBytes(12).toString('hex').toUpperCase()
    const answers = ossAnswers(request, requestId, now)
    return {
      // Not a RAM action: nobody needs a permission to read a website. A name for the journal and for faults.
      action: `${found.product}:GetObject`,
      bucket: bucket.name,
      key,
      accessKeyId: undefined,
      requestId,
      perform() {
        const { forcedRedirect } = found.domain
        if (plain && forcedRedirect !== undefined) return sentToHttps(request, forcedRedirect)
        try {
          obeyPolicy({ action: 'oss:GetObject', bucket, key }, plain)
          return answers.of(fetched(request, found.domain, bucket, key, directory))
        } catch (error) {
          if (error instanceof OssRefusal) return answers.of(error)
          throw error
        }
      },
      refuse: (status, code, message, headers) =>
        answers.of(new OssRefusal(status, code, message ?? wording(code)), headers),
    }
  },
})

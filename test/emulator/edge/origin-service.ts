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

interface Elsewhere {
  readonly scheme: 'http' | 'https'
  readonly status: number
  /** The usual one unless told. */
  readonly port?: number | undefined
}

const usualPorts = { http: 80, https: 443 }

const sentElsewhere = ({ host, target }: WireRequest, { scheme, status, port }: Elsewhere): Answer => {
  const there = port === undefined || port === usualPorts[scheme] ? '' : `:${port}`
  return {
    status,
    headers: {
      Server: 'Tengine',
      Location: `${scheme}://${host.replace(/:\d+$/, '')}${there}${target}`,
      'Content-Type': 'text/html',
    },
    body: Buffer.from(`<html><head><title>${status}</title></head></html>\n`),
  }
}

/** Of whether there is an HTTPS to be sent to, nobody thinks here. */
const elsewhereFrom = (domain: Domain, plain: boolean): Elsewhere | undefined => {
  const { forcedRedirect: port } = domain
  const force = domain.inForce(plain ? 'https_force' : 'http_force')
  const isForced = force['enable'] === 'on'
  if (!plain) return isForced ? { scheme: 'http', status: Number(force['http_rewrite'] ?? 301) } : undefined
  if (isForced) return { scheme: 'https', status: Number(force['https_rewrite'] ?? 301), port }
  return port === undefined ? undefined : { scheme: 'https', status: 301, port }
}

const strictTransport = (domain: Domain): Readonly<Record<string, string>> => {
  const hsts = domain.inForce('HSTS')
  if (hsts['enabled'] !== 'on') return {}
  const directives = [
    `max-age=${hsts['https_hsts_max_age']}`,
    ...(hsts['https_hsts_include_subdomains'] === 'on' ? ['includeSubDomains'] : []),
    ...(hsts['https_hsts_preload'] === 'on' ? ['preload'] : []),
  ]
  return { 'Strict-Transport-Security': directives.join('; ') }
}

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

const answerOf = (fetch: () => Outcome, answers: ReturnType<typeof ossAnswers>): Answer => {
  try {
    return answers.of(fetch())
  } catch (error) {
    if (error instanceof OssRefusal) return answers.of(error)
    throw error
  }
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
        const { domain } = found
        const elsewhere = elsewhereFrom(domain, plain)
        if (elsewhere !== undefined) return sentElsewhere(request, elsewhere)
        const answer = answerOf(() => {
          obeyPolicy({ action: 'oss:GetObject', bucket, key }, plain)
          return fetched(request, domain, bucket, key, directory)
        }, answers)
        return plain ? answer : { ...answer, headers: { ...answer.headers, ...strictTransport(domain) } }
      },
      refuse: (status, code, message, headers) =>
        answers.of(new OssRefusal(status, code, message ?? wording(code)), headers),
    }
  },
})

import { createHash, createHmac } from 'node:crypto'
import { percentEncode, percentEncodePath } from '../percent-encoding.js'
import type { SignedRequest } from './signed-request.js'

export const algorithmV4 = 'OSS4-HMAC-SHA256'

/** What a version 4 credential is good for. */
export interface Scope {
  /** `YYYYMMDD`. */
  readonly date: string
  readonly region: string
  readonly product: string
}

const terminator = 'aliyun_v4_request'

export const scopeText = ({ date, region, product }: Scope): string => [date, region, product, terminator].join('/')

/** `undefined` unless the text is `<access key id>/<date>/<region>/<product>/aliyun_v4_request`. */
export const parseCredential = (text: string): { readonly id: string; readonly scope: Scope } | undefined => {
  const [id, date, region, product, end, ...rest] = text.split('/')
  if (!id || !date || !region || !product || end !== terminator || rest.length > 0) return undefined
  return { id, scope: { date, region, product } }
}

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

const canonicalQuery = (request: SignedRequest): string =>
  request.parameters
    .filter(([name]) => name !== 'x-oss-signature')
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .toSorted(([a], [b]) => bytewise(a, b))
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
    .join('&')

const alwaysSigned = (name: string): boolean =>
  name === 'content-type' || name === 'content-md5' || name.startsWith('x-oss-')

/** `additional` names further signed headers; those that are signed anyway or were not sent do not count. */
export const canonicalRequestV4 = (request: SignedRequest, additional: readonly string[], payload: string): string => {
  const extra = [...new Set(additional.map((name) => name.toLowerCase()))]
    .filter((name) => !alwaysSigned(name) && request.headers[name] !== undefined)
    .toSorted(bytewise)
  const names = [...Object.keys(request.headers).filter(alwaysSigned), ...extra].toSorted(bytewise)
  return [
    request.method,
    percentEncodePath(request.bucket === undefined ? '/' : `/${request.bucket}/${request.key}`),
    canonicalQuery(request),
    names.map((name) => `${name}:${request.headers[name]}\n`).join(''),
    extra.join(';'),
    payload,
  ].join('\n')
}

export const stringToSignV4 = (timestamp: string, scope: Scope, canonicalRequest: string): string =>
  [algorithmV4, timestamp, scopeText(scope), createHash('sha256').update(canonicalRequest).digest('hex')].join('\n')

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

export const signingKeyV4 = (secret: string, { date, region, product }: Scope): Buffer =>
  [date, region, product, terminator].reduce<string | Buffer>(hmac, `aliyun_v4${secret}`) as Buffer

export const signatureV4 = (secret: string, scope: Scope, stringToSign: string): string =>
  hmac(signingKeyV4(secret, scope), stringToSign).toString('hex')

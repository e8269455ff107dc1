import { createHmac } from 'node:crypto'
import type { SignedRequest } from './signed-request.js'
import { signedInVersion1 } from './subresources.js'

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const canonicalHeaders = (headers: Readonly<Record<string, string>>): string =>
  Object.keys(headers)
    .filter((name) => name.startsWith('x-oss-'))
    .sort(compare)
    .map((name) => `${name}:${headers[name]}\n`)
    .join('')

/** Raw text, not percent-encoded: the only place in OSS where a key is signed as it is. */
export const canonicalResource = ({ bucket, key, parameters }: SignedRequest): string => {
  const path = bucket === undefined ? '/' : `/${bucket}/${key}`
  const query = parameters
    .filter(([name]) => signedInVersion1(name))
    .toSorted(([a], [b]) => compare(a, b))
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
    .join('&')
  return query === '' ? path : `${path}?${query}`
}

/** `date` is the date header's text, or the `Expires` of a signed URL. */
export const stringToSignV1 = (request: SignedRequest, date: string): string =>
  [
    request.method,
    request.headers['content-md5'] ?? '',
    request.headers['content-type'] ?? '',
    date,
    canonicalHeaders(request.headers) + canonicalResource(request),
  ].join('\n')

export const signatureV1 = (secret: string, stringToSign: string): string =>
  createHmac('sha1', secret).update(stringToSign).digest('base64')

import { createHash } from 'node:crypto'
import type { Credentials } from './credentials.js'
import type { OssEndpoint } from './endpoint.js'

export interface OssRequest {
  readonly method: 'DELETE' | 'GET' | 'HEAD' | 'POST' | 'PUT'
  /** Absent for calls about the bucket itself. */
  readonly key?: string | undefined
  /** Sub-resources of the bucket, null for those without a value: `{ acl: null }`, `{ cname: null, comp: 'add' }`. */
  readonly query?: Readonly<Record<string, string | null>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: Buffer | undefined
}

export interface SignedRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** Where a request for the bucket goes: before the endpoint's host, unless that is bound to it or is an address. */
export const originOf = (bucket: string, { url, cname }: OssEndpoint): URL => {
  if (cname || isAddress(url.hostname)) return url
  const origin = new URL(url)
  origin.hostname = `${bucket}.${url.hostname}`
  return origin
}

/** The host as OSS is to see it. An address stands for the region's endpoint, where the host's name tells the bucket. */
export const hostOf = (bucket: string, endpoint: OssEndpoint): string =>
  isAddress(endpoint.url.hostname) && !endpoint.cname
    ? `${bucket}.oss-${endpoint.region}.aliyuncs.com`
    : originOf(bucket, endpoint).host

const isAddress = (hostname: string): boolean => /^(\d+\.\d+\.\d+\.\d+|\[.*\])$/.test(hostname)

/**
 * Signs a request (OSS4-HMAC-SHA256); the one door to ali-oss. The package's signer is all that is used of it: its
 * client takes as long to load as the rest of a deployment, retries nothing, cannot be cancelled, and puts the request,
 * private key and all, into its errors.
 */
export const signRequest = async (
  { method, key, query = {}, headers, body }: OssRequest,
  bucket: string,
  endpoint: OssEndpoint,
  { accessKeyId, accessKeySecret, securityToken }: Credentials,
  now: Date,
): Promise<SignedRequest> => {
  const { default: signer } = await import('ali-oss/lib/common/signUtils.js')
  const signed = {
    ...(body && { 'content-md5': createHash('md5').update(body).digest('base64') }),
    ...headers,
    'x-oss-date': now.toISOString().replace(/[-:]|\.\d{3}/g, ''),
    'x-oss-content-sha256': 'UNSIGNED-PAYLOAD',
    ...(securityToken && { 'x-oss-security-token': securityToken.reveal() }),
  }
  const authorization = signer.authorizationV4(
    accessKeyId.reveal(),
    accessKeySecret.reveal(),
    endpoint.region,
    method,
    { headers: signed, queries: query },
    bucket,
    key,
  )
  const path = (key ?? '').split('/').map(encode).join('/')
  const parameters = Object.entries(query).map(([name, value]) => (value === null ? name : `${name}=${encode(value)}`))
  const search = parameters.length === 0 ? '' : `?${parameters.join('&')}`
  return {
    url: `${originOf(bucket, endpoint).origin}/${path}${search}`,
    headers: { ...signed, authorization, host: hostOf(bucket, endpoint) },
  }
}

/** As it is signed: what RFC 3986 calls unreserved stays, all else is encoded. */
const encode = (part: string): string =>
  encodeURIComponent(part).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

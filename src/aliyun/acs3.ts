import { createHash, createHmac, randomUUID } from 'node:crypto'
import type { Credentials } from './credentials.js'

export interface RpcRequest {
  /** Scheme, host and port of the product's endpoint. */
  readonly endpoint: URL
  /** Such as `SetCdnDomainSSLCertificate`. */
  readonly action: string
  /** The API's, such as `2018-05-10`. */
  readonly version: string
  readonly body: Buffer
}

const formType = 'application/x-www-form-urlencoded'

/**
 * The headers of a signed RPC call (ACS3-HMAC-SHA256, "V3 request structure and signature" of the vendor). All that is
 * asked for is in the body: what stands in a URL ends up in the logs of proxies, and some calls carry a private key.
 * Each call of this makes a nonce of its own, so a request that is sent again is signed again.
 */
export const signRpc = (
  { endpoint, action, version, body }: RpcRequest,
  { accessKeyId, accessKeySecret, securityToken }: Credentials,
  now: Date,
  nonce: string = randomUUID(),
): Readonly<Record<string, string>> => {
  const sum = sha256(body)
  const signed: Record<string, string> = {
    'content-type': formType,
    host: endpoint.host,
    'x-acs-action': action,
    'x-acs-content-sha256': sum,
    'x-acs-date': now.toISOString().replace(/\.\d{3}Z$/, 'Z'),
    ...(securityToken && {
      'x-acs-accesskey-id': accessKeyId.reveal(),
      'x-acs-security-token': securityToken.reveal(),
    }),
    'x-acs-signature-nonce': nonce,
    'x-acs-version': version,
  }
  const names = Object.keys(signed).sort()
  const headers = names.map((name) => `${name}:${signed[name]}\n`).join('')
  const canonical = ['POST', '/', '', headers, names.join(';'), sum].join('\n')
  const signature = createHmac('sha256', accessKeySecret.reveal())
    .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
    .digest('hex')
  const authorization = `ACS3-HMAC-SHA256 Credential=${accessKeyId.reveal()},SignedHeaders=${names.join(';')},Signature=${signature}`
  return { ...signed, accept: 'application/json', authorization }
}

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex')

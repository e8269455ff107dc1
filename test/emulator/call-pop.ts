import { randomUUID } from 'node:crypto'
import type { AccessKey } from './access-key.js'
import type { JsonObject } from './json.js'
import { type Parameter, percentEncode } from './percent-encoding.js'
import { canonicalRequestAcs3, sha256Hex, signatureAcs3, stringToSignAcs3 } from './pop/signature-acs3.js'
import { signatureRpc, stringToSignRpc } from './pop/signature-rpc.js'
import { type RawAnswer, sendRaw } from './send-raw.js'

export const versions = { cdn: '2018-05-10', dcdn: '2018-01-15', cas: '2020-04-07', alidns: '2015-01-09' } as const

export interface PopRequest {
  readonly product: keyof typeof versions
  readonly action: string
  /** In the form body. */
  readonly form?: Readonly<Record<string, string>>
  /** In the query. */
  readonly query?: Readonly<Record<string, string>>
  /** POST unless told. */
  readonly method?: string
  readonly host?: string
  readonly nonce?: string
  readonly time?: Date
  /** Signed, on top of the others; `undefined` takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Instead of the form, and not signed for. */
  readonly body?: string
  readonly scheme?: 'acs3' | 'rpc'
}

export interface PopAnswer extends RawAnswer {
  readonly json: JsonObject & { readonly Code?: string; readonly Message?: string }
}

type Key = Pick<AccessKey, 'id' | 'secret' | 'token'>

const encoded = (parameters: readonly Parameter[]): string =>
  parameters.map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`).join('&')

const stamp = (time: Date): string => time.toISOString().replace(/\.\d+/, '')

const formType = { 'content-type': 'application/x-www-form-urlencoded' }

const sendRpc = (port: number, request: PopRequest, { id, secret, token }: Key): Promise<RawAnswer> => {
  const { method = 'POST', host = `127.0.0.1:${port}` } = request
  const common = {
    Action: request.action,
    Version: versions[request.product],
    Format: 'JSON',
    AccessKeyId: id,
    SignatureMethod: 'HMAC-SHA1',
    SignatureVersion: '1.0',
    SignatureNonce: request.nonce ?? randomUUID(),
    Timestamp: stamp(request.time ?? new Date()),
    ...(token === undefined ? {} : { SecurityToken: token }),
  }
  const query = Object.entries({ ...common, ...request.query })
  const form = Object.entries(request.form ?? {})
  const signature = signatureRpc(secret, stringToSignRpc(method, [...query, ...form]))
  const target = `/?${encoded([...query, ['Signature', signature]])}`
  return sendRaw(port, { method, target, host, headers: formType, body: method === 'GET' ? undefined : encoded(form) })
}

const sendAcs3 = (port: number, request: PopRequest, { id, secret, token }: Key): Promise<RawAnswer> => {
  const { method = 'POST', host = `127.0.0.1:${port}` } = request
  const query = Object.entries(request.query ?? {})
  const body = method === 'GET' ? '' : encoded(Object.entries(request.form ?? {}))
  const wanted: Record<string, string | undefined> = {
    host,
    ...(body === '' ? {} : formType),
    'x-acs-action': request.action,
    'x-acs-version': versions[request.product],
    'x-acs-date': stamp(request.time ?? new Date()),
    'x-acs-signature-nonce': request.nonce ?? randomUUID(),
    'x-acs-content-sha256': sha256Hex(body),
    'x-acs-security-token': token,
    ...request.headers,
  }
  const headers = Object.fromEntries(
    Object.entries(wanted).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  const names = Object.keys(headers).toSorted()
  const canonical = canonicalRequestAcs3({ method, path: '/', parameters: query, headers, body }, names)
  const signature = signatureAcs3(secret, stringToSignAcs3(canonical))
  const { host: _, ...sent } = headers
  return sendRaw(port, {
    method,
    target: query.length === 0 ? '/' : `/?${encoded(query)}`,
    host,
    headers: {
      ...sent,
      Authorization: `ACS3-HMAC-SHA256 Credential=${id},SignedHeaders=${names.join(';')},Signature=${signature}`,
    },
    body: method === 'GET' ? undefined : (request.body ?? body),
  })
}

/** A call as the vendor's SDKs would sign it, with nothing of `src/` in it. */
export const callPop = async (port: number, request: PopRequest, key: Key): Promise<PopAnswer> => {
  const answer = await (request.scheme === 'rpc' ? sendRpc : sendAcs3)(port, request, key)
  const isJson = String(answer.headers['content-type']).startsWith('application/json')
  return { ...answer, json: isJson ? (JSON.parse(answer.body) as PopAnswer['json']) : {} }
}
